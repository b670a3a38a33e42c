"""Waits at convergence points, as a source of the wait-for graph.

A stream that arrived and waits there waits for each participant that is still to come. One that
arrived and goes on meanwhile waits for nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.points import arrivals, convergence
from anabranch.core.events import Edge
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.gathering import Arrival
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State


class PointWaits:
    """A stream at a point waits for everybody who has neither arrived nor departed."""

    kind = "point"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        for point, arrival in waiting_at(state, stream):
            for other in arrivals.missing(state, point):
                what = f"{other} to arrive at {point}"
                yield Edge(
                    waiter=stream,
                    holder=other,
                    what=what,
                    since=arrival.since,
                    kind=self.kind,
                    ticket=arrival.ticket,
                )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return whether a stream has not come, or one that has not begun depends on it.

        That one may be awaited at a point that the stream itself never comes to.
        """
        if stream not in state.streams:
            return any(p.gathering.arrivals for p in state.points.values())
        waited_at = [p for p in state.points if _is_waited_for_at(state, p)]
        if not waited_at:
            return False
        own = convergence.points_of(state, stream)
        return any(
            p in own and state.points[p].gathering.arrival_of(stream) is None for p in waited_at
        ) or any(found.phase is Phase.WAITING for found in state.streams.values())

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        for point, arrival in waiting_at(draft.state, edge.waiter):
            if arrival.ticket == edge.ticket:
                draft.emit(
                    ev.ConvergenceWithdrawn(
                        point,
                        stream=arrival.stream,
                        reason=reason,
                        attempt=arrival.attempt,
                        request=arrival.request,
                        hint=hint,
                        cycle=cycle,
                    )
                )


def _is_waited_for_at(state: State, point: PointId) -> bool:
    return any(arrival.waits for arrival in state.points[point].gathering.arrivals)


def waiting_at(state: State, stream: StreamId) -> Iterator[tuple[PointId, Arrival]]:
    """Yield where a stream has arrived and waits for others."""
    if stream in state.streams:
        points = convergence.points_of(state, stream)
    else:
        points = tuple(p.id for p in state.plan.points)
    for point in points:
        arrival = state.points[point].gathering.arrival_of(stream)
        if arrival is not None and arrival.waits:
            yield point, arrival
