"""Decisions about how a running stream gets on: the journal gets the turns only.

What a stream's silence means is judged outside (:mod:`anabranch.engine.liveness`), from figures
that change every second; in here come the verdicts when they change.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.model.guardian import MAY_WAIT
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies.rungs import SOFT

BAD = ("never_heard", "stalled")
UNCLEAR = "unclear"
"""It may wait for a person, or hang: nobody can tell, so nothing is done and a person is told."""


def seen(draft: Draft, fact: inputs.LivenessSeen) -> None:
    """Record that a stream has stalled, if the plan cares, or that it gets on again."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.RUNNING:
        return
    is_judged = "heartbeat" in draft.state.plan.protocols
    if not is_judged and fact.verdict in (*BAD, UNCLEAR):
        return
    if fact.verdict in BAD:
        if fact.verdict != stream.liveness.verdict:
            draft.emit(
                ev.StreamStalled(
                    stream.id,
                    attempt=stream.attempt,
                    verdict=fact.verdict,
                    evidence=fact.evidence,
                    silent_seconds=fact.silent_seconds,
                )
            )
    elif fact.verdict == UNCLEAR:
        if not stream.care.alert:
            _tell_of_silence(draft, stream, fact.evidence)
    elif has_to_answer(stream):
        draft.emit(ev.StreamProgressed(stream.id, attempt=stream.attempt, evidence=fact.evidence))


def has_to_answer(stream: Stream) -> bool:
    """Say whether a sign is news of a stream: it stands still, was asked, or may await a person."""
    care = stream.care
    return bool(stream.liveness.verdict) or care.remedy == SOFT or care.is_unclear


def _tell_of_silence(draft: Draft, stream: Stream, evidence: str) -> None:
    hint = (
        f"look at it; anabranch recover {stream.id} hard ends it; or give it an `ask` in the plan"
    )
    reason = f"{evidence}: it may wait for a person"
    draft.emit(
        ev.GuardianAlerted(
            stream.id, attempt=stream.attempt, diagnosis=MAY_WAIT, reason=reason, hint=hint
        )
    )
