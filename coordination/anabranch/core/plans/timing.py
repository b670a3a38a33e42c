"""When each stream of a plan can start at the earliest, and how much of the plan is behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.plans.network import Network
from anabranch.core.plans.plan import Plan


class Timing(msgspec.Struct, frozen=True):
    """When each node may start at the earliest, in seconds, and how long is left from there."""

    ready: list[float]
    start: list[float]
    duration: list[float]
    rank: list[float]
    length: float


def timing_of(
    network: Network,
    duration: Sequence[float],
    delay: Sequence[float],
    earliest: Sequence[float] = (),
) -> Timing:
    """Return the timing of a plan with slots for everybody.

    Args:
        network: who waits for whom.
        duration: seconds that each node takes.
        delay: seconds that each node stays idle once all that it waits for is there.
        earliest: when each node may start at the earliest, whatever it waits for, in seconds; any
            time if that is left out.
    """
    size, idle = len(network.waits_for), list(delay)
    timing = Timing([0.0] * size, [0.0] * size, list(duration), list(duration), 0.0)
    for node in network.order:
        sources = network.waits_for[node]
        timing.ready[node] = max((_release(timing, *edge) for edge in sources), default=0.0)
        if earliest:
            idle[node] = max(idle[node], earliest[node] - timing.ready[node])
        timing.start[node] = timing.ready[node] + idle[node]
    for node in reversed(network.order):
        for follower, waits_for_end in network.followers[node]:
            way = timing.rank[follower] + (duration[node] if waits_for_end else 0.0)
            timing.rank[node] = max(timing.rank[node], way)
        timing.rank[node] += idle[node]
    length = max((timing.start[node] + duration[node] for node in network.order), default=0.0)
    return Timing(timing.ready, timing.start, list(duration), timing.rank, length)


def planned(network: Network, plan: Plan) -> Timing:
    """Return the timing by the plan's estimates."""
    return timing_of(network, estimates_of(network, plan), delays_of(network, plan))


def as_it_was(network: Network, plan: Plan, durations: Mapping[StreamId, float]) -> Timing:
    """Return the timing by what streams took; one that is missing did not run and took nothing."""
    duration, delay = [0.0] * len(network.waits_for), delays_of(network, plan)
    for node, stream in enumerate(plan.streams):
        duration[node] = durations.get(stream.id, 0.0)
        if stream.id not in durations:
            delay[node] = 0.0
    return timing_of(network, duration, delay)


def critical_nodes(network: Network, timing: Timing) -> list[int]:
    """Return the streams of the chain that decides how long the plan takes, first to last."""
    startable = [node for node in network.order if network.is_stream(node)]
    if not startable:
        return []
    ends = [timing.start[node] + timing.duration[node] for node in range(len(network.ids))]
    chain = [max(startable, key=lambda node: (ends[node], -node))]
    while sources := network.waits_for[chain[-1]]:
        chain.append(max(sources, key=lambda edge: (_release(timing, *edge), -edge[0]))[0])
    return [node for node in reversed(chain) if network.is_stream(node)]


def estimates_of(network: Network, plan: Plan) -> list[float]:
    """Return the estimate of each node in seconds; points take none."""
    estimates = [stream.estimate_seconds for stream in plan.streams]
    return estimates + [0.0] * (len(network.waits_for) - len(estimates))


def delays_of(network: Network, plan: Plan) -> list[float]:
    """Return how many seconds each node stays idle once it might start."""
    delays = [stream.after_seconds for stream in plan.streams]
    return delays + [0.0] * (len(network.waits_for) - len(delays))


def _release(timing: Timing, source: int, waits_for_end: bool) -> float:
    """Return when an edge from ``source`` lets its follower go, in seconds from the start."""
    return timing.start[source] + (timing.duration[source] if waits_for_end else 0.0)
