"""What an attempt without success becomes: stopped, tried again, or failed for good."""

from __future__ import annotations

from zlib import crc32

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import ladder
from anabranch.core.deciding.handlers import are_chosen, asked_late
from anabranch.core.deciding.points.convergence import conflict_that_stops
from anabranch.core.deciding.streams import out_of_memory
from anabranch.core.deciding.streams.failures import classify
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies import FailedAttempt, FailureClass, GiveUp, RecoveryDecision
from anabranch.core.strategies.failures import CANNOT_START, ENDED
from anabranch.core.wording import counted


def after_failed_attempt(
    draft: Draft,
    stream: Stream,
    reason: str,
    log_tail: tuple[str, ...] = (),
    kind: FailureClass | None = None,
) -> None:
    """Decide what an attempt without success becomes: stopped, tried again, or failed.

    ``kind`` is what the engine knows of the failure; None asks the classifiers.
    """
    if stream.stop and stream.stop.then in (Phase.STOPPED, Phase.SUCCEEDED):
        draft.emit(ev.StreamStopped(stream.id, reason=stream.stop.reason))
        return
    is_known = kind is not None
    kind = kind or _failure_class(draft, stream, reason, log_tail)
    stream = draft.stream(stream.id)
    was_short = stream.memory.overrun_of(stream.attempt) is not None and not kind.is_permanent
    was_short &= not draft.state.stream_plan(stream.id).is_service  # alone it would be for ever
    found = out_of_memory.again(stream) if was_short else _recovery(draft, stream, reason, kind)
    if isinstance(found, GiveUp) and _takes_up_late(draft, stream, reason):
        return
    decision = ladder.after_attempt(draft, stream, found, reason)
    tells_more = kind.evidence or (kind.is_permanent and kind != CANNOT_START)
    why = f"{reason} ({kind.words})" if tells_more and not is_known else reason
    why += _left_behind(draft, stream)
    is_called_off = draft.state.stop_reason or conflict_that_stops(draft.state)
    if isinstance(decision, GiveUp) or is_called_off:
        draft.emit(
            ev.StreamFailed(stream.id, attempt=stream.attempt, reason=why, failure_class=kind.name)
        )
        return
    retry_at = draft.now + decision.delay_seconds
    draft.emit(
        ev.RetryScheduled(
            stream.id,
            attempt=stream.attempt,
            retry_at=retry_at,
            reason=f"{why}; {decision.reason}",
            failure_class=kind.name,
            alone_mb=out_of_memory.asks_next(draft.state, stream) if was_short else None,
        )
    )


def _takes_up_late(draft: Draft, stream: Stream, reason: str) -> bool:
    """Have handlers tried again that a person asked for when the attempt took up no more."""
    late = asked_late(draft.state, stream)
    if not late or not _has_ended_by_itself(stream) or draft.state.stop_reason:
        return False
    if conflict_that_stops(draft.state):
        return False
    draft.emit(ev.HandlersAskedLate(stream.id, attempt=stream.attempt, requests=late))
    why = f"{reason}; {counted(len(late), 'handler')} asked for as it ended"
    draft.emit(ev.RetryScheduled(stream.id, attempt=stream.attempt, retry_at=draft.now, reason=why))
    return True


def _left_behind(draft: Draft, stream: Stream) -> str:
    """Return what those a stream builds on had made and git ignores: it was not brought to it."""
    if stream.exit is None or stream.stop:
        return ""
    below = draft.state.topology.ancestors((stream.id,)) - {stream.id}
    found = ((s, draft.state.streams[s].ignored) for s in sorted(below))
    left = [f"{', '.join(paths[:3])} of {s}" for s, paths in found if paths]
    return f"; what git ignores does not come along: {'; '.join(left[:2])}" if left else ""


def _has_ended_by_itself(stream: Stream) -> bool:
    """Return whether the process has come to its end, and nobody has ended it."""
    return stream.exit is not None and stream.exit.code is not None and stream.stop is None


def _failure_class(
    draft: Draft, stream: Stream, reason: str, log_tail: tuple[str, ...]
) -> FailureClass:
    """Return the class of a failure; one that was ended by somebody is of the guardian's class."""
    is_ended = stream.stop is not None
    kind = ENDED if is_ended else classify(draft.state, stream, draft.strategies, reason, log_tail)
    return out_of_memory.found_in_failure(draft, stream, kind)


def _recovery(draft: Draft, stream: Stream, reason: str, kind: FailureClass) -> RecoveryDecision:
    if are_chosen(draft.state, stream.id) and _has_ended_by_itself(stream):
        return GiveUp("single handlers are tried again once, when a person asks for it")
    plan = draft.state.stream_plan(stream.id)
    view = FailedAttempt(
        stream=stream.id,
        attempt=stream.attempt,
        retries=stream.retries,
        max_retries=plan.max_retries,
        reason=reason,
        is_permanent=kind.is_permanent,
        failure_class=kind.name,
        seed=crc32(f"{draft.state.run}/{stream.id}/{stream.attempt}".encode()),
    )
    return draft.strategies.recovery_strategy(draft.state.plan.recovery).after_failure(view)
