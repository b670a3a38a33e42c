"""What the events of checks change, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds.adoption import tried
from anabranch.core.ids import PointId
from anabranch.core.model.state import Point, State


def key_of(command: str, tree: str, is_again: bool = False) -> str:
    """Return under what a result is remembered; that of a second look beside that of the first."""
    return f"{tree}{' again' if is_again else ''} {command}"


def has_passed(state: State, command: str, tree: str, is_again: bool = False) -> bool | None:
    """Return whether a command passed on a tree, None if it was not run on it (so often) yet."""
    return state.verified.get(key_of(command, tree, is_again))


def needs_check(state: State, point: PointId, tree: str) -> bool:
    """Return whether a merged tree has to be checked before it counts."""
    command = state.point_plan(point).verify
    return bool(command) and not has_passed(state, command, tree)


def _started(p: Point, record: ev.Recorded, event: ev.VerifyStarted) -> Point:
    from anabranch.core.model.state import PointPhase

    is_first = p.phase is not PointPhase.VERIFYING
    whom = f"{len(event.streams)} of {len(p.merging)} streams" if event.streams else "the base"
    whom = event.trial_of or whom
    return replace(
        p,
        phase=PointPhase.VERIFYING,
        checking=event.streams if is_first else p.checking,
        probe=event.streams,
        probe_cause=record.seq,
        probe_is_again=event.is_again,
        probe_failures=0,
        adoption=replace(p.adoption, trial_of=event.trial_of),
        reason=f"verifying the work of {whom}{' once more' if event.is_again else ''}",
    )


def _retried(p: Point, record: ev.Recorded, event: ev.VerifyRetried) -> Point:
    reason = f"verify failed ({event.reason}); trying it again"
    return replace(p, probe_cause=record.seq, probe_failures=event.failures, reason=reason)


def _ended(p: Point, record: ev.Recorded, event: ev.VerifyPassed | ev.VerifyFailed) -> Point:
    if p.adoption.trial_of:
        return tried(p, event)
    passed = isinstance(event, ev.VerifyPassed)
    found = (event.streams, passed)
    if isinstance(event, ev.VerifyFailed):
        p = replace(p, check_failure=event.reason)
    if isinstance(event, ev.VerifyPassed) and event.failures:
        times = "once" if event.failures == 1 else f"{event.failures} times"
        flaky = f"verify failed {times} before it passed on the same files: it is flaky"
        p = replace(p, flaky=flaky)
    if p.probe_is_again:
        return replace(p, probes_again=(*p.probes_again, found))
    return replace(p, probes=(*p.probes, found))


def _unreliable(p: Point, record: ev.Recorded, event: ev.VerifyUnreliable) -> Point:
    return replace(p, probes=(), probes_again=(), guilty=())


def _guilty(p: Point, record: ev.Recorded, event: ev.GuiltyFound) -> Point:
    return replace(p, guilty=(*p.guilty, event.streams))


def with_result(
    state: State, record: ev.Recorded, event: ev.VerifyPassed | ev.VerifyFailed
) -> State:
    """Return the state that remembers a result; what did not even merge has no tree."""
    if not event.tree:
        return state
    is_again = state.points[event.point].probe_is_again
    key = key_of(state.point_plan(event.point).verify, event.tree, is_again)
    passed = isinstance(event, ev.VerifyPassed)
    return replace(state, verified=state.verified.insert(key, passed))


def forgetting(
    state: State, record: ev.Recorded, event: ev.VerifyUnreliable | ev.ConvergenceBlocked
) -> State:
    """Return the state that forgets what a command said.

    All of it, if it proves nothing. And that it failed, once a person has to look: whoever mends
    the check, or what it needs, and resumes the run wants it to be run again.
    """
    command, verified = state.point_plan(event.point).verify, state.verified
    proves_nothing = isinstance(event, ev.VerifyUnreliable)
    for key, passed in state.verified.items():
        if passed and not proves_nothing:
            continue
        tree = key.partition(" ")[0]
        if key in (key_of(command, tree), key_of(command, tree, is_again=True)):
            verified = verified.remove(key)
    return replace(state, verified=verified)


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    ev.VerifyStarted: _started,
    ev.VerifyRetried: _retried,
    ev.VerifyUnreliable: _unreliable,
    ev.VerifyPassed: _ended,
    ev.VerifyFailed: _ended,
    ev.GuiltyFound: _guilty,
}

ALSO: dict[type[ev.PointEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.VerifyPassed: with_result,
    ev.VerifyFailed: with_result,
    ev.VerifyUnreliable: forgetting,
    ev.ConvergenceBlocked: forgetting,
}
"""What an event about a point changes about the run."""
