"""How the rest of a run is expected to go, from how far it is.

A running stream is expected to take what was estimated, and never less than it has taken already:
the time that it has run is a lower bound of its duration at once. One that is beyond its estimate
is expected to need a fifth more than it has had, however long that is: whoever is late is late in
proportion (a heavy tail has no typical rest).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.plans.network import Network
from anabranch.core.plans.plan import Plan
from anabranch.core.plans.rehearsal import Rehearsal
from anabranch.core.plans.timing import critical_nodes, delays_of, estimates_of, timing_of

LATE_SHARE = 0.2
"""So much of the time that a late stream has run is expected to come on top."""


class Standing(msgspec.Struct, frozen=True):
    """How far a stream is: over, running since a moment, or not to begin before one.

    It stays ``idle`` for so many seconds more once all that it waits for is there.
    """

    is_over: bool = False
    started_at: float | None = None
    not_before: float = 0.0
    idle: float = 0.0


class Expected(msgspec.Struct, frozen=True):
    """When a stream is expected to start and to end, in run seconds.

    ``slack`` is by how many seconds it may end later without the whole run ending later, were there
    slots for everybody; ``is_critical`` says that it is on the chain that decides.
    """

    start: float
    end: float
    slack: float
    is_critical: bool


class Forecast(msgspec.Struct, frozen=True):
    """When the run is expected to end, in run seconds, and each stream that is not over."""

    end: float
    streams: Mapping[StreamId, Expected]
    critical: tuple[StreamId, ...]


def expected_rest(estimate: float, elapsed: float) -> float:
    """Return how many seconds more a stream is expected to run that has run for ``elapsed``."""
    return estimate - elapsed if elapsed < estimate else LATE_SHARE * elapsed


def forecast(
    network: Network, plan: Plan, standings: Mapping[StreamId, Standing], slots: int, now: float
) -> Forecast:
    """Return how the rest of a run is expected to go.

    Args:
        network: the plan's network.
        plan: the plan, with its estimates.
        standings: how far each stream is; one that is missing has not begun.
        slots: how many streams may run at a time.
        now: run seconds.
    """
    rest, delay = estimates_of(network, plan), delays_of(network, plan)
    earliest = [0.0] * len(rest)
    over: list[int] = []
    running: list[int] = []
    for node, stream in enumerate(network.ids):
        standing = standings.get(stream, Standing())
        if standing.is_over:
            rest[node] = delay[node] = 0.0
            over.append(node)
        elif standing.started_at is not None:
            rest[node] = expected_rest(rest[node], max(0.0, now - standing.started_at))
            delay[node] = 0.0
            running.append(node)
        elif standing.not_before > 0.0:
            delay[node], earliest[node] = 0.0, max(0.0, standing.not_before - now)
        else:
            delay[node] += standing.idle
    timing = timing_of(network, rest, delay, earliest)
    rehearsal = Rehearsal(
        network, timing.rank, rest, delay, slots, over=over, running=running, earliest=earliest
    )
    length = rehearsal.run()
    gone = frozenset(over)
    critical = [node for node in critical_nodes(network, timing) if node not in gone]
    found = {}
    for node, stream in enumerate(network.ids):
        start, end = rehearsal.start[node], rehearsal.end[node]
        if node in gone or start is None or end is None:
            continue
        slack = max(0.0, timing.length - timing.ready[node] - timing.rank[node])
        found[stream] = Expected(now + start, now + end, slack, node in critical)
    return Forecast(now + length, found, tuple(network.ids[node] for node in critical))
