"""Whose work a stream, or a convergence point, is built from.

A stream starts from the base plus everything its dependencies brought. The result of a dependency
already holds all that *it* started from, so the largest such result is taken over whole, as a
starting commit, and only what it does not hold is merged onto it. So a chain is never merged.

A result may be taken over whole only while everything in it still stands. Once a stream below it
has been left out, run again or captured again, the result is merged like any other: against what it
started from, so that it brings its own changes and nothing stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from anabranch.core.folds.adoption import may_count
from anabranch.core.folds.known_trees import known_tree, still_stands
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Inheritance, Point, Result, State

LEFT_OUT = frozenset({Phase.QUARANTINED, Phase.PASSED_OVER})
"""Phases of streams that have brought a result which is not a part of the run."""

__all__ = [
    "Inheritance",
    "held_by",
    "inherited_by",
    "inherited_from",
    "left_out_below",
    "results_of",
    "to_inherit",
    "works_below",
]


def inherited_by(state: State, stream: StreamId) -> Inheritance:
    """Return what an admitted stream starts from."""
    return state.streams[stream].inherits


def to_inherit(state: State, stream: StreamId) -> Inheritance:
    """Return what a stream would start from if it were admitted now.

    In an open run that is also what has been merged by then: whoever adds a stream has seen it.
    """
    parents = [
        other
        for d in state.stream_plan(stream).depends_on
        if d.waits_for_end
        for other in d.streams
        if state.streams[other].phase is Phase.SUCCEEDED
    ]
    given = state.streams[stream].handed_back
    if given is not None:
        parents += [s for s in given.builds_on if state.streams[s].phase is Phase.SUCCEEDED]
    if state.plan.is_open:
        parents += [s for s, taken in state.points[FINAL_POINT].holds if _result(state, s) == taken]
    parents = list(dict.fromkeys(parents))
    everyone = state.topology.ancestors(parents)
    if state.topology.adopted_at:
        everyone = {other for other in everyone if may_count(state, other)}
    return _come_together(state, parents, everyone)


def inherited_from(state: State, streams: Iterable[StreamId]) -> Inheritance:
    """Return how the work of exactly these streams comes together.

    Where some of it is mixed with others' unfinished work, the checkpoint that mixed it is the best
    start: everyone's last changes are merged onto it.
    """
    streams = list(streams)
    everyone = set(streams)
    together = _come_together(state, streams, everyone)
    if any(result.is_mixed for _, result in together.then):
        return _onto_checkpoint(state, everyone) or together
    return together


def _onto_checkpoint(state: State, everyone: set[StreamId]) -> Inheritance | None:
    """Merge everyone onto the largest checkpoint that holds only attempts which ended well."""
    fit = [
        point
        for plan in state.plan.points
        if still_stands(state, plan.id)
        and state.points[plan.id].checkpoint.cause > state.last_decision
        and all(_result(state, s) and s in everyone for s in state.points[plan.id].checkpoint.works)
        and (point := state.points[plan.id])
    ]
    if not fit or state.base is None:
        return None
    point = max(fit, key=lambda p: len(p.checkpoint.works))
    made, base = point.checkpoint, state.base
    start = Result(made.commit, made.tree, base.commit, base.tree, 0, made.ref)
    then = tuple(
        (s, replace(r, start_tree=known_tree(state, point.id, s)) if s in made.works else r)
        for s, r in results_of(state, everyone)
    )
    return Inheritance(None, start, then, point.id, results_of(state, made.works))


def _come_together(state: State, heads: Iterable[StreamId], everyone: set[StreamId]) -> Inheritance:
    """Take over the largest result among ``heads`` that holds nobody else, and merge the rest."""
    topology = state.topology
    held = {head: _held_by(state, head) for head in heads}
    first = max(
        (head for head, family in held.items() if family and family <= everyone),
        key=lambda head: (len(held[head]), -topology.order[head]),
        default=None,
    )
    point = _largest_merge(state, everyone)
    if point is not None and len(point.holds) > (len(held[first]) if first else 0):
        return _from_point(state, point, everyone)
    return Inheritance(
        heir_of=first,
        start=_result(state, first) if first else None,
        then=results_of(state, everyone - (held[first] if first else set())),
    )


def _largest_merge(state: State, everyone: set[StreamId]) -> Point | None:
    """Return the point whose newest merge holds most of these streams, nobody else, all as is.

    One that was made before a conflict was decided may hold what was decided otherwise since.
    """
    fit = [
        point
        for plan in state.plan.points
        if (point := state.points[plan.id]).commit is not None
        and point.merge_cause > state.last_decision
        and all(s in everyone and _result(state, s) == taken for s, taken in point.holds)
    ]
    return max(fit, key=lambda point: len(point.holds), default=None)


def _from_point(state: State, point: Point, everyone: set[StreamId]) -> Inheritance:
    """Take over what a point has merged, and merge the rest onto it."""
    assert point.commit is not None
    assert point.tree is not None
    assert state.base is not None
    base = state.base
    start = Result(point.commit, point.tree, base.commit, base.tree, 0, "")
    rest = everyone - {s for s, _ in point.holds}
    return Inheritance(None, start, results_of(state, rest), point.id, point.holds)


def results_of(state: State, streams: Iterable[StreamId]) -> tuple[tuple[StreamId, Result], ...]:
    """Return the results that these streams have brought, each after those it depends on."""
    ordered = state.topology.in_merge_order(streams)
    return tuple((s, r) for s in ordered if (r := _result(state, s)) is not None)


def held_by(state: State, inheritance: Inheritance) -> list[tuple[StreamId, Result]]:
    """Return whose work is in what an inheritance starts from, each with its result."""
    if inheritance.from_point is not None:
        return list(inheritance.holds)
    if inheritance.heir_of is None:
        return []
    held = state.topology.in_merge_order(_held_by(state, inheritance.heir_of))
    return [(s, r) for s in held if (r := _result(state, s)) is not None]


def works_below(state: State, stream: StreamId) -> set[StreamId]:
    """Return the streams whose work another was built on."""
    return {below for below, _ in _heritage(state, stream)}


def left_out_below(state: State, stream: StreamId) -> StreamId | None:
    """Return a stream that another was built on and that has been left out, if there is one."""
    below = (s for s, _ in _heritage(state, stream))
    return next((s for s in below if state.streams[s].phase in LEFT_OUT), None)


def _held_by(state: State, stream: StreamId) -> set[StreamId]:
    """Return whose work a result holds, or nobody if not all of it still stands."""
    own = _result(state, stream)
    if own is None or own.is_mixed:
        return set()
    held = {stream}
    for other, taken in _heritage(state, stream):
        if _result(state, other) != taken:
            return set()
        held.add(other)
    return held


def _heritage(state: State, stream: StreamId) -> Iterator[tuple[StreamId, Result]]:
    """Yield every result that a stream was built on, as it was then, the nearest first."""
    inherits = state.streams[stream].inherits
    while True:
        yield from inherits.then
        yield from inherits.holds
        if inherits.heir_of is None or inherits.start is None:
            return
        yield inherits.heir_of, inherits.start
        inherits = state.streams[inherits.heir_of].inherits


def _result(state: State, stream: StreamId) -> Result | None:
    known = state.streams[stream]
    return known.result if known.phase is Phase.SUCCEEDED else None
