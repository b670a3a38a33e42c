"""Decisions about heartbeats: what they say is news, and the last of it is never lost.

The journal gets what a heartbeat says when that is new, and that it came when it was quiet about
the stream for :data:`QUIET_SECONDS`. A stream that says something new all the time is written down
:data:`MOST_NEWS` times at once, and every :data:`NEWS_SECONDS` after that; what comes between is
coalesced, never dropped: the shell remembers what was said last and tells it
(:class:`~anabranch.core.inputs.HeartbeatHeard`) again until it stands here.
"""

from __future__ import annotations

from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian.liveness import has_to_answer
from anabranch.core.deciding.hearing import Handler
from anabranch.core.ids import StreamId
from anabranch.core.json_values import Json, NotJson, checked_text
from anabranch.core.model.answers import refused
from anabranch.core.model.joined import BEATS_KEPT, JoinedStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Liveness, State
from anabranch.core.strategies.rungs import SOFT

MOST_NEWS, NEWS_SECONDS = BEATS_KEPT, 1.0
QUIET_SECONDS = 10.0
LONGEST_STATUS = 500
LONGEST_INFO = 4_000


def heartbeat(draft: Draft, call: calls.Heartbeat) -> None:
    """Answer a heartbeat; record what it says if that is new.

    It bears no request: asked again it is answered again, and it takes the place of no answer that
    somebody may still ask for.
    """
    if call.caller.is_operator:
        draft.answer = refused("only streams have a heartbeat", "send it from inside a stream")
        return
    draft.answer = _bad_info(call.info) or Answer("done")
    if draft.answer.outcome != "done":
        return
    caller = call.caller
    said = ev.StreamHeartbeat(
        caller.stream,
        caller.attempt,
        "",
        status=call.status or "",
        progress=call.progress,
        info=call.info or {},
    )
    known = last_said(draft.state, caller.stream)
    if known is not None:
        _hear(draft, known, _completed(known, said, call))
    stream = draft.state.streams.get(caller.stream)
    if stream is not None and stream.phase is Phase.RUNNING and has_to_answer(stream):
        draft.emit(
            ev.StreamProgressed(stream.id, attempt=stream.attempt, evidence="it sent a heartbeat")
        )


def heard(draft: Draft, fact: inputs.HeartbeatHeard) -> None:
    """Record what was said last, if it is not known yet."""
    known = last_said(draft.state, fact.stream)
    if known is None or _attempt_of(draft.state, fact.stream) != fact.attempt:
        return
    said = ev.StreamHeartbeat(
        fact.stream,
        fact.attempt,
        "",
        status=fact.status,
        progress=fact.progress,
        info=dict(fact.info),
    )
    if not says_the_same(known, fact):
        _hear(draft, known, said, is_last=fact.is_last)


def last_said(state: State, stream: StreamId) -> JoinedStream | Liveness | None:
    """Return what is known of a stream's heartbeats; None for one that is not there."""
    joined = state.registry.live(stream)
    at = state.streams.get(stream)
    return joined or (at.liveness if at else None)


def says_the_same(
    known: JoinedStream | Liveness, said: ev.StreamHeartbeat | inputs.HeartbeatHeard
) -> bool:
    """Return whether a heartbeat says nothing new."""
    return (said.status, said.progress, said.info) == (known.status, known.progress, known.info)


def _attempt_of(state: State, stream: StreamId) -> int:
    joined = state.registry.live(stream)
    return joined.attempt if joined else state.streams[stream].attempt


def _completed(
    known: JoinedStream | Liveness, said: ev.StreamHeartbeat, call: calls.Heartbeat
) -> ev.StreamHeartbeat:
    """Return a heartbeat completed by what was said before."""
    return replace(
        said,
        status=known.status if call.status is None else call.status[:LONGEST_STATUS],
        progress=known.progress if call.progress is None else call.progress,
        info=known.info if call.info is None else call.info,
    )


def _hear(
    draft: Draft,
    known: JoinedStream | Liveness,
    said: ev.StreamHeartbeat,
    *,
    is_last: bool = False,
) -> None:
    if is_last or _is_due(draft, known, said):
        draft.emit(said)


def _is_due(draft: Draft, known: JoinedStream | Liveness, said: ev.StreamHeartbeat) -> bool:
    """Return whether a heartbeat is written down; an answer to a question always is."""
    stream = draft.state.streams.get(said.stream)
    if known.status_at is None or (stream and stream.care.remedy == SOFT):
        return True
    if says_the_same(known, said):
        return draft.now - known.status_at >= QUIET_SECONDS
    if len(known.beats_at) < MOST_NEWS or draft.now - known.beats_at[-1] >= NEWS_SECONDS:
        return True
    return draft.now - known.beats_at[0] >= MOST_NEWS * NEWS_SECONDS


def _bad_info(info: dict[str, Json] | None) -> Answer | None:
    """Return a refusal of what else a heartbeat says, if it cannot be kept."""
    checked = "" if info is None else checked_text(info)
    if isinstance(checked, NotJson):
        return refused(
            f"what else the heartbeat says cannot be kept: {checked.reason}", checked.hint
        )
    if len(checked) > LONGEST_INFO:
        reason = f"a heartbeat holds at most {LONGEST_INFO} characters besides status and progress"
        return refused(reason, "keep more than that in the shared state")
    return None


CALLS: dict[type[Call], Handler] = {calls.Heartbeat: heartbeat}
