"""Waits for resources and for slots, as sources of the wait-for graph.

What a request lacks may come back from several holders. A holder that the request cannot do without
is an edge at once. If any of several would do, none of them is one, unless none of them can ever
give anything back: that is found by letting everybody who can finish do so, in thought, until
nobody more can (the reduction of Holt 1972). Whoever is left is stuck, and the edges lead to those.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

import msgspec

from anabranch.core import events as ev
from anabranch.core.deciding import alone
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.resources import (
    RESERVE_SECONDS,
    capacity,
    goes_before,
    goes_before_start,
    ready_since,
    reservations,
)
from anabranch.core.deciding.waiting.waits import PlannedWaits
from anabranch.core.events import Edge
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.lifecycle import ACTIVE, Phase
from anabranch.core.model.newest_state import once_a_state
from anabranch.core.model.state import State

Stuck = Callable[[State], frozenset[StreamId]]
"""Finds out who can never go on; for that, waits of all kinds are looked at."""

_ROUNDING = 1e-6


class Shortfall(msgspec.Struct, frozen=True):
    """What one wait lacks of one resource, and who could give how much of it back."""

    what: str
    amount: float
    holders: Mapping[StreamId, float]
    since: float
    ticket: Seq

    def is_met_by(self, back: float) -> bool:
        """Return whether so much is enough; sums of fractions may fall a little short."""
        return back >= self.amount - _ROUNDING


class CountedWaits(ABC):
    """Waits for so much of something, which may come from one of several or from all of them."""

    kind: str

    def __init__(self, stuck: Stuck) -> None:
        """Take how to find out who is stuck, for which all kinds of waits are needed."""
        self._stuck = stuck

    @abstractmethod
    def lacks(self, state: State, stream: StreamId) -> Iterator[Shortfall]:
        """Yield what a stream waits for, and who could give how much of it."""

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        """Yield whom a stream cannot do without, or all of those who are stuck."""
        for lack in self.lacks(state, stream):
            yield from _edges(state, stream, lack, self.kind, self._stuck)


class ResourceWaits(CountedWaits):
    """A stream whose request is queued waits for those who hold what it lacks."""

    kind = "resource"

    def lacks(self, state: State, stream: StreamId) -> Iterator[Shortfall]:
        """Yield what a stream's queued requests lack by the accounts."""
        for w in state.resources.queue:
            if w.stream == stream:
                yield from _shortfalls(state, stream, w.amounts, w.since, w.ticket)

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        table = state.resources
        return bool(table.queue) and (
            stream in table.held or any(w.stream == stream for w in table.queue)
        )

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        _withdraw(draft, edge, reason, hint, cycle)


def _withdraw(draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]) -> None:
    """End the request that a wait is for."""
    for w in draft.state.resources.queue:
        if w.ticket == edge.ticket:
            draft.emit(
                ev.ResourcesWithdrawn(
                    w.stream,
                    w.attempt,
                    w.request,
                    ticket=w.ticket,
                    reason=reason,
                    hint=hint,
                    cycle=cycle,
                )
            )


class ReservationWaits:
    """A stream whose request is queued waits for whoever has waited longer for the same."""

    kind = "resource"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        for w in state.resources.queue:
            if w.stream == stream:
                reserved = reservations(state, state.at)
                older = goes_before(reserved, w.since, stream, w.amounts)
                if older is not None and older.stream != stream:
                    what = f"what {older.stream} has waited longer for"
                    yield Edge(
                        waiter=stream,
                        holder=older.stream,
                        what=what,
                        since=w.since,
                        kind=self.kind,
                        ticket=w.ticket,
                    )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return whether it may go before others: it is queued too, or ready but for resources."""
        return bool(state.resources.queue)

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        _withdraw(draft, edge, reason, hint, cycle)


class TurnWaits(PlannedWaits):
    """A stream that is ready waits for whoever has waited longer for what it needs to start."""

    kind = "dependency"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.QUEUED:
            return
        older = goes_before_start(state, reservations(state, state.at), found)
        if older is not None and older.stream != stream:
            what = f"what {older.stream} has waited longer for"
            yield Edge(
                waiter=stream,
                holder=older.stream,
                what=what,
                since=ready_since(found),
                kind=self.kind,
                ticket=found.cause,
            )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Say whether a ready stream has waited for so long that others have to let it go before.

        Requests that others are ready behind are those of :class:`ReservationWaits`.
        """
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.QUEUED:
            return False
        is_old = state.at - ready_since(found) >= RESERVE_SECONDS
        return is_old and bool(state.asks_of(stream))


class AdmissionWaits(PlannedWaits, CountedWaits):
    """A stream of the plan that is ready waits for a slot and for what its plan asks for."""

    kind = "dependency"

    def lacks(self, state: State, stream: StreamId) -> Iterator[Shortfall]:
        """Yield what a queued stream lacks: a slot, and resources by the accounts."""
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.QUEUED:
            return
        since = ready_since(found)
        too_many = alone.slots_lacking(state, found, state.at)
        if too_many > 0:
            yield Shortfall("a slot", float(too_many), _slot_holders(state), since, found.cause)
        amounts = state.asks_of(stream)
        yield from _shortfalls(state, stream, amounts, since, found.cause)

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Say whether it holds a slot, as all active ones do, or joined and may hold resources."""
        found = state.streams.get(stream)
        has_slot = found is not None and found.phase in ACTIVE
        return bool(state.ready) and (has_slot or stream in state.resources.held)


@once_a_state
def _slot_holders(state: State) -> Mapping[StreamId, float]:
    """Return who could give a slot back; all that are queued wait for the same ones."""
    return {stream.id: 1.0 for stream in active_streams(state)}


def _shortfalls(
    state: State, stream: StreamId, amounts: Mapping[str, float], since: float, ticket: Seq
) -> Iterator[Shortfall]:
    for name, amount in sorted(amounts.items()):
        whole = capacity(state, name)
        if whole is None:
            continue
        short = amount - (whole - state.resources.used.get(name, 0.0))
        if short > _ROUNDING:
            holders = {
                s: held.amounts[name]
                for s, held in state.resources.held.items()
                if name in held.amounts and s != stream
            }
            yield Shortfall(name, short, holders, since, ticket)


def _edges(
    state: State, stream: StreamId, lack: Shortfall, kind: str, find_stuck: Stuck
) -> Iterator[Edge]:
    whole = sum(lack.holders.values())
    needed = sorted(h for h, amount in lack.holders.items() if not lack.is_met_by(whole - amount))
    if not needed:
        stuck = find_stuck(state)
        if stream not in stuck:
            return
        left = sum(amount for h, amount in lack.holders.items() if h not in stuck)
        needed = [] if lack.is_met_by(left) else sorted(h for h in lack.holders if h in stuck)
    for holder in needed:
        what = f"{lack.what}, which {holder} holds"
        yield Edge(
            waiter=stream, holder=holder, what=what, since=lack.since, kind=kind, ticket=lack.ticket
        )
