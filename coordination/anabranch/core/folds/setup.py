"""What the setup of a workspace changes about its stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.setup import Setup
from anabranch.core.model.state import Stream


def _started(s: Stream, record: ev.Recorded, event: ev.SetupStarted, spent: float) -> Stream:
    return replace(
        s,
        pid=event.pid,
        holder_pid=event.holder_pid,
        log=event.log,
        care=s.care.of_new_attempt(),
        setup=Setup(began_at=event.happened_at),
        reason="its workspace is being set up",
        spent=replace(s.spent, starting=s.spent.starting + spent),
    )


def _finished(s: Stream, record: ev.Recorded, event: ev.SetupFinished, spent: float) -> Stream:
    known = replace(
        s.setup, seconds=event.seconds, exit_code=event.exit_code, failure=event.failure
    )
    return replace(
        s,
        setup=known,
        reason=event.failure or "its workspace is set up; starting its process",
        spent=replace(s.spent, setting_up=s.spent.setting_up + event.seconds),
    )


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.SetupStarted: _started,
    ev.SetupFinished: _finished,
}
