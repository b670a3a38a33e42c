"""A window on a log: some of its lines, wherever they lie in it, and finding lines in all of it.

A log may be larger than what anybody wants to hold. The window knows where each of its lines begins
in the file, so it can be moved anywhere, grow at both ends, and say how much of the log it is.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from anabranch.engine.log_reading import CHUNK_BYTES, LogTail, first_whole, read_part

BACK_BYTES = 4 * CHUNK_BYTES


class LogWindow:
    """Lines of a log that lie side by side. The last one may have no end yet.

    Args:
        tail: reads on from the window's end.
    """

    def __init__(self, tail: LogTail) -> None:
        self.lines: list[str] = []
        self._starts: list[int] = []
        self._tail = tail
        self._is_open = False

    @classmethod
    def near_end(cls, path: Path) -> LogWindow:
        """Return a window that begins near a log's end."""
        return cls(LogTail.near_end(path))

    @classmethod
    def at(cls, path: Path, offset: int) -> LogWindow:
        """Return a window that begins with the line at an offset."""
        return cls(LogTail(path, offset=offset))

    @property
    def path(self) -> Path:
        return self._tail.path

    @property
    def begin(self) -> int:
        """Where the window begins, in bytes."""
        return self._starts[0] if self._starts else self._tail.line_start

    @property
    def size(self) -> int:
        """How large the log is now."""
        with suppress(OSError):
            self._tail.size = os.stat(self.path, follow_symlinks=False).st_size
        return self._tail.size

    @property
    def behind(self) -> int:
        """How many bytes of the log come after the window."""
        return max(0, self.size - self._tail.offset)

    @property
    def is_whole(self) -> bool:
        """Whether the window is all of the log."""
        return self.begin == 0 and not self.behind

    def start_of(self, index: int) -> int:
        """Return where a line of the window begins in the log."""
        return self._starts[index]

    def index_of(self, start: int) -> int | None:
        """Return which line of the window begins at an offset."""
        index = bisect_left(self._starts, start)
        return index if self._starts[index : index + 1] == [start] else None

    def read_on(self) -> int | None:
        """Read a piece more at the end; return the first line that is new or longer, or None."""
        restarts, open_line = self._tail.restarts, self.lines[-1] if self._is_open else ""
        fresh = self._tail.read_new()
        if self._tail.restarts != restarts:
            self.lines.clear()
            self._starts.clear()
            self._is_open = False
        elif not fresh and self._tail.unfinished == open_line:
            return None
        if self._is_open:
            self._drop_open()
        first = len(self.lines)
        self.lines += fresh
        self._starts += self._tail.new_starts
        if self._tail.unfinished:
            self.lines.append(self._tail.unfinished)
            self._starts.append(self._tail.line_start)
            self._is_open = True
        return first

    def read_back(self) -> int:
        """Read a piece more before the beginning; return how many lines that are."""
        until = self.begin
        since = max(0, until - BACK_BYTES)
        if since == until:
            return 0
        if since:
            since += first_whole(read_part(self.path, since, until - since))
        before = LogTail(self.path, offset=since)
        lines = before.read_new(until - since)
        if before.unfinished:
            return 0  # the log is another one by now
        self.lines[:0] = lines
        self._starts[:0] = before.new_starts
        return len(lines)

    def drop_first(self, count: int) -> None:
        """Forget lines at the beginning."""
        del self.lines[:count], self._starts[:count]

    def drop_last(self, count: int) -> None:
        """Forget lines at the end; they are read again when they are wanted."""
        if count <= 0:
            return
        self._tail = LogTail(self.path, offset=self._starts[-count])
        self._is_open = False
        del self.lines[-count:], self._starts[-count:]

    def _drop_open(self) -> None:
        self.lines.pop()
        self._starts.pop()
        self._is_open = False


def lines_with(
    path: Path, matches: Callable[[str], bool], *, gives_up: Callable[[], bool] = lambda: False
) -> Iterator[int]:
    """Yield where the lines of a log begin that match, from its beginning to its end as it is now.

    ``gives_up`` is asked before each piece.
    """
    tail = LogTail(path)
    while not gives_up():
        before = tail.offset
        for start, line in zip(*_read_with_starts(tail), strict=True):
            if matches(line):
                yield start
        if tail.offset == before:
            break
    if tail.unfinished and matches(tail.unfinished):
        yield tail.line_start


def _read_with_starts(tail: LogTail) -> tuple[list[int], list[str]]:
    lines = tail.read_new()
    return (tail.new_starts if lines else []), lines
