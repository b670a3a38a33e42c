"""What became of each fault, read from the events of the run. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Literal

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.core.strategies.rungs import SOFT
from anabranch.core.wording import spelled
from anabranch.drilling.faults import STRIKES_PROCESSES, Fault, FaultKind, Injection

Outcome = Literal["recovered", "left_alone", "harmed", "not_recovered", "not_injected"]

SETTLE_SECONDS = 10.0
"""What happens to a stream within so long after a clock jump is the jump's doing."""


class Finding(msgspec.Struct, frozen=True):
    """How one fault ended.

    Times are seconds after the fault, None for never; ``did`` are the guardian's acts in order;
    ``files`` counts what was to be lost, ``lost`` names what was.
    """

    fault: str
    outcome: Outcome
    reason: str
    at_seconds: float | None = None
    noticed_seconds: float | None = None
    recovered_seconds: float | None = None
    did: tuple[str, ...] = ()
    files: int = 0
    lost: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.outcome in ("recovered", "left_alone") and not self.lost


def finding_of(
    injection: Injection,
    records: Sequence[ev.Recorded],
    state: State,
    lost: Sequence[str],
    struck: Set[StreamId] = frozenset(),
) -> Finding:
    """Return what the run's events say about one fault.

    ``struck`` are the streams that any fault names: no clock jump did what happens to them.
    """
    fault = injection.fault
    if injection.at is None:
        return Finding(fault.words, "not_injected", _why_not(fault, state))
    after = [r for r in records if r.at >= injection.at - 0.05]
    if fault.kind in STRIKES_PROCESSES:
        finding = _of_struck(injection, after, state)
    elif fault.kind is FaultKind.CONFLICT:
        finding = _of_conflict(injection, records, state)
    elif fault.kind is FaultKind.FULL_DISK:
        finding = _of_full_disk(injection, after, state)
    else:
        finding = _of_patience(injection, after, struck)
    return msgspec.structs.replace(
        finding,
        at_seconds=round(injection.at, 3),
        files=len(injection.contents),
        lost=tuple(lost),
    )


def _why_not(fault: Fault, state: State) -> str:
    for name in fault.streams:
        stream = state.streams[name]
        if stream.phase is not Phase.SUCCEEDED or fault.kind in STRIKES_PROCESSES:
            return (
                f"{name} came to no moment for it: {spelled(stream.public_state)}, {stream.reason}"
            )
    return "the run was over before"


def _of_struck(injection: Injection, after: Sequence[ev.Recorded], state: State) -> Finding:
    """A killed or frozen attempt is noticed, ended, kept, and followed by another one."""
    own = [r for r in after if getattr(r.event, "stream", None) == injection.stream]
    noticed = again = None
    did: list[str] = []
    for record in own:
        event = record.event
        is_of_attempt = getattr(event, "attempt", injection.attempt) == injection.attempt
        if isinstance(event, ev.StreamExited | ev.StreamLost | ev.StreamStalled) and is_of_attempt:
            noticed = record.at if noticed is None else noticed
        if is_of_attempt:
            did += _act(event)
        if isinstance(event, ev.StreamStarted) and event.attempt > injection.attempt:
            again = record.at
            break
    stream = state.streams[injection.stream]
    did_well = again is not None
    reason = f"attempt {injection.attempt + 1} runs" if did_well else stream.reason
    return Finding(
        injection.fault.words,
        "recovered" if did_well else "not_recovered",
        reason,
        noticed_seconds=_since(injection, noticed),
        recovered_seconds=_since(injection, again),
        did=tuple(did),
    )


def _of_conflict(injection: Injection, records: Sequence[ev.Recorded], state: State) -> Finding:
    """A conflict is noticed; the drill decides it in a person's place."""
    seen = [
        r
        for r in records
        if isinstance(r.event, ev.ConflictForeseen | ev.ConflictFound | ev.ConvergenceBlocked)
    ]
    settled = [r for r in records if isinstance(r.event, ev.ConflictResolved)]
    left_out = [r for r in records if isinstance(r.event, ev.ConvergenceLeftOut)]
    did = [_conflict_words(r.event) for r in (*seen, *left_out, *settled)]
    end = settled or left_out
    first = seen[0].at if seen else None
    return Finding(
        injection.fault.words,
        "recovered" if seen and end else "not_recovered",
        "both sides are kept" if seen else "nobody noticed that they conflict",
        noticed_seconds=None if first is None else max(0.0, _since(injection, first) or 0.0),
        recovered_seconds=_since(injection, end[0].at if end else None),
        did=tuple(dict.fromkeys(did)),
    )


def _conflict_words(event: ev.Event) -> str:
    match event:
        case ev.ConflictForeseen():
            return "foresaw it"
        case ev.ConvergenceLeftOut():
            return f"left {', '.join(event.streams)} out: {event.reason}"
        case ev.ConflictResolved():
            return "took the decision"
        case _:
            return "held the point back"


def _of_full_disk(injection: Injection, after: Sequence[ev.Recorded], state: State) -> Finding:
    """A full disk is reported, waited out, and gone on after."""
    delays = [r for r in after if isinstance(r.event, ev.StreamDelayed)]
    own = [r for r in after if getattr(r.event, "stream", None) == injection.stream]
    did = [injection.trouble] if injection.trouble else []
    did += [f"{r.event.stream} waits: {r.event.reason}" for r in delays]  # type: ignore[attr-defined]
    did += [act for r in own for act in _act(r.event)]
    stream = state.streams[injection.stream]
    noticed = min((r.at for r in delays), default=injection.noticed_at)
    is_well = stream.phase is Phase.SUCCEEDED and noticed is not None
    reason = "nobody said that the disk was full" if noticed is None else stream.reason
    return Finding(
        injection.fault.words,
        "recovered" if is_well else "not_recovered",
        "went on when there was room" if is_well else reason,
        noticed_seconds=_since(injection, noticed),
        recovered_seconds=_since(injection, injection.ended_at),
        did=tuple(dict.fromkeys(did)),
    )


def _of_patience(
    injection: Injection, after: Sequence[ev.Recorded], struck: Set[StreamId]
) -> Finding:
    """A slow start and a clock that jumps must end nobody; a question does no harm."""
    is_jump = injection.fault.kind is FaultKind.CLOCK_JUMP
    assert injection.at is not None
    until = injection.at + SETTLE_SECONDS
    touched = [
        r
        for r in after
        if isinstance(r.event, ev.RecoveryStarted)
        and (
            r.at < until and r.event.stream not in struck
            if is_jump
            else (r.event.stream, r.event.attempt) == (injection.stream, injection.attempt)
        )
    ]
    did = tuple(act for r in touched for act in _act(r.event))
    if all(getattr(r.event, "remedy", "") == SOFT for r in touched):
        outcome = "nobody was ended for it" if is_jump else "it was waited for"
        return Finding(injection.fault.words, "left_alone", outcome, did=did)
    return Finding(
        injection.fault.words,
        "harmed",
        "the guardian took it for a stall",
        noticed_seconds=_since(injection, touched[0].at),
        did=did,
    )


def _act(event: ev.Event) -> list[str]:
    match event:
        case ev.StreamStalled():
            return [f"saw it: {event.evidence}"]
        case ev.StreamExited() if event.signal:
            return [f"saw it end by signal {event.signal}"]
        case ev.StreamExited():
            return [f"saw it end with exit code {event.exit_code}"]
        case ev.StreamLost():
            return [f"saw it go: {event.reason}"]
        case ev.RecoveryStarted():
            return [f"{event.remedy} recovery"]
        case ev.StreamAsked():
            return [f"asked by {event.way}: {event.outcome}"]
        case ev.PartialCaptured():
            return [f"kept its work as commit {event.commit[:10]}"]
        case ev.RetryScheduled():
            return [f"planned another attempt: {event.reason}"]
        case ev.GuardianAlerted():
            return [f"called for a person: {event.reason}"]
        case ev.StreamFailed():
            return [f"gave it up: {event.reason}"]
        case _:
            return []


def _since(injection: Injection, moment: float | None) -> float | None:
    if moment is None or injection.at is None:
        return None
    return round(max(0.0, moment - injection.at), 3)
