"""Whose work a stream, or a convergence point, is built from.

A stream starts from the base plus everything its dependencies brought. The result of a dependency
already holds all that *it* started from, so the largest family is taken over whole, as a starting
commit, and only what it does not contain is merged onto it. A chain is therefore never merged.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.lifecycle import Phase
from anabranch.core.state import Result, State


class Inheritance(msgspec.Struct, frozen=True):
    """Start from ``start`` (the base if None) and merge ``then`` onto it, in this order.

    ``contained`` are the streams whose work is already in ``start``.
    """

    start: Result | None
    contained: tuple[StreamId, ...]
    then: tuple[tuple[StreamId, Result], ...]


def inherited_by(state: State, stream: StreamId) -> Inheritance:
    """Return what a stream starts from."""
    parents = [
        d.stream
        for d in state.stream_plan(stream).depends_on
        if d.condition != "started" and state.streams[d.stream].phase is Phase.SUCCEEDED
    ]
    return inherited_from(state, parents)


def inherited_from(state: State, parents: Iterable[StreamId]) -> Inheritance:
    """Return how the work of the given streams, and all they were built on, comes together."""
    topology = state.topology
    families = {p: topology.ancestors([p]) for p in parents}
    whole = {p: family for p, family in families.items() if _result(state, p)}
    first = max(whole, key=lambda p: (len(whole[p]), -topology.order[p]), default=None)
    contained = whole[first] if first else set()
    rest = set().union(*families.values()) - contained
    results = [(s, _result(state, s)) for s in topology.in_merge_order(rest)]
    return Inheritance(
        start=_result(state, first) if first else None,
        contained=tuple(
            s
            for s in topology.in_merge_order(contained)
            if state.streams[s].phase is Phase.SUCCEEDED
        ),
        then=tuple((s, r) for s, r in results if r is not None),
    )


def _result(state: State, stream: StreamId) -> Result | None:
    known = state.streams[stream]
    return known.result if known.phase is Phase.SUCCEEDED else None
