"""What the end of a service's process means: it is not expected, unless nobody needs it."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams.retrying import after_failed_attempt
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies.failures import UNKNOWN


def service_ended(
    draft: Draft, stream: Stream, how: str, log_tail: tuple[str, ...], fault: str
) -> None:
    """Decide what becomes of a service, now that its work is kept.

    ``how`` says how its process ended, ``fault`` what of its work could not be kept.
    """
    plan, serving = draft.state.stream_plan(stream.id), stream.serving
    fault_too = f"; {fault}" if fault else ""
    is_well = stream.exit is not None and stream.exit.status in plan.success_exit_codes
    stop = stream.stop
    counts = (Phase.STOPPED,) if serving.let_go else (Phase.STOPPED, Phase.FAILED)
    if stop is not None and stop.then in counts:
        after_failed_attempt(draft, stream, stop.reason + fault_too, log_tail)
    elif serving.let_go:
        reason = serving.let_go + fault_too
        draft.emit(ev.StreamSucceeded(stream.id, attempt=stream.attempt, reason=reason))
    elif is_well and plan.restart != "always":
        reason = f"{how}, a service that ended by itself{fault_too}"
        draft.emit(ev.StreamSucceeded(stream.id, attempt=stream.attempt, reason=reason))
    else:
        reason = (stream.failure or how) + fault_too
        after_failed_attempt(draft, stream, reason, log_tail, UNKNOWN if is_well else None)
