"""In which order lines of several logs are shown as one: by time, each log's own order kept."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
BEFORE_ALL = float("-inf")


class Order:
    """The order of several logs that may go on growing.

    A line without a known time comes right after the one above it in its log, and before all if
    there is none. No line comes before one above it, also if the clock was set back. What has the
    same time comes in the order of the logs.
    """

    def __init__(self) -> None:
        self._latest: dict[int, float] = {}

    def merged(
        self, logs: Sequence[Iterable[tuple[float | None, Item]]]
    ) -> Iterator[tuple[int, Item]]:
        """Yield what is new of each log in one order, each with the place of its log.

        Args:
            logs: the times and lines of each, lines that come after all that were given before.
        """
        rising = [self._rising(place, lines) for place, lines in enumerate(logs)]
        for _, place, item in heapq.merge(*rising, key=lambda line: line[:2]):
            yield place, item

    def _rising(
        self, place: int, lines: Iterable[tuple[float | None, Item]]
    ) -> Iterator[tuple[float, int, Item]]:
        for time, item in lines:
            latest = self._latest.get(place, BEFORE_ALL)
            self._latest[place] = latest if time is None else max(time, latest)
            yield self._latest[place], place, item
