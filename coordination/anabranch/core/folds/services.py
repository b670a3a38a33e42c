"""What the events of services change about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.services import Serving, Unhealthy
from anabranch.core.model.state import Stream


def _ready(s: Stream, record: ev.Recorded, event: ev.ServiceReady, spent: float) -> Stream:
    serving = Serving(event.attempt, record.at, event.evidence, s.serving.let_go)
    return replace(s, serving=serving, reason=f"ready: {event.evidence}")


def _unhealthy(s: Stream, record: ev.Recorded, event: ev.ServiceUnhealthy, spent: float) -> Stream:
    found = Unhealthy(event.attempt, event.since, event.evidence)
    serving = Serving(let_go=s.serving.let_go, unhealthy=found)
    return replace(s, serving=serving, reason=f"unhealthy: {event.evidence}")


def _let_go(s: Stream, record: ev.Recorded, event: ev.ServiceLetGo, spent: float) -> Stream:
    return replace(s, serving=replace(s.serving, let_go=event.reason))


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.ServiceReady: _ready,
    ev.ServiceUnhealthy: _unhealthy,
    ev.ServiceLetGo: _let_go,
}
