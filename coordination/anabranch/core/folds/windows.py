"""What events change about when a stream may start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import Stream
from anabranch.core.model.windows import MOST_STARTS, Window


def _timed(s: Stream, record: ev.Recorded, event: ev.StreamTimed, spent: float) -> Stream:
    window = replace(
        s.window,
        cause=record.seq,
        is_awaited=event.is_awaited,
        since=record.at,
        after_wall=event.after_wall,
    )
    waits = f"waits for {window.shown or event.at}"
    return replace(s, window=window, reason=waits if event.is_awaited else s.reason)


def _found(s: Stream, record: ev.Recorded, event: ev.WindowFound, spent: float) -> Stream:
    window = replace(s.window, due_at=event.due_at, shown=event.shown)
    reason = f"waits for {event.shown}" if window.is_awaited else s.reason
    return replace(s, window=window, reason=reason)


def _missed(s: Stream, record: ev.Recorded, event: ev.WindowMissed, spent: float) -> Stream:
    if event.catch_up == "skip":
        window = replace(
            s.window, cause=record.seq, after_wall=event.seen_wall, due_at=None, shown=""
        )
    else:
        due_at = record.at - event.late_seconds
        window = replace(s.window, due_at=due_at, shown=event.shown)
    return replace(s, window=window, reason=event.reason)


def queued(window: Window, why: str) -> Window:
    """Return the window of a stream that is queued: no time of day holds it up any more."""
    return replace(window, is_open=True, why=why)


def requeued(window: Window, at_once: bool) -> Window:
    """Return the window of a stream that begins anew: a time that it has had counts."""
    return Window(is_open=at_once or window.is_open, starts=window.starts)


def with_start(window: Window, at: float) -> Window:
    """Return the window of a stream that has started at a moment of the run clock."""
    return replace(window, starts=(*window.starts, at)[-MOST_STARTS:])


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.StreamTimed: _timed,
    ev.WindowFound: _found,
    ev.WindowMissed: _missed,
}
