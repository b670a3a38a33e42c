"""What the state keeps of circuit breakers, and how outcomes change it.

A breaker watches everything that shares a command or a capability. It is closed while that goes as
usual, open while nothing of it starts, and half open while one stream tries whether it goes again
(Nygard, *Release It!*, 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.plan import StreamPlan
from anabranch.core.strategies.failures import ENDED

if TYPE_CHECKING:
    from anabranch.core.state import State

WINDOW = 10
"""How many outcomes a breaker looks at."""

WEIGHT_OF_NEWEST = 0.1
"""How fast the usual rate of failures follows what happens (an exponential moving average)."""

LONGEST_COMMAND = 80
"""Of a longer command the breaker's name has the beginning, and a number that tells it apart."""


class BreakerPhase(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt of a stream ended."""

    stream: StreamId
    has_failed: bool


class Breaker(msgspec.Struct, frozen=True):
    """One breaker; ``usual_rate`` is the share of failures (0..1) that it has seen so far.

    ``probe`` is the stream that tries whether it goes again, ``has_passed`` how that ended;
    ``openings`` counts how often in a row it opened.
    """

    name: str
    phase: BreakerPhase = BreakerPhase.CLOSED
    recent: tuple[Outcome, ...] = ()
    usual_rate: float = 0.0
    openings: int = 0
    until: float = 0.0
    cause: Seq = 0
    reason: str = ""
    probe: StreamId | None = None
    probe_attempt: Attempt = 0
    has_passed: bool | None = None

    @property
    def failures(self) -> int:
        return sum(outcome.has_failed for outcome in self.recent)


class Breakers(msgspec.Struct, frozen=True):
    """All breakers of a run; ``tripped`` are those that are not closed, the oldest first."""

    by_name: HashTrieMap[str, Breaker] = HashTrieMap()
    tripped: tuple[str, ...] = ()

    def breaker(self, name: str) -> Breaker:
        return self.by_name.get(name, Breaker(name))


def breakers_of(plan: StreamPlan) -> tuple[str, ...]:
    """Return the names of the breakers that a stream counts for."""
    names = [f"capability {name}" for name in plan.capabilities]
    return (f"command {_command_of(plan)}", *names)


def _command_of(plan: StreamPlan) -> str:
    """Return what fails together: the whole command, where it runs and with which settings.

    Not its program: that ``npm run lint`` is broken says nothing about ``npm test``. What shares a
    service or a key without sharing a command names a capability.
    """
    told = " ".join(plan.command_text.split())
    if plan.working_dir != ".":
        told += f" (in {plan.working_dir})"
    own = repr(sorted(plan.env.items())) if plan.env else ""
    if not own and len(told) <= LONGEST_COMMAND:
        return told
    number = f"#{crc32((plan.command_text + own).encode(errors='replace')):08x}"
    return f"{told[:LONGEST_COMMAND].rstrip()} {number}"


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
    """Who starts while a breaker is half open is its probe."""
    for name in _tripped_of(state, event.stream):
        before = state.breakers.breaker(name)
        if before.phase is BreakerPhase.HALF_OPEN and before.probe is None:
            probe = replace(before, probe=event.stream, probe_attempt=event.attempt)
            state = _with(state, probe)
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
    """A probe that came to no end tells nothing: another one may try."""
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


def restored(by_name: HashTrieMap[str, Breaker]) -> Breakers:
    """Return the breakers of a snapshot."""
    tripped = [b for b in by_name.values() if b.phase is not BreakerPhase.CLOSED]
    return Breakers(by_name, tuple(b.name for b in sorted(tripped, key=lambda b: b.cause)))


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
