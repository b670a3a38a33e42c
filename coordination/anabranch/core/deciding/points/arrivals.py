"""Decisions about explicit arrivals: who has come to a point, and what all of them brought.

A stream arrives by a call and its process goes on (its result is merged at its end, as ever). The
round is over when every participant has arrived or can come no more: those that have ended have
departed, so nobody waits for a corpse. An attempt that ends badly takes its value along, and the
next attempt arrives by itself. Streams that joined from outside may arrive at any point, and are
heard with the others if they come in time; nobody waits for them.

The end of a round is a sync point of the shared state too: the snapshots that streams brought are
merged into one version, and its number is part of everybody's answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anabranch.core import calls, json_values
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding import joined
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.deciding.points import convergence
from anabranch.core.deciding.points.reducing import reduce_values, why_not_reducible
from anabranch.core.deciding.sharing import Contribution, synchronise
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.gathering import Arrival
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import PointPhase, State, Stream
from anabranch.core.wording import listing

LARGEST_VALUE_BYTES = 64 * 1024


def arrive(draft: Draft, call: calls.Arrive) -> None:
    """Take a stream's value; answer with everybody's, or with a ticket until all have come."""
    caller = call.caller
    refusal = _why_refused(draft.state, call)
    if refusal is not None:
        draft.answer = refused(*refusal)
        return
    gathering = draft.point(call.point).gathering
    known = gathering.arrival_of(caller.stream)
    if known is not None:
        if call.wait and not known.waits:
            draft.emit(
                ev.ArrivalWaitBegan(
                    call.point,
                    stream=caller.stream,
                    attempt=caller.attempt,
                    request=call.request,
                    ticket=known.ticket,
                )
            )
            return
        facts = {"ticket": str(known.ticket), "point": call.point, "round": gathering.round}
        draft.answer = Answer("waiting", {**facts, "for": missing(draft.state, call.point)})
        return
    arrived = ev.ConvergenceArrived(
        call.point,
        stream=caller.stream,
        attempt=caller.attempt,
        request=call.request,
        round=gathering.round,
        value=call.value,
        waits=call.wait,
    )
    with draft.because_of(draft.emit(arrived)):
        consult(draft, call.point)


def _why_refused(state: State, call: calls.Arrive) -> tuple[str, str] | None:
    stream, point = call.caller.stream, state.points.get(call.point)
    if call.caller.is_operator:
        return "only streams arrive", "ask from inside a stream"
    if point is None:
        known = listing((p.id for p in state.plan.points), 8)
        return f"there is no convergence point {call.point[:64]!r}", f"its points: {known}"
    if stream in state.streams and call.point not in convergence.points_of(state, stream):
        own = " and ".join(convergence.points_of(state, stream))
        return f"{stream} does not converge at {call.point}", f"it converges at {own}"
    if point.phase in (PointPhase.MERGED, PointPhase.ABANDONED):
        return f"{call.point} is {point.phase}", "go on; nobody gathers there any more"
    return _why_no_value(state, call)


def _why_no_value(state: State, call: calls.Arrive) -> tuple[str, str] | None:
    try:
        size = len(msgspec.json.encode(call.value))
    except (TypeError, ValueError, RecursionError):
        return "the value is not JSON", "bring null, numbers, strings, arrays or objects"
    if size > LARGEST_VALUE_BYTES:
        hint = "write it to a file in the workspace and bring its name"
        return f"the value is {size} bytes long, the most is {LARGEST_VALUE_BYTES}", hint
    bad = why_not_reducible(reducer_of(state, call.point), call.value)
    return (bad, "bring such a value, or null") if bad else None


def reducer_of(state: State, point: PointId) -> str:
    """Return how a point makes one value of many."""
    return str(state.point_plan(point).options.get("reduce", "collect"))


def missing(state: State, point: PointId) -> list[StreamId]:
    """Return the participants that have neither arrived in this round nor departed."""
    here = {a.stream for a in state.points[point].gathering.arrivals}
    return [
        s
        for s in convergence.participants(state, point)
        if s not in here and not _has_departed(state.streams[s])
    ]


def _has_departed(stream: Stream) -> bool:
    return stream.has_ended or stream.phase is Phase.BLOCKED


def consult(draft: Draft, point: PointId) -> None:
    """Close the round if nobody is left to come, and let everybody go on with its value."""
    gathering = draft.point(point).gathering
    if not gathering.arrivals or missing(draft.state, point):
        return
    values = _in_plan_order(draft.state, gathering.arrivals)
    value = reduce_values(reducer_of(draft.state, point), values)
    synced = synchronise(draft, point, _snapshots(values))
    clashes = tuple(sorted({clash.key for _, clash in synced.clashes}))
    aggregated = ev.ConvergenceAggregated(
        point,
        round=gathering.round,
        value=value,
        streams=tuple(values),
        version=synced.version,
        clashes=clashes,
    )
    with draft.because_of(draft.emit(aggregated)):
        for arrival in gathering.arrivals:
            draft.emit(
                ev.ArrivalReleased(
                    arrival.stream,
                    arrival.attempt,
                    arrival.request,
                    point=point,
                    round=gathering.round,
                )
            )
            joined.arrived_with_all(draft, point, arrival.stream)


def _in_plan_order(state: State, arrivals: tuple[Arrival, ...]) -> dict[StreamId, json_values.Json]:
    """Return the values, those of outside streams last."""
    position, last = state.topology.position, len(state.plan.streams)
    ordered = sorted(arrivals, key=lambda a: (position.get(a.stream, last), a.stream))
    return {a.stream: a.value for a in ordered}


def _snapshots(values: Mapping[StreamId, json_values.Json]) -> list[Contribution]:
    """Return what each stream brings to the shared state.

    A value of the form ``{"base": VERSION, "changes": {KEY: VALUE}}`` is a snapshot, made from that
    version; any other value is for the others to read and leaves the shared state as it is.
    """
    return [
        Contribution(stream, value["base"], value["changes"])
        if _is_snapshot(value)
        else Contribution(stream, 0, {})
        for stream, value in values.items()
    ]


def _is_snapshot(value: json_values.Json) -> bool:
    if not isinstance(value, dict) or value.keys() != {"base", "changes"}:
        return False
    return type(value["base"]) is int and isinstance(value["changes"], dict)


def give_back(draft: Draft, stream: Stream) -> None:
    """Withdraw the value of an attempt that is over, unless it went well."""
    if stream.phase in (Phase.PREPARING, Phase.CAPTURING, Phase.SUCCEEDED):
        return
    for point in points_with(draft.state, stream.id):
        reason = f"attempt {stream.attempt} is {stream.phase.words}"
        draft.emit(ev.ConvergenceWithdrawn(point, stream=stream.id, reason=reason))


def points_with(state: State, stream: StreamId) -> list[PointId]:
    """Return the points at which a stream has arrived in the round that is open."""
    if stream in state.streams:
        candidates = convergence.points_of(state, stream)
    else:
        candidates = tuple(p.id for p in state.plan.points)
    return [p for p in candidates if state.points[p].gathering.arrival_of(stream)]


def report_end(draft: Draft, stream: Stream) -> None:
    """Close a round that waited only for a participant that can come no more."""
    if _has_departed(stream):
        for point in convergence.points_of(draft.state, stream.id):
            consult(draft, point)


CALLS: dict[type[Call], Handler] = {calls.Arrive: arrive}
