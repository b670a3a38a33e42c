"""What the guardian does when a time has come: a question was not answered, a remedy takes long."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian.ladder import end_and_retry, leave_alone
from anabranch.core.deciding.waiting.wording import waiting_for
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies.rungs import SOFT


def time_reached(draft: Draft, stream: Stream) -> None:
    """Go on where a question was not answered in time, or a brake has been let go."""
    care = stream.care
    if not care.remedy or care.deadline is None or draft.now < care.deadline:
        return
    if care.remedy != SOFT:
        _takes_long(draft, stream)
        return
    if stream.phase is not Phase.RUNNING or stream.stop or draft.state.stop_reason:
        return
    if stream.liveness.verdict:
        end_and_retry(draft, stream, care.by)
    else:
        _no_sign(draft, stream)


def _no_sign(draft: Draft, stream: Stream) -> None:
    """Deal with a question left unanswered while its clocks do not say yet that it stands still.

    So that nothing is ended on one signal it is ended when they do, unless it gives a sign first.
    What waits for something that the engine knows of, or works, has a reason to be silent.
    """
    care, own = stream.care, draft.state.stream_plan(stream.id).heartbeat_timeout_seconds
    waits = waiting_for(draft.state, stream.id)
    if waits:
        leave_alone(draft, stream, f"it gave no sign, but it waits for {waits}")
    elif draft.now < care.since + own:
        grace = f"{draft.state.plan.soft_grace_seconds:g} s"
        reason = f"no sign came within {grace}; it is ended once it was silent for {own:g} s"
        hint = f"anabranch recover {stream.id} hard ends it now"
        draft.emit(
            ev.GuardianAlerted(
                stream.id,
                attempt=stream.attempt,
                diagnosis=care.diagnosis,
                reason=reason,
                hint=hint,
                look_again_at=care.since + own,
            )
        )
    else:
        leave_alone(draft, stream, f"it gave no sign for {own:g} s, but it works")


def _takes_long(draft: Draft, stream: Stream) -> None:
    """Alert a person to a stream that was ended and does not run yet, after all that time."""
    limit = draft.state.plan.recovery_timeout_seconds
    reason = f"{stream.care.remedy} recovery takes longer than {limit:g} s: {stream.reason}"
    hint = "look at the machine, or raise [coordination.recovery] timeout"
    draft.emit(
        ev.GuardianAlerted(
            stream.id,
            attempt=stream.attempt,
            diagnosis=stream.care.diagnosis,
            reason=reason,
            hint=hint,
        )
    )
