"""Items of which it is known how long they took before: the longest of those in sight goes first.

What takes long should not start last, when nothing is left to run beside it (longest processing
time first, Graham 1969). Items come from a bounded stream all the same: only so many of them are in
sight at a time, and a few more come into sight with each that starts.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Mapping
from typing import Any

from .plain import plain
from .queues import Queue, Work

IN_SIGHT = 4096
PULLED = 64
"""So many more come into sight at once: the first handler waits for no more than these."""
MOST_BYTES = 64 << 20


class KnownSeconds:
    """How long items took before, by what they are called; the others as long as the middle one."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds
        ordered = sorted(seconds.values())
        self._other = ordered[len(ordered) // 2] if ordered else 0.0

    def of(self, text: str) -> float:
        """Return the seconds that an item is expected to take."""
        return self._seconds.get(text, self._other)

    def __bool__(self) -> bool:
        return bool(self._seconds)


def read_known(path: str | None) -> KnownSeconds:
    """Return what a file tells, the newest few seconds of each item; one without sense: nothing."""
    try:
        with os.fdopen(plain(path or "", os.O_RDONLY), "rb") as file:
            found = json.loads(file.read(MOST_BYTES))
        return KnownSeconds({text: _middle(seconds) for text, seconds in found.items()})
    except (OSError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return KnownSeconds({})


def _middle(seconds: list[float]) -> float:
    return float(sorted(seconds)[len(seconds) // 2])


class LongestFirst(Queue):
    """A queue that hands out the longest of the items in sight."""

    def __init__(self, known: KnownSeconds, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known = known
        self._in_sight: list[tuple[float, int, Work]] = []

    @property
    def may_have_more(self) -> bool:
        """Whether more may come though there is nothing now."""
        return bool(self._in_sight) or super().may_have_more

    def next(self) -> Work | None:
        """Return what is to be done next, None if there is nothing (now, or any more)."""
        for _ in range(min(PULLED, IN_SIGHT - len(self._in_sight))):
            work = super().next()
            if work is None:
                break
            heapq.heappush(self._in_sight, (-self._known.of(work.text), work.place, work))
        return heapq.heappop(self._in_sight)[2] if self._in_sight else None
