"""A rehearsal of a plan, or of what is left of it, as it is expected to go."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

from anabranch.core.plans.network import Network


class Rehearsal:
    """Runs a plan on paper: a free slot always takes the ready stream of the highest rank.

    ``start`` and ``end`` tell of each node when it began and was over, in seconds from the
    beginning; None of one that was over before, or never came to run.
    """

    def __init__(
        self,
        network: Network,
        rank: Sequence[float],
        duration: Sequence[float],
        delay: Sequence[float],
        slots: int,
        *,
        over: Collection[int] = (),
        running: Collection[int] = (),
        earliest: Sequence[float] = (),
    ) -> None:
        """Prepare.

        Args:
            network: who waits for whom.
            rank: how much each node is ahead of others, the largest first.
            duration: seconds that each node takes; of one that runs, those that are left.
            delay: seconds that each node stays idle once all that it waits for is there.
            slots: how many streams run at a time, at least one.
            over: the streams that nothing is expected of any more.
            running: the streams that have slots, even if they are more than there are slots.
            earliest: before when nodes do not start, in seconds; any time if that is left out.
        """
        self._network, self._rank = network, rank
        self._duration, self._delay, self._earliest = duration, delay, earliest
        self._free = max(slots, 1) - len(running)
        self._now = 0.0
        self._open = [len(sources) for sources in network.waits_for]
        self._ready: list[tuple[float, int]] = []
        self._timeline: list[tuple[float, bool, int]] = []
        self._over, self._running = frozenset(over), frozenset(running)
        self.start: list[float | None] = [None] * len(network.waits_for)
        self.end: list[float | None] = [None] * len(network.waits_for)

    def run(self) -> float:
        """Run it, and return how many seconds it takes."""
        self._begin()
        while self._timeline:
            self._now = self._timeline[0][0]
            while self._timeline and self._timeline[0][0] == self._now:
                _, has_ended, node = heapq.heappop(self._timeline)
                self._end(node) if has_ended else self._queue(node)
            while self._free > 0 and self._ready:
                self._start(heapq.heappop(self._ready)[1])
        return self._now

    def _begin(self) -> None:
        """Take the rest of the plan up where it stands."""
        for node in self._over:
            for follower, _ in self._network.followers[node]:
                self._open[follower] -= 1
        for node in self._running:
            self.start[node] = 0.0
            heapq.heappush(self._timeline, (self._duration[node], True, node))
            for follower, waits_for_end in self._network.followers[node]:
                self._open[follower] -= not waits_for_end
        begun = self._over | self._running
        waiting = [n for n, count in enumerate(self._open) if count == 0 and n not in begun]
        for node in waiting:
            self._release(node)

    def _release(self, node: int) -> None:
        """Release a node whose needs are met: a stream becomes due, a point is passed."""
        if self._network.is_stream(node):
            due = self._now + self._delay[node]
            if self._earliest:
                due = max(due, self._earliest[node])
            heapq.heappush(self._timeline, (due, False, node))
        else:
            self.start[node] = self.end[node] = self._now
            self._notify(node, of_end=True)

    def _queue(self, node: int) -> None:
        heapq.heappush(self._ready, (-self._rank[node], node))

    def _start(self, node: int) -> None:
        self._free -= 1
        self.start[node] = self._now
        heapq.heappush(self._timeline, (self._now + self._duration[node], True, node))
        self._notify(node, of_end=False)

    def _end(self, node: int) -> None:
        self._free += 1
        self.end[node] = self._now
        self._notify(node, of_end=True)

    def _notify(self, node: int, of_end: bool) -> None:
        # Only the final point waits for points, and nothing waits for it that could be released,
        # so this goes two levels deep at most.
        for follower, waits_for_end in self._network.followers[node]:
            if waits_for_end == of_end:
                self._open[follower] -= 1
                if self._open[follower] == 0 and follower not in self._over:
                    self._release(follower)
