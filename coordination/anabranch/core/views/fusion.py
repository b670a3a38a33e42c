"""Who has gone on in whose workspace, and how far what each brought lags behind what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State, Stream


class Member(msgspec.Struct, frozen=True):
    """A stream of a fused group, and its coherence with the others.

    ``builds_on`` is whether it began with what the one before had done; ``behind`` counts those
    whose work has come on top of its own since, ``files_behind`` the files that they have changed.
    What it brought ``stands`` as long as those after it hold the very same.
    """

    stream: StreamId
    builds_on: bool
    behind: int
    files_behind: int
    stands: bool


def fused_groups(state: State) -> tuple[tuple[Member, ...], ...]:
    """Return the groups of streams that have shared a workspace, in the order of the plan."""
    followers = {s.goes_on_from: s for s in _in_plan_order(state) if s.goes_on_from}
    firsts = [s for s in _in_plan_order(state) if s.id in followers and not s.goes_on_from]
    return tuple(tuple(_members(state, first, followers)) for first in firsts)


def fusion_status(state: State) -> list[dict[str, Any]]:
    """Return the groups as ``fusion`` of ``status --json`` tells them."""
    groups = fused_groups(state)
    return [{"members": [msgspec.to_builtins(m) for m in members]} for members in groups]


def saved_seconds(state: State) -> float:
    """Return about how long making workspaces would have taken that were taken over instead."""
    own = state.fusion.own_seconds or 0.0
    took = [s.spent.preparing for s in state.streams.values() if s.goes_on_from]
    return max(0.0, own * len(took) - sum(took))


def _in_plan_order(state: State) -> Iterator[Stream]:
    return (state.streams[name] for name in state.topology.everyone if name in state.streams)


def _members(state: State, first: Stream, followers: dict[StreamId, Stream]) -> Iterator[Member]:
    group = [first]
    while (following := followers.get(group[-1].id)) is not None:
        group.append(following)
    for place, stream in enumerate(group):
        on_top = list(_on_top_of(group, place))
        files = sum(s.result.files_changed for s in on_top if s.result is not None)
        builds_on = stream.inherits.heir_of == stream.goes_on_from and bool(stream.goes_on_from)
        yield Member(stream.id, builds_on, len(on_top), files, _stands(group, place))


def _on_top_of(group: list[Stream], place: int) -> Iterator[Stream]:
    """Yield those after a member that hold its work, and have brought their own."""
    for before, stream in zip(group[place:], group[place + 1 :], strict=False):
        if stream.inherits.heir_of != before.id:
            return
        if stream.result is not None:
            yield stream


def _stands(group: list[Stream], place: int) -> bool:
    """Say whether the one after a member, if it builds on it, holds what that has brought."""
    for stream in group[place + 1 : place + 2]:
        if stream.inherits.heir_of == group[place].id:
            return stream.inherits.start == group[place].result
    return True
