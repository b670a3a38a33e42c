"""What has come in and is not decided yet, and how long that took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from anabranch.core.inputs import Input
from anabranch.engine.gateway.endpoint import Reply
from anabranch.engine.latency import LatencyHistogram


class Letter(NamedTuple):
    """One input, whom to tell what came of it, and when it arrived (seconds of any clock)."""

    given: Input
    reply: Reply | None
    arrived: float


class Mailbox:
    """The inputs in the order in which they came. Any thread may post.

    Args:
        now: the time in seconds, of any clock that only goes forward.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._letters: deque[Letter] = deque()
        self.latency = LatencyHistogram()

    def __bool__(self) -> bool:
        return bool(self._letters)

    def __iter__(self) -> Iterator[Letter]:
        return iter(self._letters)

    def post(self, given: Input, reply: Reply | None = None) -> None:
        """Add an input behind all others."""
        self._letters.append(Letter(given, reply, self._now()))

    def post_first(self, given: Input) -> None:
        """Add an input before all others."""
        self._letters.appendleft(Letter(given, None, self._now()))

    def take(self, most: int) -> list[Letter]:
        """Take the oldest out, at most so many."""
        return [self._letters.popleft() for _ in range(min(len(self._letters), most))]

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Put back what could not be decided; it waits since it came."""
        self._letters.extendleft(reversed(letters))

    def decided(self, letters: Iterable[Letter]) -> None:
        """Note that what follows from these is durable now."""
        now = self._now()
        for letter in letters:
            self.latency.note(now - letter.arrived)
