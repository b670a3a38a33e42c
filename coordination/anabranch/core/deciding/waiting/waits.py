"""One wait-for graph over everything that a stream can wait for, and what is done about a ring.

Each sort of wait is a :class:`WaitSource`. It tells the edges that lead *out* of a stream, always
worked out from the state, so the graph is never stale. An edge means that nothing but its holder
can end the wait: who could be served by any of several has no edge to each of them.

A new ring has a new edge, and every new edge leads out of, or into, the stream whose wait has just
begun (or that was made to wait again). So one search from that stream, at that moment, finds it;
and a stream that nobody waits for is in no ring, so most waits need no search at all.

A ring is broken by giving up one *wait* in it, never by taking away what somebody holds: its
stream is refused, told the whole ring and what others wait for, and has to act on that. The victim
is who loses least: the one with the fewest seconds of work since its last checkpoint, or its start;
of equals, the one whose wait began last. Waits that are part of the plan cannot be given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.events import Edge
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State

MOST_RINGS = 64
"""How many rings one wait may close; each is broken by itself."""


class WaitSource(Protocol):
    """One sort of wait."""

    @property
    def kind(self) -> str:
        """The ``kind`` of its edges."""

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        """Yield whom a stream waits for, in an order that depends on the state only."""

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return whether somebody may wait for a stream; True if that is not cheap to say."""

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        """End the wait that an edge stands for: its stream is refused."""


class PlannedWaits:
    """Waits that are part of the plan, so none of them can be given up."""

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        """Do nothing: the plan's own waits stay."""


def edges_from(state: State, stream: StreamId, sources: Sequence[WaitSource]) -> Iterator[Edge]:
    """Yield every edge out of a stream."""
    for source in sources:
        yield from source.edges_from(state, stream)


def break_rings(
    draft: Draft, start: StreamId, event: ev.Event | None, sources: Sequence[WaitSource]
) -> None:
    """Find and break every ring through a stream that an event, or none in particular, closed."""
    if not any(s.is_waited_for(draft.state, start) for s in sources):
        return
    for _ in range(MOST_RINGS):
        ring = find_ring(draft.state, start, sources)
        edge = victim_of(draft.state, ring, draft.now) if ring else None
        if edge is None:
            return
        _break(draft, start, event, ring, edge, sources)
        if edge in edges_from(draft.state, edge.waiter, sources):
            return  # its source would not end it; asking again would change nothing


def find_ring(state: State, start: StreamId, sources: Sequence[WaitSource]) -> tuple[Edge, ...]:
    """Return the shortest ring through a stream, from it back to it; empty if there is none."""
    reached: dict[StreamId, Edge] = {}
    open_ends = deque([start])
    while open_ends:
        for edge in edges_from(state, open_ends.popleft(), sources):
            if edge.holder not in reached:
                reached[edge.holder] = edge
                open_ends.append(edge.holder)
            if edge.holder == start:
                return _way_back(reached, start)
    return ()


def _way_back(reached: dict[StreamId, Edge], start: StreamId) -> tuple[Edge, ...]:
    way = [reached[start]]
    while way[-1].waiter != start:
        way.append(reached[way[-1].waiter])
    return tuple(reversed(way))


def victim_of(state: State, ring: Sequence[Edge], now: float) -> Edge | None:
    """Return the edge of a ring whose wait is given up, or None if the plan itself is the ring."""
    can_go = [edge for edge in ring if edge.kind != "dependency"]
    return min(can_go, key=lambda e: (at_stake(state, e.waiter, now), -e.ticket), default=None)


def at_stake(state: State, stream: StreamId, now: float) -> float:
    """Return how many seconds of work a stream would lose (none, for the operator)."""
    found = state.streams.get(stream)
    if found is None or found.started_at is None:
        return 0.0
    kept = state.checkpoints.get(stream)
    own = [t.at for t in kept.taken if t.attempt == found.attempt] if kept else []
    return max(0.0, now - max([found.started_at, *own]))


def in_words(ring: Sequence[Edge]) -> str:
    """Return a ring as one sentence."""
    clauses = [f"{e.waiter or 'the operator'} waits for {e.what}" for e in ring]
    return ", ".join(clauses)


def _break(
    draft: Draft,
    start: StreamId,
    event: ev.Event | None,
    ring: tuple[Edge, ...],
    edge: Edge,
    sources: Sequence[WaitSource],
) -> None:
    words = in_words(ring)
    attempt, request = 0, ""
    if isinstance(event, ev.CallEvent) and event.stream == start:
        attempt, request = event.attempt, event.request
    victim = edge.waiter or "the operator"
    lost = at_stake(draft.state, edge.waiter, draft.now)
    reason = f"{words}; {victim} loses least ({lost:.0f} s of work), so its wait is given up"
    with draft.because_of(
        draft.emit(
            ev.DeadlockDetected(
                start, attempt, request, victim=edge.waiter, cycle=ring, reason=reason
            )
        )
    ):
        wanted = next(e for e in ring if e.holder == edge.waiter)
        hint = f"{wanted.waiter} waits for {wanted.what}: give that up, then ask again"
        source = next(s for s in sources if s.kind == edge.kind)
        source.give_up(draft, edge, f"deadlock: {words}", hint, ring)
