"""What a log view looks at: one log as it lies in its file, or the lines of an index.

A window shows some of a text; the text makes windows anywhere in it, and finds in all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Protocol

from anabranch.core.views.log_levels import Level
from anabranch.engine.index_window import IndexWindow, places_with
from anabranch.engine.log_colours import Runs
from anabranch.engine.log_index import LogIndex
from anabranch.engine.log_times import LogTimes, Moment
from anabranch.engine.log_window import LogWindow, lines_with

LONGEST_REST_SECONDS = 0.02

Spot = tuple[int, int]
"""Of which log a line is, and where it begins there, in bytes."""


class Window(Protocol):
    """Some of the lines of a log, and how much of it they are."""

    lines: list[str]

    @property
    def begin(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def counts_lines(self) -> bool: ...
    @property
    def behind(self) -> int: ...
    @property
    def is_far_behind(self) -> bool: ...
    @property
    def is_whole(self) -> bool: ...
    @property
    def place_percent(self) -> int: ...
    def start_of(self, index: int) -> int: ...
    def spot_of(self, index: int) -> Spot: ...
    def moment_of(self, index: int) -> Moment | None: ...
    def colours_of(self, index: int) -> Runs: ...
    def index_of(self, start: int) -> int | None: ...
    def read_on(self) -> int | None: ...
    def read_back(self) -> int: ...
    def drop_first(self, count: int) -> None: ...
    def drop_last(self, count: int) -> None: ...


class Text(Protocol):
    """All of what is looked at."""

    def near_end(self) -> Window: ...
    def at(self, start: int) -> Window: ...
    def at_spot(self, spot: Spot) -> Window: ...
    def began(self) -> Moment | None: ...
    def places_with(
        self, matches: Callable[[str], bool], gives_up: Callable[[], bool]
    ) -> Iterator[int]: ...


class FileText:
    """One log, all of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def near_end(self) -> Window:
        return LogWindow.near_end(self._path)

    def at(self, start: int) -> Window:
        return LogWindow.at(self._path, start)

    def at_spot(self, spot: Spot) -> Window:
        return self.at(spot[1])

    def began(self) -> Moment | None:
        return _began(self._path)

    def places_with(
        self, matches: Callable[[str], bool], gives_up: Callable[[], bool]
    ) -> Iterator[int]:
        return lines_with(self._path, matches, gives_up=gives_up)


class IndexedText:
    """Several logs as one, or those lines of logs that are bad enough."""

    def __init__(self, paths: Sequence[Path], least: Level | None) -> None:
        self._paths = paths
        self.index = LogIndex(paths, least)

    def near_end(self) -> Window:
        return IndexWindow.near_end(self.index)

    def at(self, start: int) -> Window:
        return IndexWindow(self.index, start)

    def at_spot(self, spot: Spot) -> Window:
        return self.at(self.index.place_of(*spot))

    def began(self) -> Moment | None:
        moments = [moment for path in self._paths if (moment := _began(path))]
        return min(moments, default=None)

    def places_with(
        self, matches: Callable[[str], bool], gives_up: Callable[[], bool]
    ) -> Iterator[int]:
        return places_with(self.index, matches, gives_up=gives_up)


def giving_way(gives_up: Callable[[], bool]) -> Callable[[], bool]:
    """Return a question whether to give up for a thread that reads: it rests when it is asked.

    It rests for as long as it has worked since: what is on the screen comes first.
    """
    since = perf_counter()

    def asked() -> bool:
        nonlocal since
        sleep(min(perf_counter() - since, LONGEST_REST_SECONDS))
        since = perf_counter()
        return gives_up()

    return asked


def _began(path: Path) -> Moment | None:
    times = LogTimes(path)
    times.look()
    return times.first()
