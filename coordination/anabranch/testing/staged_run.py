"""A staged run: the real decisions about a plan, on durations that are known beforehand.

Everything but the streams takes no time, and nothing fails. So a run of hundreds of streams takes
seconds, and what it tells is about the load balancer alone: who ran where, from when until when.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.effects import WakeAt
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.graph import lower_bound_seconds
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.testing.by_hand import ByHand

MOST_STEPS = 100_000


class Lease(msgspec.Struct, frozen=True):
    """Who had which slot, in which lease of it, from when on, and why it was put there."""

    stream: StreamId
    slot: int
    incarnation: int
    at: float
    reason: str


class StagedRun:
    """One run of a plan from its beginning to its end.

    Args:
        plan: what to run; nothing in it fails.
        strategies: what decides.
        seconds: how long each stream really takes.
        is_checked: whether all promises are checked at every step.
        at: what else happens, by the moment (run seconds) at which it does.
    """

    def __init__(
        self,
        plan: Plan,
        strategies: Strategies,
        seconds: Mapping[StreamId, float],
        *,
        is_checked: bool = False,
        at: Mapping[float, inputs.Input] | None = None,
    ) -> None:
        self._seconds = seconds
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self._seen = 0
        self.leases: list[Lease] = []
        self.run = ByHand(plan, strategies, is_checked=is_checked)
        for moment, given in (at or {}).items():
            self._later(moment, partial(self.run.give, given))
        self._go()

    @property
    def state(self) -> State:
        return self.run.state

    @property
    def makespan(self) -> float:
        """Seconds from the beginning to the end of the last stream."""
        return max(lease.at + self._seconds[lease.stream] for lease in self.leases)

    def efficiency(self) -> float:
        """Return the share of the lower bound in the time it took: 1 is the best there can be."""
        plan = self.state.plan
        return lower_bound_seconds(plan, plan.max_parallel, self._seconds) / self.makespan

    def _go(self) -> None:
        self._take_up()
        while self._agenda:
            moment, count, act = heapq.heappop(self._agenda)
            assert count < MOST_STEPS, "the run never comes to its end"
            self.run.clock.advance_to(moment)
            act()
            self._take_up()

    def _take_up(self) -> None:
        """Do what the newest events and effects ask for."""
        while self._seen < len(self.run.records):
            event = self.run.records[self._seen].event
            self._seen += 1
            if isinstance(event, ev.StreamAdmitted):
                self._begin(event)
            elif isinstance(event, ev.ConvergenceStarted):
                self.run.merged(event.point)
        for effect in self.run.all_effects:
            if isinstance(effect, WakeAt) and effect.at > self.run.clock():
                self._later(effect.at, lambda: self.run.give(inputs.TimeReached(cause=1)))
        self.run.all_effects.clear()

    def _begin(self, event: ev.StreamAdmitted) -> None:
        name, now = event.stream, self.run.clock()
        self.leases.append(Lease(name, event.slot, event.incarnation, now, event.placed_because))
        self.run.run(name)
        self._later(now + self._seconds[name], lambda: self._end(name))

    def _end(self, name: StreamId) -> None:
        self.run.exited(name)
        self.run.kept(name)

    def _later(self, moment: float, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (moment, self._count, act))
