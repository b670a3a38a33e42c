"""What events change about a stream's terminal, and about what of it was looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import Stream
from anabranch.core.model.terminal import KEPT, Input, Prompt


def _prompted(s: Stream, record: ev.Recorded, event: ev.PromptFound, spent: float) -> Stream:
    prompt = Prompt(event.text, event.since, event.announced)
    return replace(s, terminal=replace(s.terminal, prompt=prompt))


def _went_on(s: Stream, record: ev.Recorded, event: ev.PromptGone, spent: float) -> Stream:
    return replace(s, terminal=replace(s.terminal, prompt=None))


def _requested(s: Stream, record: ev.Recorded, event: ev.InputRequested, spent: float) -> Stream:
    new = Input(record.seq, event.request, event.attempt, event.text, record.at)
    return replace(s, terminal=replace(s.terminal, inputs=(*s.terminal.inputs[1 - KEPT :], new)))


def _sent(s: Stream, record: ev.Recorded, event: ev.InputSent, spent: float) -> Stream:
    inputs = tuple(
        replace(i, verdict=event.verdict, evidence=event.evidence, hint=event.hint)
        if i.number == event.input
        else i
        for i in s.terminal.inputs
    )
    answered = event.verdict == "delivered"  # what it reads next shows a prompt of its own
    prompt = None if answered else s.terminal.prompt
    return replace(s, terminal=replace(s.terminal, inputs=inputs, prompt=prompt))


def _looked_at(s: Stream, record: ev.Recorded, event: ev.StreamLookedAt, spent: float) -> Stream:
    return replace(s, looked_at=event.attempt)


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.PromptFound: _prompted,
    ev.PromptGone: _went_on,
    ev.InputRequested: _requested,
    ev.InputSent: _sent,
    ev.StreamLookedAt: _looked_at,
}
