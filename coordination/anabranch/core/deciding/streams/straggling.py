"""Which streams straggle: they have worked for longer than 19 of 20 times before.

A duration that was guessed, or learned of too few runs, says nothing of stragglers.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import effects as fx
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream


def past_at(state: State, stream: Stream) -> float | None:
    """Return when a stream has worked for longer than usual; None if it is not to be copied."""
    plan = state.stream_plan(stream.id)
    if plan.estimate_basis != "learned" or plan.long_seconds is None:
        return None
    if stream.phase is not Phase.RUNNING or stream.started_at is None:
        return None
    known, is_lonely = state.speculation, stream.memory.is_alone
    has_acted = known.acted.get(stream.id, 0) == stream.attempt
    was_copied = known.copied.get(stream.id, 0) >= stream.attempt
    is_beside = stream.id in state.copies
    is_cared_for = bool(stream.stop or stream.held or stream.care.remedy)
    if has_acted or was_copied or is_beside or is_cared_for or is_lonely:
        return None
    return stream.started_at + stream.worked.waited + plan.long_seconds


def owed_to(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield the wake-up at which a stream is a straggler."""
    if stream.id in state.topology.repeated:
        at = past_at(state, stream)
        if at is not None:
            yield fx.WakeAt(at=at, subject=f"straggling of {stream.id}", cause=stream.cause)
