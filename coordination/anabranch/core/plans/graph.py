"""What follows from who waits for whom: waves, the critical path, slack, estimates.

Every function below is one or two passes over the plan's network (:mod:`.network`) in topological
order. Nothing recurses, and plan order breaks every tie, so the same plan always gives the same
answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core.ids import StreamId
from anabranch.core.plans.network import network_of
from anabranch.core.plans.plan import Plan
from anabranch.core.plans.rehearsal import Rehearsal
from anabranch.core.plans.timing import as_it_was, critical_nodes, delays_of, planned

_ROUNDING = 1e-9
"""Relative to the whole length; below it a slack is a rounding error and counts as none."""

# ------------------------------------------------------------------ order


def waves(plan: Plan) -> list[list[StreamId]]:
    """Group the streams: each wave waits only for streams of earlier waves."""
    network = network_of(plan)
    level = [-1] * len(network.waits_for)
    grouped: list[list[int]] = []
    for node in network.order:
        below = max((level[source] for source, _ in network.waits_for[node]), default=-1)
        level[node] = below + network.is_stream(node)
        if network.is_stream(node):
            if level[node] == len(grouped):
                grouped.append([])
            grouped[level[node]].append(node)
    return [[network.ids[node] for node in sorted(wave)] for wave in grouped]


def descendants(plan: Plan, stream: StreamId) -> list[StreamId]:
    """Return everything that waits for ``stream``, directly or through others, in plan order."""
    network = network_of(plan)
    origin = network.ids.index(stream)
    seen = {origin}
    stack = [origin]
    while stack:
        for follower, _ in network.followers[stack.pop()]:
            if follower not in seen:
                seen.add(follower)
                stack.append(follower)
    seen.discard(origin)
    return [network.ids[node] for node in sorted(seen) if network.is_stream(node)]


def never_startable(plan: Plan) -> list[StreamId]:
    """Return the streams that wait, in the end, for themselves, and those that wait for such."""
    network = network_of(plan)
    startable = set(network.order)
    return [name for node, name in enumerate(network.ids) if node not in startable]


def ended_before(plan: Plan) -> dict[StreamId, int]:
    """Return for each stream the streams certain to have ended before it starts.

    They are a set of plan positions kept as the bits of an integer: bit 0 is the plan's first
    stream. Two streams may run at the same time unless one of them is in the other's set.
    """
    network = network_of(plan)
    before = [0] * len(network.waits_for)
    for node in network.order:
        for source, waits_for_end in network.waits_for[node]:
            before[node] |= before[source]
            if waits_for_end and network.is_stream(source):
                before[node] |= 1 << source
    return dict(zip(network.ids, before, strict=False))


# ------------------------------------------------------------------ time


def critical_path(plan: Plan) -> tuple[list[StreamId], float]:
    """Return the chain of streams that decides how long a plan takes at least, and its seconds."""
    network = network_of(plan)
    timing = planned(network, plan)
    return [network.ids[node] for node in critical_nodes(network, timing)], timing.length


def slack(plan: Plan) -> dict[StreamId, float]:
    """Return how many seconds each stream may slip before the whole plan takes longer."""
    network = network_of(plan)
    timing = planned(network, plan)
    startable = set(network.order)
    result: dict[StreamId, float] = {}
    for node, name in enumerate(network.ids):
        left = timing.length - (timing.ready[node] + timing.rank[node])
        counts = node in startable and left > _ROUNDING * timing.length
        result[name] = left if counts else 0.0
    return result


def lower_bound_seconds(
    plan: Plan, slots: int, durations: Mapping[StreamId, float] | None = None
) -> float:
    """Return what no schedule on ``slots`` slots is shorter than: critical path, or work a slot.

    With ``durations`` in seconds those count in place of the plan's estimates, and a stream that
    is missing there did not run and counts nothing.
    """
    network = network_of(plan)
    timing = planned(network, plan) if durations is None else as_it_was(network, plan, durations)
    work = sum(timing.duration[node] for node in network.order)
    return max(timing.length, work / max(slots, 1))


def estimated_seconds(plan: Plan, slots: int) -> float:
    """Return how long a plan takes on ``slots`` slots when the longest remaining way goes first."""
    network = network_of(plan)
    timing = planned(network, plan)
    delay = delays_of(network, plan)
    return Rehearsal(network, timing.rank, timing.duration, delay, slots).run()
