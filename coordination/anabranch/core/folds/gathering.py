"""What events change about who has come to a point by a call, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering, refused_wait
from anabranch.core.folds.waiting import with_wait
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.gathering import AGGREGATED, Arrival, Gathering
from anabranch.core.model.state import Point, State


def _arrived(point: Point, record: ev.Recorded, event: ev.ConvergenceArrived) -> Point:
    arrival = Arrival(
        record.seq, event.stream, event.attempt, event.request, event.value, record.at, event.waits
    )
    gathering = point.gathering
    return replace(point, gathering=replace(gathering, arrivals=(*gathering.arrivals, arrival)))


def arrived(point: Point, record: ev.Recorded, event: ev.ConvergenceArrived) -> Point:
    """Return the point after an arrival, be it by a call or at a stream's end."""
    if event.round:
        return _arrived(point, record, event)
    return replace(
        point,
        arrived=(*point.arrived, event.stream),
        arrived_at={**point.arrived_at, event.stream: record.at},
    )


def _withdrawn(point: Point, record: ev.Recorded, event: ev.ConvergenceWithdrawn) -> Point:
    gathering = point.gathering
    stay = tuple(a for a in gathering.arrivals if a.stream != event.stream)
    return replace(point, gathering=replace(gathering, arrivals=stay))


def _wait_ended(point: Point, record: ev.Recorded, event: ev.ArrivalWaitEnded) -> Point:
    return _with_arrival(point, event.stream, waits=False)


def _wait_began(point: Point, record: ev.Recorded, event: ev.ArrivalWaitBegan) -> Point:
    return _with_arrival(point, event.stream, waits=True, since=record.at, request=event.request)


def _with_arrival(point: Point, stream: StreamId, **facts: Any) -> Point:
    arrivals = tuple(
        replace(a, **facts) if a.stream == stream else a for a in point.gathering.arrivals
    )
    return replace(point, gathering=replace(point.gathering, arrivals=arrivals))


def _aggregated(point: Point, record: ev.Recorded, event: ev.ConvergenceAggregated) -> Point:
    return replace(
        point,
        gathering=Gathering(
            event.round + 1, (), event.value, event.streams, event.version, event.clashes
        ),
    )


def with_waits_over(state: State, before: Gathering, after: Gathering, at: float) -> State:
    """Return the state with the waits counted that were there before and are over now."""
    waiting = {a.ticket for a in after.arrivals if a.waits}
    for arrival in before.arrivals:
        stream = state.streams.get(arrival.stream)
        is_over = arrival.waits and arrival.ticket not in waiting
        if is_over and stream is not None and stream.attempt == arrival.attempt:
            state = with_wait(state, stream.id, arrival.since, at)
    return state


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    ev.ConvergenceArrived: arrived,
    ev.ConvergenceWithdrawn: _withdrawn,
    ev.ArrivalWaitEnded: _wait_ended,
    ev.ArrivalWaitBegan: _wait_began,
    ev.ConvergenceAggregated: _aggregated,
}


def _arrived_answer(state: State, record: ev.Recorded, event: ev.ConvergenceArrived) -> Answer:
    facts = {"ticket": str(record.seq), "point": event.point, "round": event.round}
    return Answer("waiting", facts)


def _wait_began_answer(state: State, record: ev.Recorded, event: ev.ArrivalWaitBegan) -> Answer:
    round_ = state.points[event.point].gathering.round
    facts = {"ticket": str(event.ticket), "point": event.point, "round": round_}
    return Answer("waiting", facts)


def _released_answer(state: State, record: ev.Recorded, event: ev.ArrivalReleased) -> Answer:
    return Answer(AGGREGATED, {"point": event.point, "round": event.round})


def _withdrawn_answer(state: State, record: ev.Recorded, event: ev.ConvergenceWithdrawn) -> Answer:
    return refused_wait(event)


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.ConvergenceArrived: _arrived_answer,
    ev.ArrivalWaitBegan: _wait_began_answer,
    ev.ArrivalReleased: _released_answer,
    ev.ConvergenceWithdrawn: _withdrawn_answer,
}


def with_aggregate(state: State, answer: Answer) -> Answer:
    """Return the answer to an arrival with what its round came to.

    A point keeps the value once, however many streams are told it, so answers only name the round.
    """
    if answer.outcome != AGGREGATED:
        return answer
    point = state.points.get(PointId(str(answer.facts["point"])))
    gathering = point.gathering if point else Gathering()
    facts = dict(answer.facts)
    if gathering.round == answer.facts["round"] + 1:
        facts |= {
            "state": gathering.aggregate,
            "streams": list(gathering.streams),
            "version": gathering.version,
            "clashes": list(gathering.clashes),
        }
    else:
        facts["hint"] = "a later round is over since; its value is in the events of the run"
    return Answer("done", facts)
