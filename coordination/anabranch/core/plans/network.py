"""A plan as a network of numbered nodes.

First come the streams in plan order, then one node a convergence point. A point costs no time and
no slot; it stands between its streams and those that wait for it with the condition ``converged``,
so a point of a thousand streams that a thousand others wait for needs two thousand edges and not a
million. An edge either waits for the end of its source or, under the condition ``started``, for its
beginning only. A stream that waits for itself by way of a point can never start, and is left out of
the topological order.
"""

from __future__ import annotations

import msgspec

from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.plans.plan import Plan

Edges = list[list[tuple[int, bool]]]
"""For each node its neighbours, and whether the edge waits for the end of its source."""


class Network(msgspec.Struct, frozen=True):
    """The plan as numbered nodes; ``order`` holds those that can start, sources first."""

    ids: tuple[StreamId, ...]
    waits_for: Edges
    followers: Edges
    order: list[int]

    def is_stream(self, node: int) -> bool:
        """Say whether a node is a stream; else it is a point."""
        return node < len(self.ids)


def waiters_of(network: Network) -> list[int]:
    """Return for each stream how many streams wait for it, directly or through others.

    Sets of streams are kept as the bits of integers: a plan of thousands is a matter of
    milliseconds.
    """
    streams = (1 << len(network.ids)) - 1
    behind = [0] * len(network.waits_for)
    for node in reversed(network.order):
        for follower, _ in network.followers[node]:
            behind[node] |= behind[follower] | (1 << follower)
    return [(bits & streams).bit_count() for bits in behind[: len(network.ids)]]


def network_of(plan: Plan) -> Network:
    """Return who waits for whom in a plan."""
    ids = tuple(stream.id for stream in plan.streams)
    waits_for = _edges(plan)
    followers: Edges = [[] for _ in waits_for]
    for node, sources in enumerate(waits_for):
        for source, waits_for_end in sources:
            followers[source].append((node, waits_for_end))
    return Network(ids, waits_for, followers, _topological_order(waits_for, followers))


def _edges(plan: Plan) -> Edges:
    """Return who waits for whom; the final point waits for the other points as well."""
    stream_node = {stream.id: node for node, stream in enumerate(plan.streams)}
    point_node = {point.id: len(plan.streams) + node for node, point in enumerate(plan.points)}
    early = {point.id for point in plan.points if point.merges_early}
    points_of = {
        stream.id: [p for p in stream.points if p not in early and p in point_node]
        for stream in plan.streams
    }
    waits_for: Edges = [[] for _ in range(len(stream_node) + len(point_node))]
    for node, stream in enumerate(plan.streams):
        for dependency in stream.depends_on:
            for other in dependency.streams:
                waits_for[node].append((stream_node[other], dependency.waits_for_end))
                if dependency.condition == "converged":
                    waits_for[node].extend((point_node[p], True) for p in points_of[other])
        for point in stream.points:
            if point in point_node:
                waits_for[point_node[point]].append((node, True))
    if FINAL_POINT in point_node:
        final = point_node[FINAL_POINT]
        waits_for[final].extend((node, True) for node in point_node.values() if node != final)
    return waits_for


def _topological_order(waits_for: Edges, followers: Edges) -> list[int]:
    waiting = [len(sources) for sources in waits_for]
    order = [node for node, count in enumerate(waiting) if count == 0]
    for node in order:
        for follower, _ in followers[node]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                order.append(follower)
    return order
