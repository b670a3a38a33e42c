"""The graph of a plan as a tree: each stream once, under the one that it waits for the longest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.forecast import Expected
from anabranch.core.plans.graph import critical_path
from anabranch.core.plans.plan import Dependency
from anabranch.core.views.accounting import durations_of, with_durations

MOST_DRAWN = 12
"""Of how many levels it is told whether they go on: those next to the root."""


class Node(msgspec.Struct, frozen=True, gc=False):
    """A stream in the tree, at so many steps from a root.

    ``is_last`` says of the levels from the root to itself whether nothing follows there, and of no
    more than are drawn.
    ``others`` are the words of what it depends on beside the one that it stands under; ``below`` is
    how many streams stand below it, right behind it in the list.
    """

    stream: StreamId
    depth: int
    is_last: tuple[bool, ...]
    others: tuple[str, ...]
    below: int


def plan_tree(state: State, expected: Mapping[StreamId, Expected]) -> tuple[Node, ...]:
    """Return the tree, each stream before those that stand under it, and else in plan order.

    Args:
        state: the run.
        expected: when each stream that is not over is expected to run.
    """
    binding = {plan.id: _binding(state, plan.id, expected) for plan in state.plan.streams}
    children: dict[StreamId | None, list[StreamId]] = {None: []}
    for stream, dependency in binding.items():
        above = dependency[1] if dependency else None
        children.setdefault(above, []).append(stream)
    nodes: list[Node] = []
    open_ends = _siblings(children[None], 0, ())
    while open_ends:
        stream, depth, is_last = open_ends.pop()
        nodes.append(Node(stream, depth, is_last, _others(state, stream, binding[stream]), 0))
        open_ends += _siblings(children.get(stream, ()), depth + 1, is_last)
    return _counted(nodes)


def critical_streams(state: State, now: float) -> tuple[StreamId, ...]:
    """Return the chain that has decided how long a run took, or has taken so far."""
    durations = durations_of(state, now)
    chain, _ = critical_path(with_durations(state.plan, durations))
    return tuple(stream for stream in chain if stream in durations)


Bound = tuple[Dependency, StreamId]


def _binding(state: State, stream: StreamId, expected: Mapping[StreamId, Expected]) -> Bound | None:
    """Return what a stream depends on that is expected last, and who is to meet it."""
    order = state.topology.order
    latest, at = None, -math.inf
    for dependency in state.stream_plan(stream).depends_on:
        known = [
            other for other in dependency.streams if order.get(other, 0) < order.get(stream, 0)
        ]
        if not known:
            continue
        met = {other: _met_at(state, other, dependency, expected) for other in known}
        first = min(known, key=met.__getitem__)
        if met[first] > at:
            latest, at = (dependency, first), met[first]
    return latest


def _met_at(
    state: State, other: StreamId, dependency: Dependency, expected: Mapping[StreamId, Expected]
) -> float:
    """Return when a stream met a dependency, or is expected to."""
    known, plan = state.streams[other], expected.get(other)
    if not dependency.waits_for_end:
        if known.first_started_at is not None:
            return known.first_started_at
        return plan.start if plan is not None else known.since
    return plan.end if plan is not None and not known.has_ended else known.since


def _others(state: State, stream: StreamId, bound: Bound | None) -> tuple[str, ...]:
    needed = state.stream_plan(stream).depends_on
    return tuple(d.words for d in needed if bound is None or d is not bound[0])


def _siblings(
    streams: Sequence[StreamId], depth: int, above: tuple[bool, ...]
) -> list[tuple[StreamId, int, tuple[bool, ...]]]:
    """Return streams that stand under the same one, the last one first."""
    return [
        (stream, depth, (*above, place == 0)[:MOST_DRAWN])
        for place, stream in enumerate(reversed(streams))
    ]


def _counted(nodes: list[Node]) -> tuple[Node, ...]:
    """Return nodes with how many stand below each: those that follow it and are deeper."""
    below = [0] * len(nodes)
    above: list[int] = []
    for place, node in enumerate(nodes):
        while above and nodes[above[-1]].depth >= node.depth:
            ended = above.pop()
            below[ended] = place - ended - 1
        above.append(place)
    for open_end in above:
        below[open_end] = len(nodes) - open_end - 1
    return tuple(
        msgspec.structs.replace(node, below=count) for node, count in zip(nodes, below, strict=True)
    )
