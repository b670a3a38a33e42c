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

from anabranch.engine.log_colours import Runs
from anabranch.engine.log_reading import CHUNK_BYTES, LogTail, first_whole, read_part
from anabranch.engine.log_times import LogTimes, Moment

BACK_BYTES = 4 * CHUNK_BYTES
FAR_BEHIND_BYTES = 1 << 20


class LogWindow:
    """Lines of a log that lie side by side. The last one may have no end yet.

    Args:
        tail: reads on from the window's end.
    """

    counts_lines = False
    """Its ``size`` is in bytes."""

    def __init__(self, tail: LogTail) -> None:
        self.lines: list[str] = []
        self._starts: list[int] = []
        self._colours: list[Runs] = []
        self._moments: list[Moment | None] = []
        self._tail, self._times = tail, LogTimes(tail.path)
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
    def is_far_behind(self) -> bool:
        """Whether so much comes after it that it is better begun anew."""
        return self.behind > FAR_BEHIND_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether the window is all of the log."""
        return self.begin == 0 and not self.behind

    @property
    def place_percent(self) -> int:
        """How far into the log the window begins."""
        return 100 * self.begin // max(self.size, 1)

    def start_of(self, index: int) -> int:
        """Return where a line of the window begins in the log."""
        return self._starts[index]

    def spot_of(self, index: int) -> tuple[int, int]:
        """Return of which log a line is, the only one, and where it begins there."""
        return 0, self._starts[index]

    def colours_of(self, index: int) -> Runs:
        """Return how a line of the window looked where it was written."""
        return self._colours[index]

    def moment_of(self, index: int) -> Moment | None:
        """Return when a line of the window was written, None if that is not known."""
        return self._moments[index]

    def index_of(self, start: int) -> int | None:
        """Return which line of the window begins at an offset."""
        index = bisect_left(self._starts, start)
        return index if self._starts[index : index + 1] == [start] else None

    def read_on(self) -> int | None:
        """Read a piece more at the end; return the first line that is new or longer, or None."""
        restarts, open_line = self._tail.restarts, self.lines[-1] if self._is_open else ""
        self._times.look()
        rewritten, fresh = self._times.rewritten, self._tail.read_new()
        if self._tail.restarts != restarts:
            self.drop_first(len(self.lines))
            self._is_open = False
        elif not fresh and self._tail.unfinished == open_line:
            return None
        if self._is_open:
            self._drop_open()
        first = len(self.lines)
        self.lines += fresh
        self._starts += self._tail.new_starts
        self._colours += self._tail.new_colours
        if self._tail.unfinished:
            self.lines.append(self._tail.unfinished)
            self._starts.append(self._tail.line_start)
            self._colours.append(self._tail.unfinished_colours)
            self._is_open = True
        self._moments += self._moments_of(self._starts[first:], rewritten)
        return first

    def _moments_of(self, starts: list[int], rewritten: int) -> list[Moment | None]:
        """Return when lines were written; nobody knows of what may have been moved meanwhile.

        Args:
            starts: where the lines began as they were read.
            rewritten: how often the times were rewritten when that began.
        """
        self._times.look()  # the time of what is in the log was noted before it
        is_known = self._times.rewritten == rewritten
        return [self._times.at(start) if is_known else None for start in starts]

    def read_back(self) -> int:
        """Read a piece more before the beginning; return how many lines that are."""
        until = self.begin
        since = max(0, until - BACK_BYTES)
        if since == until:
            return 0
        if since:
            since += first_whole(read_part(self.path, since, until - since))
        self._times.look()
        rewritten, before = self._times.rewritten, LogTail(self.path, offset=since)
        lines = before.read_new(until - since)
        if before.unfinished:
            return 0  # the log is another one by now
        self.lines[:0] = lines
        self._starts[:0] = before.new_starts
        self._colours[:0] = before.new_colours
        self._moments[:0] = self._moments_of(before.new_starts, rewritten)
        return len(lines)

    def drop_first(self, count: int) -> None:
        """Forget lines at the beginning."""
        for column in (self.lines, self._starts, self._colours, self._moments):
            del column[:count]

    def drop_last(self, count: int) -> None:
        """Forget lines at the end; they are read again when they are wanted."""
        if count <= 0:
            return
        self._tail = LogTail(self.path, offset=self._starts[-count])
        self._is_open = False
        for column in (self.lines, self._starts, self._colours, self._moments):
            del column[-count:]

    def _drop_open(self) -> None:
        for column in (self.lines, self._starts, self._colours, self._moments):
            del column[-1]
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
