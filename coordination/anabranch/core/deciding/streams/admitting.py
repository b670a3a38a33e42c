"""Admitting a stream that is ready: whether anything keeps it waiting, and giving it a slot."""

from __future__ import annotations

from collections.abc import Iterable

from anabranch.core import events as ev
from anabranch.core.deciding import alone, resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.streams import fusing
from anabranch.core.deciding.streams.serving import why_not_served
from anabranch.core.ids import StreamId
from anabranch.core.model.slots import Slot
from anabranch.core.model.state import Stream


def give(draft: Draft, stream: Stream, slot: Slot, reason: str) -> None:
    """Give a stream a slot, and what its plan asks for."""
    takes_over = fusing.taken_over(draft.state, stream, slot) or StreamId("")
    # It was queued just now, or waited for the slot that something else has just left.
    with draft.because_of(max(stream.cause, draft.cause or 0)):
        draft.emit(
            ev.StreamAdmitted(
                stream.id,
                attempt=stream.attempt,
                slot=slot.number,
                incarnation=slot.incarnation + 1,
                placed_because=reason,
                takes_over=takes_over,
            )
        )
        resources.grant_to_admitted(draft, stream)


def is_kept_waiting(
    draft: Draft, stream: Stream, reserved: Iterable[resources.Reservation]
) -> bool:
    """Say whether a breaker or the machine has no room for a stream; skip it if it never will."""
    never = resources.why_never(draft.state, stream.id, draft.state.asks_of(stream.id))
    if never:
        draft.emit(ev.StreamSkipped(stream.id, reason=never))
        return True
    if alone.why_not_beside(draft.state, stream, draft.now) is not None:
        return True
    if breakers.why_not_admitted(draft.state, stream) is not None:
        return True
    if why_not_served(draft.state, stream) is not None:
        return True
    return resources.why_not_admitted(draft.state, stream, reserved) is not None
