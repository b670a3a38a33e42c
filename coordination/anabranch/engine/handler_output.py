"""What one handler has written, read while it runs and afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from anabranch.core.ids import StreamId
from anabranch.engine.handler_book import Handler, read_whole, unreadable
from anabranch.engine.log_reading import TAIL_BYTES_LIMIT, LineAssembler
from anabranch.paths import RunFolder
from anabranch.plain_files import open_plain

PIECE_BYTES = 1024 * 1024
MOST_SHOWN_LINES = 9_000


def handler_at(run: RunFolder, stream: StreamId, place: int) -> Handler | None:
    """Return what is known of a handler by the place of its item; None if it never ran.

    Raises WorldError if the book cannot be read.
    """
    try:
        return read_whole(run.handlers(stream) / "book").handlers.get(place)
    except OSError as error:
        raise unreadable(error) from error


def output_from(run: RunFolder, stream: StreamId, handler: Handler, offset: int) -> bytes:
    """Return what a handler wrote from an offset on, a piece of it; empty if nothing is there.

    Of one that is thought to run, the book must be looked at after this: see end_of_output.
    """
    folder, ended = run.handlers(stream), handler.ended
    if ended is None:
        return _piece(folder / f"slot.{handler.slot}", offset, PIECE_BYTES)
    length = min(PIECE_BYTES, ended.length - offset)
    return _piece(folder / "output.pack", ended.offset + offset, length) if length > 0 else b""


def _piece(path: Path, offset: int, length: int) -> bytes:
    try:
        with open(open_plain(path), "rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError:
        return b""


class OutputEnd(msgspec.Struct, frozen=True):
    """The last lines of an output, safe to show: from which of its bytes on, of how many."""

    lines: tuple[str, ...]
    begin: int
    size: int


def end_of_output(folder: Path, handler: Handler) -> OutputEnd:
    """Return the end of what a handler wrote, at most :data:`MOST_SHOWN_LINES` lines of it.

    What the slot of a handler holds that is thought to run is its own only if the book, looked at
    after this, still has it running: others come after it there.
    """
    if handler.ended is None:
        return _end_of(folder / f"slot.{handler.slot}", 0, None)
    return _end_of(folder / "output.pack", handler.ended.offset, handler.ended.length)


def _end_of(path: Path, offset: int, length: int | None) -> OutputEnd:
    try:
        with open(open_plain(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size - offset if length is None else length
            skipped = max(0, size - TAIL_BYTES_LIMIT)
            file.seek(offset + skipped)
            data = file.read(size - skipped)
    except OSError:
        return OutputEnd((), 0, 0)
    raw = data.split(b"\n")
    first = max(1 if skipped else 0, len(raw) - MOST_SHOWN_LINES - 1)
    begin = skipped + sum(len(line) + 1 for line in raw[:first])
    assembler = LineAssembler()
    lines = assembler.feed(b"\n".join(raw[first:]))
    if assembler.unfinished:
        lines.append(assembler.unfinished)
    return OutputEnd(tuple(lines), begin, size)
