"""How long locks are good: one lease a stream, renewed by every call of it, ended in two steps.

When a lease runs out, news of its holder may already be on its way: the engine may have been
busy, or stopped with its machine. So the first look at a lease that has run out only *doubts* it,
for a second; anything from the holder renews it. It ends at the second look, if that one was asked
for after the doubt (its cause says so): then all that had arrived before the doubt has been let in
by now, because inputs are worked off in the order of their arrival. A second look that is late
itself (the engine stalled again) doubts once more: what arrived meanwhile may not be read yet.

Every lease is looked at on whole seconds, so however many there are, they share few timers.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from anabranch.core import calls
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.deciding.locks.locks import expire
from anabranch.core.folds.locks import SPARE, lease_seconds
from anabranch.core.ids import StreamId
from anabranch.core.model.locks import Holder
from anabranch.core.model.state import State

STALL_TOLERANCE_SECONDS = 1.0


def renew(draft: Draft, call: calls.Renew) -> None:
    """Answer a call that only wants its lease to go on; :func:`hear` sees to that."""
    draft.answer = Answer("done")


def hear(draft: Draft, caller: Caller) -> None:
    """Renew the lease of a caller that was heard from, for its whole length.

    It is written a little longer than it is, so that a busy caller needs few renewals.
    """
    holder = draft.state.locks.holders.get(caller.stream)
    if holder is None or holder.attempt != caller.attempt or not len(holder.held):
        return
    good_until = draft.now + lease_seconds(draft.state, caller.stream)
    if holder.doubted_by or holder.until < good_until:
        _renew(draft, caller.stream, holder)


def renew_all(draft: Draft) -> None:
    """Renew all leases after another engine took over: without one nobody could be heard."""
    for stream, holder in _holding(draft.state):
        _renew(draft, stream, holder)


def time_reached(draft: Draft) -> None:
    """Doubt the leases that have run out, and end those that were doubted before."""
    for stream, holder in _holding(draft.state):
        late = draft.now - _looked_at(holder)
        if late < 0:
            continue
        is_second = 0 < holder.doubted_by <= (draft.cause or 0)
        if is_second and late <= STALL_TOLERANCE_SECONDS:
            expire(draft, stream)
        elif is_second or not holder.doubted_by:
            until = draft.now + STALL_TOLERANCE_SECONDS
            with draft.because_of(_newest_fence(holder)):
                draft.emit(ev.LeaseDoubted(stream, holder.attempt, "", until=until))


def owed_by_lease(state: State, stream: StreamId) -> Iterator[fx.Effect]:
    """Yield the wake-up at which the lease of a stream is to be looked at."""
    holder = state.locks.holders.get(stream)
    if holder is not None and len(holder.held):
        yield fx.WakeAt(at=_looked_at(holder), subject="leases", cause=holder.doubted_by or 1)


def _renew(draft: Draft, stream: StreamId, holder: Holder) -> None:
    until = draft.now + SPARE * lease_seconds(draft.state, stream)
    with draft.because_of(draft.cause or _newest_fence(holder)):
        draft.emit(ev.LeaseRenewed(stream, holder.attempt, "", until=until))


def _newest_fence(holder: Holder) -> int:
    return max(holder.held)


def _looked_at(holder: Holder) -> float:
    return float(ceil(holder.until))


def _holding(state: State) -> list[tuple[StreamId, Holder]]:
    return sorted((s, h) for s, h in state.locks.holders.items() if len(h.held))


CALLS: dict[type[Call], Handler] = {calls.Renew: renew}
