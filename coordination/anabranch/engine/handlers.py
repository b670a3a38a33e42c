"""What is kept of a stream's handlers, read while they run and afterwards: counts and outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.engine.handler_book import Handler, read_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, open_plain, read_plain

MOST_OUTPUT_BYTES = 16 * 1024 * 1024


def counts_of(run: RunFolder, stream: StreamId) -> dict[str, int] | None:
    """Return how many handlers of a stream have come how far, None if none ever began."""
    try:
        data = read_plain(run.handlers(stream) / "counts", SMALL_FILE_BYTES)
        found: dict[str, int] = json.loads(data)
    except (OSError, ValueError):
        return None
    return {key: int(found.get(key, 0)) for key in ("total", "succeeded", "failed", "running")}


def with_counts(entries: list[dict[str, Any]], state: State, run: RunFolder) -> None:
    """Add to each entry of a stream with handlers how many there are, in which state."""
    for entry in entries:
        stream = StreamId(entry["stream"])
        if stream in state.streams and state.stream_plan(stream).fan is not None:
            entry["handlers"] = counts_of(run, stream)


def handler_at(run: RunFolder, stream: StreamId, place: int) -> Handler | None:
    """Return what is known of a handler by the place of its item; None if it never ran."""
    return read_whole(run.handlers(stream) / "book").handlers.get(place)


def output_of(run: RunFolder, stream: StreamId, handler: Handler) -> Iterator[str]:
    """Yield the lines that a handler wrote; of one that runs, as far as it has come."""
    folder = run.handlers(stream)
    if handler.ended is None:
        yield from _lines(folder / f"slot.{handler.slot}", 0, MOST_OUTPUT_BYTES)
    elif handler.ended.length:
        yield from _lines(folder / "output.pack", handler.ended.offset, handler.ended.length)


def _lines(path: Path, offset: int, length: int) -> Iterator[str]:
    try:
        with open(open_plain(path), "rb") as file:
            file.seek(offset)
            data = file.read(min(length, MOST_OUTPUT_BYTES))
    except OSError:
        return
    yield from data.decode("utf-8", "replace").splitlines()
