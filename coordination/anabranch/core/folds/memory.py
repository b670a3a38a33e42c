"""What running out of memory changes about a stream, and about who may run beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.memory import KEPT_OVERRUNS, MemoryCare, Overrun
from anabranch.core.model.state import Stream


def _overran(s: Stream, record: ev.Recorded, event: ev.StreamOverran, spent: float) -> Stream:
    found = Overrun(event.attempt, record.at, event.resource, event.used, event.limit, event.rule)
    overruns = (*s.memory.overruns, found)[-KEPT_OVERRUNS:]
    return replace(s, memory=replace(s.memory, overruns=overruns))


def tried_again(memory: MemoryCare, event: ev.RetryScheduled) -> MemoryCare:
    """Return what is known of a stream's memory once it is tried again."""
    if event.alone_mb is None:
        return memory
    return replace(memory, tries=memory.tries + 1, asks_mb=event.alone_mb, is_alone=True)


def begun_anew(memory: MemoryCare) -> MemoryCare:
    """Return what stays of it when a person has the stream run once more."""
    return MemoryCare(overruns=memory.overruns)


def runs_alone(stream: Stream) -> bool:
    """Return whether a stream has still to run, or runs, and nobody else is to do so meanwhile."""
    return stream.memory.is_alone and not stream.has_ended and not stream.is_captured_again


def listed(alone: tuple[StreamId, ...], stream: Stream) -> tuple[StreamId, ...]:
    """Return who runs alone now that a stream has changed; so nobody looks through all of them."""
    is_listed = stream.id in alone
    if runs_alone(stream) == is_listed:
        return alone
    return tuple(s for s in alone if s != stream.id) if is_listed else (*alone, stream.id)


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.StreamOverran: _overran,
}
