"""Services in the simulated world: they are ready after a while, or never, and seldom end."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan, ReadyPlan
from anabranch.testing.agenda import Agenda
from anabranch.testing.clock import FakeClock
from anabranch.testing.processes import Fate


class SimulatedServices:
    """What services do if nobody interferes."""

    def __init__(
        self,
        clock: FakeClock,
        rng: Random,
        post: Callable[[inputs.Input, fx.Effect | None], None],
        sometimes: Callable[[str], None],
    ) -> None:
        self._clock, self._rng = clock, rng
        self._post, self._sometimes = post, sometimes

    def fate_of(self, state: State, effect: fx.StartProcess, fate: Fate) -> Fate:
        """Return how a process goes that may be a service's: most run until they are ended."""
        if not state.stream_plan(effect.stream).is_service:
            return fate
        if self._rng.random() < 0.7:
            return replace(fate, seconds=math.inf)
        self._sometimes("a service ended by itself")
        return fate

    def readiness(self, effect: fx.AwaitReadiness) -> tuple[float, Callable[[], None]]:
        """Return after how many seconds it is seen how a service is, and what tells it."""
        is_ready = self._rng.random() < 0.8
        left = max(0.0, effect.until - self._clock())
        seconds = self._rng.uniform(0.0, min(left, 3.0)) if is_ready else left
        self._sometimes("a service was ready" if is_ready else "a service was not ready in time")
        fact = inputs.ReadinessSeen(
            stream=effect.stream,
            attempt=effect.attempt,
            is_ready=is_ready,
            evidence="simulated",
            cause=effect.cause,
        )
        return seconds, lambda: self._post(fact, effect)

    def watch(self, effect: fx.WatchHealth, agenda: Agenda) -> None:
        """Have a service that is ready answer no more after a while, now and then."""
        if self._rng.random() > 0.15:
            return
        self._sometimes("a service was unhealthy")
        fact = inputs.HealthSeen(
            stream=effect.stream,
            attempt=effect.attempt,
            evidence="simulated",
            since=self._clock(),
            cause=effect.cause,
        )
        agenda.after(self._rng.uniform(0.0, 5.0), lambda: self._post(fact, effect), volatile=True)


def with_services(rng: Random, plan: Plan) -> Plan:
    """Make services of some streams of which nobody waits for the end; one job stays at least."""
    waited_for = {
        other
        for stream in plan.streams
        for dependency in stream.depends_on
        if dependency.waits_for_end
        for other in dependency.streams
    }
    chosen = {
        s.id
        for s in plan.streams[1:]
        if s.id not in waited_for
        and not (s.is_repeatable or s.review or s.sync or s.capabilities)
        and not any(p.adopts_one and s.id in p.streams for p in plan.points)
        and rng.random() < 0.5
    }
    return _services_of(rng, plan, chosen) if chosen else plan


def _services_of(rng: Random, plan: Plan, chosen: set[StreamId]) -> Plan:
    streams = []
    for stream in plan.streams:
        if stream.id in chosen:
            ready = rng.choice((None, ReadyPlan(port="web", timeout_seconds=4.0)))
            restart = rng.choice(("never", "on_failure", "always"))
            stream = replace(
                stream,
                kind="service",
                ready=ready,
                restart=restart,
                timeout_seconds=None,
                tty=False,
            )
        needs = tuple(
            replace(d, condition="ready") if d.stream in chosen else d for d in stream.depends_on
        )
        streams.append(replace(stream, depends_on=needs))
    points = tuple(
        replace(p, streams=tuple(s for s in p.streams if s not in chosen)) for p in plan.points
    )
    return replace(plan, streams=tuple(streams), points=points)
