"""Which lines of one log or of several are shown, and in which order: by level, and by time.

The index knows where each of them begins, eight bytes a line, whatever the logs hold. It is read on
by whoever wants more of it, a piece at a time, and may be read by another thread meanwhile.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from anabranch.core.views.log_levels import Level, Levels, passes
from anabranch.core.views.log_order import Order
from anabranch.engine.log_colours import Runs
from anabranch.engine.log_reading import LONGEST_LINE, RAW_LINE_LIMIT, LineAssembler, LogTail
from anabranch.engine.log_times import LogTimes, Moment
from anabranch.plain_files import open_plain

MOST_LINES = 8_000_000
"""So many lines are known; of more the first half is let go, which is counted."""

MOST_RECENT = 2_000
"""So many of the last lines are kept as they are, for whoever follows them."""

READ_AT_ONCE = 4096
ADDED_AT_ONCE = 32
_SOURCE_BITS, _LEVEL_BITS = 48, 44
_START = (1 << _LEVEL_BITS) - 1


class IndexedLine(NamedTuple):
    """A line: of which log, where it begins there, its text and looks, when, how bad."""

    source: int
    start: int
    text: str
    colours: Runs
    moment: Moment | None
    level: Level | None


class _Log:
    """One of the logs: how far it is read, and what its last lines were."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail, self.times, self.levels = LogTail(path), LogTimes(path), Levels()

    @property
    def is_another(self) -> bool:
        """Whether it was cut since it was begun to be read: places in it have moved."""
        return bool(self.tail.restarts or self.times.rewritten)

    def size(self) -> int:
        with suppress(OSError):
            return os.stat(self.path, follow_symlinks=False).st_size
        return 0


class LogIndex:
    """The lines of some logs that pass a filter, in order of time.

    Args:
        paths: the logs; they need not exist yet.
        least: how bad a line has to be to be shown; None for all.

    A line's place is its number among all that passed, also among those that were let go.
    ``generation`` counts how often all began anew, as a log had been cut. ``hidden`` counts the
    lines that do not pass, ``unrecognised`` those of them without a level that is recognised.
    """

    def __init__(self, paths: Sequence[Path], least: Level | None = None) -> None:
        self.least = least
        self.generation = 0
        self.let_go = self.hidden = self.unrecognised = 0
        self._takes_unfinished = False
        self._lock = Lock()
        self._logs = [_Log(path) for path in paths]
        self._order = Order()
        self._entries = array("Q")
        self._recent: deque[IndexedLine] = deque(maxlen=MOST_RECENT)
        self._open: list[IndexedLine] = []
        self._anew: LogIndex | None = None

    def add(self, path: Path) -> int:
        """Take one more log in; return its number."""
        self._logs.append(_Log(path))
        return len(self._logs) - 1

    # --- how much there is -----------------------------------------------------------------------

    @property
    def end(self) -> int:
        """The place after the last line."""
        return self.let_go + len(self._entries)

    @property
    def open_lines(self) -> list[IndexedLine]:
        """The last lines of logs that have no end yet and would pass, as far as they go."""
        return self._open

    @property
    def size(self) -> int:
        """How large the logs are."""
        return sum(log.size() for log in self._logs)

    @property
    def unread(self) -> int:
        """How many bytes of the logs were not looked at yet."""
        anew = self._anew
        if anew is not None:
            return anew.unread
        return sum(abs(log.size() - log.tail.offset) for log in self._logs)

    # --- reading on ------------------------------------------------------------------------------

    def read_on(self, *, gives_up: Callable[[], bool] = lambda: False) -> bool:
        """Read what the logs hold by now; return whether that was anything.

        ``gives_up`` is asked now and then.
        """
        before = [(log.tail.offset, log.tail.unfinished) for log in self._logs]
        self._read_pass(gives_up)
        if any(log.is_another for log in self._logs):
            self._begin_again(gives_up)
        self._open = [] if self._takes_unfinished else list(self._unfinished())
        return before != [(log.tail.offset, log.tail.unfinished) for log in self._logs]

    def _begin_again(self, gives_up: Callable[[], bool]) -> None:
        """Read all anew, as places have moved; until that is done, what was known stays."""
        fresh = self._anew = LogIndex([log.path for log in self._logs], self.least)
        fresh._takes_unfinished = self._takes_unfinished
        fresh._read_pass(gives_up)
        with self._lock:
            self._logs, self._order, self._entries = fresh._logs, fresh._order, fresh._entries
            self._recent, self.let_go = fresh._recent, fresh.let_go
            self.hidden, self.unrecognised = fresh.hidden, fresh.unrecognised
            self.generation += 1
        self._anew = None

    def read_to_the_end(self) -> None:
        """Read what the logs hold, for once: a last line counts as one though it has no end."""
        self._takes_unfinished = True
        self.read_on()

    def _read_pass(self, gives_up: Callable[[], bool]) -> None:
        """Read each log to its end as it is now."""
        fresh = [self._fresh(log, log.size(), gives_up) for log in self._logs]
        batch: list[IndexedLine] = []
        for source, line in self._order.merged(fresh):
            batch.append(line._replace(source=source))
            if len(batch) >= ADDED_AT_ONCE:
                self._keep(batch)
                batch = []
        self._keep(batch)

    def _fresh(
        self, log: _Log, until: int, gives_up: Callable[[], bool]
    ) -> Iterator[tuple[float | None, IndexedLine]]:
        """Yield the lines of a log that are new and pass, up to a byte or a little beyond it."""
        while log.tail.offset < until and not gives_up():
            before, tail = log.tail.offset, log.tail
            log.times.look()
            lines = tail.read_new()
            log.times.look()
            if log.is_another or tail.offset == before:
                return
            if lines:
                yield from self._passing(log, lines, tail.new_starts, tail.new_colours)
        if log.tail.offset > until:
            log.tail.read_new(0)  # it was cut, which only this notices
        if self._takes_unfinished and log.tail.unfinished:
            tail = log.tail
            colours = [tail.unfinished_colours]
            yield from self._passing(log, [tail.unfinished], [tail.line_start], colours)

    def _passing(
        self, log: _Log, lines: Sequence[str], starts: Sequence[int], colours: Sequence[Runs]
    ) -> Iterator[tuple[float | None, IndexedLine]]:
        for line, start, runs in zip(lines, starts, colours, strict=True):
            level = None if self.least is None else log.levels.take(line)
            if passes(level, self.least):
                moment = log.times.at(start)
                found = IndexedLine(0, start, line, runs, moment, level)
                yield (moment.wall if moment else None), found
            else:
                self.hidden += 1
                self.unrecognised += level is None

    def _keep(self, batch: Sequence[IndexedLine]) -> None:
        with self._lock:
            self._entries.extend([_entry(line) for line in batch])
            self._recent.extend(batch)
            if len(self._entries) > MOST_LINES:
                del self._entries[: MOST_LINES // 2]
                self.let_go += MOST_LINES // 2

    def _unfinished(self) -> Iterator[IndexedLine]:
        for source, log in enumerate(self._logs):
            text = log.tail.unfinished
            level = log.levels.of_next(text) if text and self.least else None
            if text and passes(level, self.least):
                start = log.tail.line_start
                yield IndexedLine(
                    source, start, text, log.tail.unfinished_colours, log.times.at(start), level
                )

    # --- the lines -------------------------------------------------------------------------------

    def lines(self, first: int, end: int, *, longest: int = LONGEST_LINE) -> list[IndexedLine]:
        """Return the lines from one place on, before another."""
        with self._lock:
            begin = max(first - self.let_go, 0)
            unkept = len(self._entries) - len(self._recent)
            if begin >= unkept and longest == LONGEST_LINE:
                return list(
                    islice(self._recent, begin - unkept, max(end - self.let_go - unkept, 0))
                )
            entries = self._entries[begin : max(end - self.let_go, 0)]
            logs = self._logs
        files: dict[int, int] = {}
        try:
            return [self._line(entry, logs, files, longest) for entry in entries]
        finally:
            for file in files.values():
                if file >= 0:
                    os.close(file)

    def spots_backwards(self) -> Iterator[tuple[int, int]]:
        """Yield of which log each line is and where it begins there, the last one first."""
        for entry in reversed(self._entries):
            yield entry >> _SOURCE_BITS, entry & _START

    def place_of(self, source: int, start: int) -> int:
        """Return the place of the first line of a log that begins at a byte or later."""
        with self._lock:
            for number, entry in enumerate(self._entries):
                if entry >> _SOURCE_BITS == source and entry & _START >= start:
                    return self.let_go + number
        return self.end

    def _line(
        self, entry: int, logs: Sequence[_Log], files: dict[int, int], longest: int
    ) -> IndexedLine:
        source, start = entry >> _SOURCE_BITS, entry & _START
        number = entry >> _LEVEL_BITS & 0xF
        log = logs[source]
        if source not in files:
            files[source] = _opened(log.path)
        assembler = LineAssembler(longest)
        at, file = start, files[source]
        limit = start + max(4 * RAW_LINE_LIMIT, 4 * longest)
        while file >= 0 and at < limit:
            data = os.pread(file, READ_AT_ONCE, at)
            line, newline, _ = data.partition(b"\n")
            assembler.feed(line)
            at += len(line)
            if newline or not data:
                break
        level = Level(number) if number else None
        text, colours = assembler.unfinished, assembler.unfinished_colours
        return IndexedLine(source, start, text, colours, log.times.at(start), level)


def _entry(line: IndexedLine) -> int:
    return line.source << _SOURCE_BITS | (line.level or 0) << _LEVEL_BITS | line.start


def _opened(path: Path) -> int:
    try:
        return open_plain(path)
    except OSError:
        return -1
