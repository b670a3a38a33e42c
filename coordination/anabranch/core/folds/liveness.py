"""How events change what is known of a stream's progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds import joined as joined_folds
from anabranch.core.folds.answers import Answering
from anabranch.core.model import joined as joined_model
from anabranch.core.model.state import State, Stream


def _said(state: State, record: ev.Recorded, event: ev.StreamHeartbeat) -> State:
    stream = state.streams.get(event.stream)
    if stream is None:
        return joined_folds.with_status(state, record, event)
    liveness = replace(
        stream.liveness,
        status=event.status,
        status_at=record.at,
        progress=event.progress,
        info=event.info,
        beats_at=(*stream.liveness.beats_at, record.at)[-joined_model.BEATS_KEPT :],
    )
    after = replace(stream, liveness=liveness)
    return replace(state, streams=state.streams.insert(after.id, after))


def _stalled(s: Stream, record: ev.Recorded, event: ev.StreamStalled, spent: float) -> Stream:
    liveness = replace(s.liveness, verdict=event.verdict, evidence=event.evidence, since=record.at)
    care = s.care.stalled(record.at, event.silent_seconds)
    return replace(s, liveness=liveness, reason=event.evidence, care=care)


def _progressed(s: Stream, record: ev.Recorded, event: ev.StreamProgressed, spent: float) -> Stream:
    liveness = replace(s.liveness, verdict="", evidence="", since=record.at)
    is_clear = replace(s.care, alert="", hint="", diagnosis="") if s.care.is_unclear else s.care
    return replace(s, liveness=liveness, reason=f"process {s.pid} runs", care=is_clear)


def _heartbeat_answer(state: State, record: ev.Recorded, event: ev.StreamHeartbeat) -> Answer:
    return Answer("done")


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamHeartbeat: _said,
}

STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.StreamStalled: _stalled,
    ev.StreamProgressed: _progressed,
}

ANSWERS: dict[type[ev.Event], Answering] = {ev.StreamHeartbeat: _heartbeat_answer}
