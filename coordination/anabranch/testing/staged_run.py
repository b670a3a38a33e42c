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
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.effects import AskVictim, Effect, WakeAt
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State
from anabranch.core.plans.graph import lower_bound_seconds
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.testing.by_hand import ByHand

MOST_STEPS = 100_000
FENCED = 143
"""How an attempt exits that is told to end."""


class Lease(msgspec.Struct, frozen=True):
    """Who had which slot, in which lease of it, from when on, for how long, and why there."""

    stream: StreamId
    slot: int
    incarnation: int
    at: float
    reason: str
    seconds: float = 0.0


def nothing_is_warm(stream: StreamId, last: StreamId | None) -> float:
    """Return that a stream takes equally long wherever it runs."""
    return 0.0


class StagedRun:
    """One run of a plan from its beginning to its end.

    Args:
        plan: what to run; nothing in it fails.
        strategies: what decides.
        seconds: how long each stream really takes.
        again: how long a copy of it takes; as long, if that is not said.
        is_checked: whether all promises are checked at every step.
        at: what else happens, by the moment (run seconds) at which it does.
        cold: how many seconds more a stream takes where another one ran last, or nobody did.
    """

    def __init__(
        self,
        plan: Plan,
        strategies: Strategies,
        seconds: Mapping[StreamId, float],
        *,
        is_checked: bool = False,
        at: Mapping[float, inputs.Input] | None = None,
        cold: Callable[[StreamId, StreamId | None], float] = nothing_is_warm,
        again: Mapping[StreamId, float] | None = None,
    ) -> None:
        self._seconds, self._again = seconds, again or {}
        self._cold = cold
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
        return max(lease.at + lease.seconds for lease in self.leases)

    @property
    def ended_at(self) -> float:
        """Seconds from the beginning to the end of the run, however many attempts there were."""
        return self.state.at if self.state.ended_at is None else self.state.ended_at

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
        while self._seen < len(self.run.records) or self.run.all_effects:
            effects, self.run.all_effects = self.run.all_effects, []
            for effect in effects:
                self._perform(effect)
            if self._seen < len(self.run.records):
                event = self.run.records[self._seen].event
                self._seen += 1
                self._follow(event)

    def _follow(self, event: ev.Event) -> None:
        match event:
            case ev.StreamAdmitted():
                self._begin(event)
            case ev.StreamCopied():
                self._begin_copy(event)
            case ev.AttemptFenced():
                self._end(event.stream, event.attempt, FENCED)
            case ev.ConvergenceStarted():
                self.run.merged(event.point)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, AskVictim):
            self.run.give(let_go(effect))
        elif isinstance(effect, WakeAt) and effect.at > self.run.clock():
            self._later(effect.at, lambda: self.run.give(inputs.TimeReached(cause=1)))

    def _begin(self, event: ev.StreamAdmitted) -> None:
        name, now = event.stream, self.run.clock()
        took = self._seconds[name] + self._cold(name, self.state.slots[event.slot].last)
        because = event.placed_because
        self.leases.append(Lease(name, event.slot, event.incarnation, now, because, took))
        self.run.run(name)
        self._later(now + took, partial(self._end, name, event.attempt))

    def _begin_copy(self, event: ev.StreamCopied) -> None:
        self.run.run(f"{event.stream}@{event.attempt}")
        seconds = self._again.get(event.stream, self._seconds[event.stream])
        moment = self.run.clock() + seconds
        self._later(moment, partial(self._end, event.stream, event.attempt))

    def _end(self, stream: StreamId, attempt: Attempt, code: int = 0) -> None:
        """End one attempt, unless it is over."""
        known = self.state.at_attempt(stream, attempt)
        if known.attempt == attempt and known.phase in LIVE:
            name = f"{stream}@{attempt}"
            self.run.exited(name, code)
            self.run.kept(name)

    def _later(self, moment: float, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (moment, self._count, act))
