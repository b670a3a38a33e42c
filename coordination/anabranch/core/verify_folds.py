"""What the events of checks change, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import PointId

if TYPE_CHECKING:
    from anabranch.core.state import Point, State


def key_of(command: str, tree: str) -> str:
    """Return under what a result is remembered."""
    return f"{tree} {command}"


def has_passed(state: State, command: str, tree: str) -> bool | None:
    """Return whether a command passed on a tree, None if it was not run on it yet."""
    return state.verified.get(key_of(command, tree))


def needs_check(state: State, point: PointId, tree: str) -> bool:
    """Whether a merged tree has to be checked before it counts."""
    command = state.point_plan(point).verify
    return bool(command) and not has_passed(state, command, tree)


def _started(p: Point, record: ev.Recorded, event: ev.VerifyStarted) -> Point:
    from anabranch.core.state import PointPhase

    is_first = p.phase is not PointPhase.VERIFYING
    whom = f"{len(event.streams)} of {len(p.merging)} streams" if event.streams else "the base"
    return replace(
        p,
        phase=PointPhase.VERIFYING,
        checking=event.streams if is_first else p.checking,
        probe=event.streams,
        probe_cause=record.seq,
        reason=f"verifying the work of {whom}",
    )


def _ended(p: Point, record: ev.Recorded, event: ev.VerifyPassed | ev.VerifyFailed) -> Point:
    passed = isinstance(event, ev.VerifyPassed)
    return replace(p, probes=(*p.probes, (event.streams, passed)))


def _guilty(p: Point, record: ev.Recorded, event: ev.GuiltyFound) -> Point:
    return replace(p, guilty=(*p.guilty, event.streams))


def with_result(
    state: State, record: ev.Recorded, event: ev.VerifyPassed | ev.VerifyFailed
) -> State:
    """Return the state that remembers a result; what did not even merge has no tree."""
    if not event.tree:
        return state
    key = key_of(state.point_plan(event.point).verify, event.tree)
    passed = isinstance(event, ev.VerifyPassed)
    return replace(state, verified=state.verified.insert(key, passed))


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    ev.VerifyStarted: _started,
    ev.VerifyPassed: _ended,
    ev.VerifyFailed: _ended,
    ev.GuiltyFound: _guilty,
}

ALSO: dict[type[ev.PointEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.VerifyPassed: with_result,
    ev.VerifyFailed: with_result,
}
"""What an event about a point changes about the run."""
