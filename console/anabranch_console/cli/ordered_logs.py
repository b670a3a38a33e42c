"""What ``anabranch logs`` prints with times, by level, or of several streams in order of time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from anabranch.core.views.log_levels import Level
from anabranch.engine.log_index import IndexedLine, LogIndex
from anabranch.engine.log_times import Moment
from anabranch_console.cli.output import say
from anabranch_console.presenters.log_prefix import in_clock

Part = TypeVar("Part")
PRINTED_AT_ONCE = 1000
FOLLOW_SECONDS = 0.2
DATE_CELLS, CLOCK_CELLS = 10, 8


class Wish(msgspec.Struct, frozen=True):
    """Which lines are wanted.

    Args:
        least: how bad a line has to be to be printed; None for all.
        last: of what is there at first print only so many last lines of each; None for all.
        longest: the characters after which a line is cut.
    """

    least: Level | None
    last: int | None
    longest: int


class OrderedLogs(Generic[Part]):
    """Logs that are printed in order of time.

    Args:
        print_line: prints a line of a part.
        wish: which lines are wanted.
    """

    def __init__(self, print_line: Callable[[Part, IndexedLine], None], wish: Wish) -> None:
        self._print, self._longest = print_line, wish.longest
        self._index = LogIndex([], wish.least)
        self._parts: list[Part] = []
        self._at = self._generation = 0

    def add(self, part: Part, path: Path) -> None:
        """Take one more log in."""
        self._parts.append(part)
        self._index.add(path)

    def print_new(self, last: int | None = None) -> bool:
        """Print what has come, of each log only so many last lines if a number is given.

        Return whether the logs had anything new.
        """
        has_more = self._index.read_on()
        self._print_known(last)
        return has_more

    def print_all(self, last: int | None) -> int:
        """Print what the logs hold, of each only so many last lines if a number is given.

        Return how many lines were not printed because no level was recognised in them.
        """
        self._index.read_to_the_end()
        self._print_known(last)
        return self._index.unrecognised

    def _print_known(self, last: int | None) -> None:
        if self._index.generation != self._generation:
            say("the log of a flood has been cut meanwhile: what was left out is not shown")
            self._generation, self._at = self._index.generation, self._index.end
        wanted = None if last is None else self._last_of_each(last)
        for line in self._lines():
            if wanted is None or line.start >= wanted[line.source]:
                self._print(self._parts[line.source], line)

    def print_unfinished(self) -> int:
        """Print the last lines that have no end.

        Return how many lines were not printed because no level was recognised in them.
        """
        for line in self._index.open_lines:
            self._print(self._parts[line.source], line)
        return self._index.unrecognised

    def _lines(self) -> Iterator[IndexedLine]:
        while self._at < self._index.end:
            self._at = max(self._at, self._index.let_go)
            until = min(self._at + PRINTED_AT_ONCE, self._index.end)
            yield from self._index.lines(self._at, until, longest=self._longest)
            self._at = until

    def _last_of_each(self, number: int) -> list[int]:
        """Return from which byte on each log has so many lines, one without an end counted too."""
        starts = [0] * len(self._parts)
        seen = Counter(line.source for line in self._index.open_lines)
        for source, start in self._index.spots_backwards():
            seen[source] += 1
            if seen[source] == number + 1:  # this one is too much, what comes after it is not
                starts[source] = start + 1
                if all(seen[known] > number for known in range(len(starts))):
                    break
        return starts


def print_ordered(
    parts: Sequence[tuple[Part, Path]],
    print_line: Callable[[Part, IndexedLine], None],
    wish: Wish,
) -> int:
    """Print what logs hold by now, in order of time.

    Return how many lines were not printed because no level was recognised in them.
    """
    logs = OrderedLogs(print_line, wish)
    for part, path in parts:
        logs.add(part, path)
    return logs.print_all(wish.last)


def follow_ordered(
    parts_now: Callable[[], tuple[Sequence[tuple[Part, Path]], bool]],
    print_line: Callable[[Part, IndexedLine], None],
    wish: Wish,
) -> int:
    """Print what logs hold and what comes, and return as :func:`print_ordered` does.

    Args:
        parts_now: returns the parts there are by now with their logs, and whether nothing more
            is to come.
        print_line: prints a line of a part.
        wish: which lines are wanted.
    """
    logs = OrderedLogs(print_line, wish)
    known: set[Part] = set()
    last = wish.last
    while True:
        parts, is_complete = parts_now()
        for part, path in parts:
            if part not in known:
                known.add(part)
                logs.add(part, path)
        has_more = logs.print_new(last)
        last = None
        if has_more:
            continue
        if is_complete:
            break
        time.sleep(FOLLOW_SECONDS)
    return logs.print_unfinished()


def stamp(moment: Moment | None) -> str:
    """Return when a line was written, as local time: ``2026-12-01 14:02:11``; blank if unknown."""
    if moment is None:
        return " " * (DATE_CELLS + 1 + CLOCK_CELLS)
    date = time.strftime("%Y-%m-%d", time.localtime(moment.wall))
    return f"{date} {in_clock(moment, with_day=False):<{CLOCK_CELLS}}"


def time_in_json(moment: Moment | None) -> dict[str, Any]:
    """Return when a line was written, for JSON: not before that, and within so many seconds."""
    if moment is None:
        return {"time": None, "within_seconds": None}
    at = datetime.fromtimestamp(moment.wall, UTC)
    return {
        "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "within_seconds": moment.within_seconds,
    }
