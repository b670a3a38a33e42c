"""Decisions about circuit breakers: when one opens, what it holds back, and when it closes.

What fails for everybody does not get better by starting more of it: the service is away, the key
has run out, a tool is broken. So a breaker opens when clearly more fails than is usual. *Clearly*
and *how long* are said in :mod:`anabranch.core.strategies.breaking`; *usual* is what the breaker
has learned in this run, so that a flaky suite does not trip it. Nobody loses anything: a stream
that is held back waits, holds no slot, and says why.
"""

from __future__ import annotations

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import Breaker, BreakerPhase, breakers_of
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies.breaking import (
    LEAST_FAILING,
    MOST_OPENINGS,
    is_clearly_more,
    seconds_open,
)
from anabranch.core.strategies.failures import UNKNOWN
from anabranch.core.wording import counted


def should_open(breaker: Breaker) -> bool:
    """Return whether clearly more fails than is usual, and not with one stream only."""
    failing = {outcome.stream for outcome in breaker.recent if outcome.has_failed}
    if len(failing) < LEAST_FAILING or not breaker.recent[-1].has_failed:
        return False
    return is_clearly_more(breaker.failures, len(breaker.recent), usual_before(breaker))


def usual_before(breaker: Breaker) -> float:
    """Return the usual rate as it was before the failures that end the window."""
    usual = breaker.usual_rate
    for outcome in reversed(breaker.recent):
        if not outcome.has_failed:
            break
        usual = max(0.0, (usual - 0.1) / 0.9)
    return usual


def follow(draft: Draft, event: ev.Event) -> None:
    """Open or close the breakers that an attempt's end decides about."""
    if not isinstance(event, ev.StreamSucceeded | ev.RetryScheduled | ev.StreamFailed):
        return
    for name in breakers_of(draft.state.stream_plan(event.stream)):
        breaker = draft.state.breakers.breaker(name)
        if breaker.phase is BreakerPhase.HALF_OPEN and breaker.has_passed is not None:
            _judge(draft, breaker, event)
        elif _trips(draft.state, breaker):
            attempts = counted(len(breaker.recent), "attempt")
            _open(draft, breaker, f"{breaker.failures} of the last {attempts} failed")


def _judge(
    draft: Draft, breaker: Breaker, event: ev.StreamSucceeded | ev.RetryScheduled | ev.StreamFailed
) -> None:
    """Close or open again after a probe.

    A tool that fails for reasons of its own, as a test suite does, is not held back for ever. What
    is known to be away, or to refuse everybody, is.
    """
    if isinstance(event, ev.StreamSucceeded):
        _close(draft, breaker, f"{event.stream} got through", "guardian")
    elif breaker.openings >= MOST_OPENINGS and event.failure_class in ("", UNKNOWN.name):
        tries = counted(breaker.openings, "try", "tries")
        reason = f"it fails as a rule, as {tries} in a row showed"
        _close(draft, replace(breaker, usual_rate=1.0), reason, "guardian")
    else:
        _open(draft, breaker, f"{event.stream} tried, and failed too")


def _open(draft: Draft, breaker: Breaker, reason: str) -> None:
    seconds = seconds_open(breaker.openings)
    draft.emit(
        ev.BreakerOpened(
            breaker=breaker.name,
            until=draft.now + seconds,
            failures=breaker.failures,
            outcomes=len(breaker.recent),
            usual_rate=usual_before(breaker),
            reason=reason,
        )
    )


def _close(draft: Draft, breaker: Breaker, reason: str, by: str) -> None:
    draft.emit(
        ev.BreakerClosed(breaker=breaker.name, reason=reason, by=by, usual_rate=breaker.usual_rate)
    )


def _trips(state: State, breaker: Breaker) -> bool:
    """Return whether a closed breaker opens; it does not if nobody is left whom that would help."""
    if breaker.phase is not BreakerPhase.CLOSED or not should_open(breaker):
        return False
    return any(
        breaker.name in breakers_of(plan) and not state.streams[plan.id].has_ended
        for plan in state.plan.streams
    )


def time_reached(draft: Draft) -> None:
    """Half open what has been open long enough."""
    for name in draft.state.breakers.tripped:
        breaker = draft.state.breakers.breaker(name)
        if breaker.phase is BreakerPhase.OPEN and draft.now >= breaker.until:
            draft.emit(ev.BreakerHalfOpened(breaker=name))


def why_not_admitted(state: State, stream: Stream) -> str | None:
    """Return which breaker keeps a queued stream from starting, or None."""
    if not state.breakers.tripped:
        return None
    for name in breakers_of(state.stream_plan(stream.id)):
        breaker = state.breakers.breaker(name)
        if breaker.phase is BreakerPhase.OPEN:
            return f"the breaker of {name} is open: {breaker.reason}"
        if breaker.phase is BreakerPhase.HALF_OPEN and breaker.probe is not None:
            return f"{breaker.probe} tries first whether {name} goes again"
    return None


def reset(draft: Draft, command: inputs.ResetBreaker) -> Refusal | None:
    """Close a breaker because a person says so."""
    tripped = draft.state.breakers.tripped
    if command.breaker not in tripped:
        known = ", ".join(tripped) or "all are closed"
        return Refusal(f"no breaker {command.breaker!r} is open", f"open: {known}")
    breaker = draft.state.breakers.breaker(command.breaker)
    with draft.because_of(breaker.cause):
        _close(draft, breaker, command.reason, "operator")
    return None


def waiting_for(state: State, name: str) -> list[StreamId]:
    """Return the streams that a breaker holds back now."""
    return [
        stream_id
        for _, _, stream_id in state.ready
        if name in breakers_of(state.stream_plan(stream_id))
    ]
