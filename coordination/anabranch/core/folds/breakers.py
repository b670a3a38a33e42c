"""What events and outcomes change about circuit breakers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import (
    Breaker,
    BreakerPhase,
    Breakers,
    Outcome,
    breakers_of,
    restored,
)
from anabranch.core.model.state import State
from anabranch.core.strategies.failures import ENDED

WINDOW = 10
"""How many outcomes a breaker looks at."""

WEIGHT_OF_NEWEST = 0.1
"""How fast the usual rate of failures follows what happens (an exponential moving average)."""


# --- folding -------------------------------------------------------------------------------------


def _opened(state: State, record: ev.Recorded, event: ev.BreakerOpened) -> State:
    before = state.breakers.breaker(event.breaker)
    return _with(
        state,
        replace(
            before,
            phase=BreakerPhase.OPEN,
            until=event.until,
            openings=before.openings + 1,
            reason=event.reason,
            cause=record.seq,
            probe=None,
            has_passed=None,
        ),
    )


def _half_opened(state: State, record: ev.Recorded, event: ev.BreakerHalfOpened) -> State:
    before = state.breakers.breaker(event.breaker)
    return _with(state, replace(before, phase=BreakerPhase.HALF_OPEN, cause=record.seq))


def _closed(state: State, record: ev.Recorded, event: ev.BreakerClosed) -> State:
    before = state.breakers.breaker(event.breaker)
    return _with(
        state,
        Breaker(before.name, usual_rate=event.usual_rate, cause=record.seq, reason=event.reason),
    )


def _admitted(state: State, record: ev.Recorded, event: ev.StreamAdmitted) -> State:
    """Make who starts while a breaker is half open its probe."""
    for name in _tripped_of(state, event.stream):
        before = state.breakers.breaker(name)
        if before.phase is BreakerPhase.HALF_OPEN and before.probe is None:
            state = _with(state, replace(before, probe=event.stream))
    return state


def _has_succeeded(state: State, record: ev.Recorded, event: ev.StreamSucceeded) -> State:
    return _with_outcome(state, event.stream, has_failed=False)


def _has_failed(
    state: State, record: ev.Recorded, event: ev.RetryScheduled | ev.StreamFailed
) -> State:
    by_hand = event.failure_class == ENDED.name and state.streams[event.stream].care.by
    if by_hand == "operator":
        return _without_probe(state, record, event)
    return _with_outcome(state, event.stream, has_failed=True)


def _with_outcome(state: State, stream: StreamId, *, has_failed: bool) -> State:
    for name in breakers_of(state.stream_plan(stream)):
        before = state.breakers.breaker(name)
        recent = (*before.recent, Outcome(stream, has_failed))[-WINDOW:]
        usual = before.usual_rate + WEIGHT_OF_NEWEST * (has_failed - before.usual_rate)
        is_verdict = before.probe == stream
        state = _with(
            state,
            replace(
                before,
                recent=recent,
                usual_rate=usual,
                probe=None if is_verdict else before.probe,
                has_passed=not has_failed if is_verdict else before.has_passed,
            ),
        )
    return state


def _without_probe(state: State, record: ev.Recorded, event: ev.StreamEvent) -> State:
    """Forget a probe that came to no end: another one may try."""
    for name in _tripped_of(state, event.stream):
        before = state.breakers.breaker(name)
        if before.probe == event.stream:
            state = _with(state, replace(before, probe=None))
    return state


def _tripped_of(state: State, stream: StreamId) -> list[str]:
    if not state.breakers.tripped:
        return []
    return [n for n in breakers_of(state.stream_plan(stream)) if n in state.breakers.tripped]


def _with(state: State, after: Breaker) -> State:
    known = state.breakers
    before = known.by_name.get(after.name)
    by_name = known.by_name.insert(after.name, after)
    is_moved = before is not None and before.phase is not after.phase
    return replace(
        state, breakers=restored(by_name) if is_moved else Breakers(by_name, known.tripped)
    )


FOLDS: Mapping[type[ev.Event], Any] = {
    ev.BreakerOpened: _opened,
    ev.BreakerHalfOpened: _half_opened,
    ev.BreakerClosed: _closed,
}

ALSO: Mapping[type[ev.StreamEvent], Any] = {
    ev.StreamAdmitted: _admitted,
    ev.StreamSucceeded: _has_succeeded,
    ev.RetryScheduled: _has_failed,
    ev.StreamFailed: _has_failed,
    ev.StreamStopped: _without_probe,
    ev.StreamBlocked: _without_probe,
    ev.StreamQuarantined: _without_probe,
}
"""What an event about a stream changes about breakers."""
