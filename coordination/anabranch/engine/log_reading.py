"""Reading the logs of streams: files that others write, whose bytes may be anything.

Bytes become lines in three steps, none of which ever holds more than a bounded amount: decode
UTF-8 piece by piece, split into lines the way a terminal would show them (a carriage return lets
the text after it replace the text before it, so a progress bar is one line and not a thousand),
and make each line safe to show. Cutting the input into other pieces never changes the lines.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anabranch.engine.log_colours import Runs, runs_of
from anabranch.hostile_text import escape_for_terminal, shortened
from anabranch.plain_files import open_plain

CHUNK_BYTES = 64 * 1024
LONGEST_LINE = 4096
RAW_TIMES = 4
RAW_LINE_LIMIT = RAW_TIMES * LONGEST_LINE
"""What is kept of a line whose colours and the like are not taken out yet."""
LAST_LINE_BYTES = 4096
TAIL_BYTES_LIMIT = 1024 * 1024
_UTF8_CONTINUATION = bytes(range(0x80, 0xC0))
_NEWLINE = re.compile(rb"\n")


class LineAssembler:
    """Turns pieces of bytes into lines that are safe to show.

    Args:
        longest: the characters after which a line is cut.

    ``new_colours`` says how the lines of the last call looked.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self.longest = longest
        self.new_colours: list[Runs] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._segment = ""
        self._overwritten = ""

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes and return the lines they complete."""
        *ended, rest = self._decoder.decode(data).split("\n")
        lines, self.new_colours = [], []
        for text in ended:
            self._extend(text)
            lines.append(self.unfinished)
            self.new_colours.append(self.unfinished_colours)
            self._segment = self._overwritten = ""
        self._extend(rest)
        return lines

    @property
    def unfinished(self) -> str:
        """The line that has begun and has no end yet, as it would be shown now."""
        return _presentable(self._segment or self._overwritten, self.longest)

    @property
    def unfinished_colours(self) -> Runs:
        """How that line looks."""
        return runs_of(self._segment or self._overwritten)

    def _extend(self, text: str) -> None:
        first, *overwrites = text.split("\r")
        self._append(first)
        for segment in overwrites:
            self._overwritten = self._segment or self._overwritten
            self._segment = ""
            self._append(segment)

    def _append(self, text: str) -> None:
        self._segment += text[: RAW_TIMES * self.longest - len(self._segment)]


class LogTail:
    """Follows one growing log, a bounded piece per call.

    Args:
        path: the log; it need not exist yet.
        offset: where to begin, in bytes.
        longest: the characters after which a line is cut.

    A log that was cut short or replaced by a shorter one is read again from its beginning, which
    ``restarts`` counts. ``new_starts`` says where the lines of the last call begin, and
    ``line_start`` where the unfinished one does, in bytes.
    """

    def __init__(self, path: Path, *, offset: int = 0, longest: int = LONGEST_LINE) -> None:
        self.path = path
        self.offset = self.line_start = offset
        self.size = 0
        self.restarts = 0
        self.new_starts: list[int] = []
        self._assembler = LineAssembler(longest)

    @classmethod
    def near_end(cls, path: Path, *, last_bytes: int = 4 * CHUNK_BYTES) -> LogTail:
        """Return a tail that begins at the first whole line within the last ``last_bytes``."""
        try:
            with open(path, "rb", opener=_open_regular) as log:
                size = os.fstat(log.fileno()).st_size
                return cls(path, offset=_whole_line_offset(log.fileno(), size, last_bytes))
        except OSError:
            return cls(path)

    @property
    def unfinished(self) -> str:
        """The last line as far as it has been written."""
        return self._assembler.unfinished

    @property
    def unfinished_colours(self) -> Runs:
        """How that line looks."""
        return self._assembler.unfinished_colours

    @property
    def new_colours(self) -> list[Runs]:
        """How the lines of the last call look."""
        return self._assembler.new_colours

    def read_new(self, max_bytes: int = CHUNK_BYTES) -> list[str]:
        """Return the lines completed since the last call, from at most ``max_bytes`` of log.

        A log that is missing or cannot be read has no new lines.
        """
        try:
            with open(self.path, "rb", opener=_open_regular, buffering=0) as log:
                self._begin_again_if_shorter(os.fstat(log.fileno()).st_size)
                return self._take(os.pread(log.fileno(), max_bytes, self.offset))
        except OSError:
            return []

    async def read_new_async(self, max_bytes: int = CHUNK_BYTES) -> list[str]:
        """Do as :meth:`read_new` does, without holding up the event loop."""
        import aiofiles  # here, because whoever reads a log once starts faster without

        try:
            async with aiofiles.open(self.path, "rb", opener=_open_regular) as log:
                self._begin_again_if_shorter(await log.seek(0, os.SEEK_END))
                await log.seek(self.offset)
                return self._take(await log.read(max_bytes))
        except OSError:
            return []

    def _begin_again_if_shorter(self, size: int) -> None:
        self.size = size
        if size < self.offset:
            self.offset = self.line_start = 0
            self.restarts += 1
            self._assembler = LineAssembler(self._assembler.longest)

    def _take(self, data: bytes) -> list[str]:
        ends = [found.end() for found in _NEWLINE.finditer(data)]
        starts = [self.line_start, *(self.offset + end for end in ends)]
        self.new_starts, self.line_start = starts[:-1], starts[-1]
        self.offset += len(data)
        return self._assembler.feed(data)


async def follow(
    path: Path,
    *,
    offset: int = 0,
    poll_seconds: float = 0.2,
    has_ended: Callable[[], bool] = lambda: False,
) -> AsyncIterator[str]:
    """Yield the lines of a log as they are written, never holding up the event loop.

    Args:
        path: the log; it need not exist yet.
        offset: where to begin, in bytes.
        poll_seconds: how long to wait before looking again when nothing is new.
        has_ended: says that nothing more will be written; what is there is still read to its
            end, an unfinished last line included, and then the iteration stops.
    """
    tail = LogTail(path, offset=offset)
    while True:
        was_last_look = has_ended()
        before = tail.offset
        for line in await tail.read_new_async():
            yield line
        if tail.offset != before:
            continue
        if was_last_look:
            break
        await asyncio.sleep(poll_seconds)
    if tail.unfinished:
        yield tail.unfinished


def read_tail(path: Path, lines: int) -> list[str]:
    """Return up to ``lines`` last lines of a log, looking at no more than its last MiB.

    A log that is missing or cannot be read is empty.
    """
    if lines <= 0:
        return []
    wanted_bytes = CHUNK_BYTES
    while True:
        data, is_whole = _last_bytes(path, wanted_bytes)
        if is_whole or wanted_bytes >= TAIL_BYTES_LIMIT or data.count(b"\n") > lines:
            return _lines_of(_whole_lines(data, is_whole))[-lines:]
        wanted_bytes *= 4


def last_line(path: Path) -> str:
    """Return the last line of a log that is not blank, from its last 4 KiB; "" if there is none."""
    data, is_whole = _last_bytes(path, LAST_LINE_BYTES)
    for raw in reversed(_whole_lines(data, is_whole).split(b"\n")):
        assembler = LineAssembler()
        assembler.feed(raw)
        if assembler.unfinished.strip():
            return assembler.unfinished
    return ""


def unfinished_line(path: Path) -> str:
    """Return the last line of a log if it has no end, from its last 4 KiB; "" if it has one."""
    data, _ = _last_bytes(path, LAST_LINE_BYTES)
    assembler = LineAssembler()
    assembler.feed(data.rpartition(b"\n")[2])
    return assembler.unfinished


def _presentable(raw: str, longest: int) -> str:
    return shortened(escape_for_terminal(raw), longest)


def _lines_of(data: bytes) -> list[str]:
    assembler = LineAssembler()
    lines = assembler.feed(data)
    return [*lines, assembler.unfinished] if assembler.unfinished else lines


def _whole_lines(data: bytes, begins_whole: bool) -> bytes:
    """Return ``data`` without a first line whose beginning is missing.

    When that is the only line there is, its end is better than nothing.
    """
    return data if begins_whole else data[first_whole(data) :]


def first_whole(data: bytes) -> int:
    """Return where the first line begins that is there from its beginning.

    When there is none, the end of the only line is better than nothing.
    """
    newline = data.find(b"\n")
    if 0 <= newline < len(data) - 1:
        return newline + 1
    return len(data) - len(data.lstrip(_UTF8_CONTINUATION))


def read_part(path: Path, offset: int, count: int) -> bytes:
    """Return bytes of a log; none of one that is missing or cannot be read."""
    try:
        with open(path, "rb", opener=_open_regular, buffering=0) as log:
            return os.pread(log.fileno(), count, offset)
    except OSError:
        return b""


def _last_bytes(path: Path, count: int) -> tuple[bytes, bool]:
    """Return the last ``count`` bytes of a file, and whether that is the whole file."""
    try:
        with open(path, "rb", opener=_open_regular, buffering=0) as log:
            size = os.fstat(log.fileno()).st_size
            start = max(0, size - count)
            return os.pread(log.fileno(), size - start, start), start == 0
    except OSError:
        return b"", True


def _whole_line_offset(descriptor: int, size: int, last_bytes: int) -> int:
    start = max(0, size - last_bytes)
    if start == 0:
        return 0
    return start + first_whole(os.pread(descriptor, size - start, start))


def _open_regular(path: str, flags: int) -> int:
    return open_plain(path, flags=flags)
