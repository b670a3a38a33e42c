"""The rows of the graph: a tree, or groups by wave or state, folded as somebody wants them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal, NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.views.plan_tree import Node
from anabranch_console.presenters.plan_look import PlanLook
from anabranch_console.presenters.stream_row import URGENCY

Grouping = Literal["tree", "wave", "state"]
GROUPINGS: tuple[Grouping, ...] = ("tree", "wave", "state")

Key = tuple[str, str]
"""What a row is known by: the group it heads, or its stream."""


class PlanRow(NamedTuple):
    """A stream, or a group of some.

    ``depth`` and ``is_last`` are its place in the tree, ``others`` what it waits for beside the one
    above it. ``below`` are the streams that it stands for while it is folded: all of a group's, or
    those that stand below it.
    """

    stream: StreamId | None
    group: str = ""
    depth: int = 0
    is_last: tuple[bool, ...] = ()
    others: tuple[str, ...] = ()
    below: tuple[StreamId, ...] = ()
    can_fold: bool = False
    is_folded: bool = False

    @property
    def key(self) -> Key:
        """What the row is known by."""
        return (self.group, self.stream or "")

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """The streams that it is about."""
        return self.below if self.stream is None else (self.stream,)


def plan_rows(
    look: PlanLook, grouping: Grouping, folded: Collection[Key], *, critical_only: bool
) -> list[PlanRow]:
    """Return the rows in their order.

    Args:
        look: the graph.
        grouping: how the rows stand.
        folded: the keys of the rows that what is below them is folded into.
        critical_only: whether only what is on the critical path is shown.
    """
    others = {node.stream: node for node in look.shape.tree}
    if grouping == "tree" and critical_only:
        chain = (others[name] for name in look.shape.critical)
        return [PlanRow(node.stream, others=_needs(look, node.stream)) for node in chain]
    if grouping == "tree":
        return list(_tree(look.shape.tree, folded))
    return [
        row
        for name, streams in _groups(look, grouping)
        for row in _group(look, name, streams, folded, critical_only)
    ]


def _tree(tree: tuple[Node, ...], folded: Collection[Key]) -> Iterator[PlanRow]:
    at = 0
    while at < len(tree):
        node = tree[at]
        is_folded = bool(node.below) and ("", node.stream) in folded
        below = tree[at + 1 : at + 1 + node.below] if is_folded else ()
        yield PlanRow(
            node.stream,
            depth=node.depth,
            is_last=node.is_last,
            others=node.others,
            below=tuple(hidden.stream for hidden in below),
            can_fold=bool(node.below),
            is_folded=is_folded,
        )
        at += 1 + len(below)


def _groups(look: PlanLook, grouping: Grouping) -> Iterable[tuple[str, tuple[StreamId, ...]]]:
    if grouping == "wave":
        found = [(f"wave {number}", wave) for number, wave in enumerate(look.shape.waves, 1)]
        known = {name for _, wave in found for name in wave}
        never = tuple(plan.id for plan in look.state.plan.streams if plan.id not in known)
        return [*found, ("can never start", never)] if never else found
    by_state: dict[str, list[StreamId]] = {}
    for plan in look.state.plan.streams:
        by_state.setdefault(look.stream(plan.id).public_state, []).append(plan.id)
    first = {state: place for place, state in enumerate(URGENCY)}
    ordered = sorted(by_state, key=lambda state: first.get(state, len(first)))
    return [(state, tuple(by_state[state])) for state in ordered]


def _group(
    look: PlanLook,
    name: str,
    streams: tuple[StreamId, ...],
    folded: Collection[Key],
    critical_only: bool,
) -> Iterator[PlanRow]:
    if critical_only:
        streams = tuple(stream for stream in streams if look.is_critical(stream))
    if not streams:
        return
    is_folded = (name, "") in folded
    yield PlanRow(None, name, below=streams, can_fold=True, is_folded=is_folded)
    for place, stream in enumerate(() if is_folded else streams, 1):
        is_last = (True, place == len(streams))
        yield PlanRow(stream, name, 1, is_last, _needs(look, stream))


def _needs(look: PlanLook, name: StreamId) -> tuple[str, ...]:
    return tuple(dependency.words for dependency in look.state.stream_plan(name).depends_on)
