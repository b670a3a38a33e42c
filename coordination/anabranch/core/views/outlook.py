"""How the rest of a run is expected to go: when each stream starts and ends, and the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from anabranch.core.deciding.streams import windows
from anabranch.core.deciding.streams.ranking import queued_view
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import active_streams, elapsed_of
from anabranch.core.model.lifecycle import ACTIVE, Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.forecast import Expected, Forecast, Standing, forecast
from anabranch.core.strategies import Urgency, urgency_of
from anabranch.core.views.projections import wall_time

ALL_BUT_OVER = frozenset({Phase.CAPTURING})
"""The work is done, and only to be kept."""
NOT_BEGUN = frozenset({Phase.WAITING, Phase.QUEUED, Phase.RETRYING})


class Rest(msgspec.Struct, frozen=True):
    """How many seconds a run is expected to go on, and whether a guess decides that."""

    seconds: float
    is_guessed: bool


def rest_of(state: State, now: float) -> Rest | None:
    """Return how long a run is expected to go on; None if it has ended, or nobody can tell."""
    found = outlook(state, now)
    if found is None or not is_foreseeable(state, found, now):
        return None
    bases = {state.stream_plan(name).estimate_basis for name in found.critical}
    return Rest(max(0.0, found.end - now), "guessed" in bases)


def outlook(state: State, now: float) -> Forecast | None:
    """Return the forecast of a run at a moment of its clock.

    Of one that has ended, or is told to stop, nothing is expected: None.
    """
    if state.has_ended or state.stop_reason:
        return None
    standings = {name: _standing(state, stream, now) for name, stream in state.streams.items()}
    topology = state.topology
    return forecast(topology.network, state.plan, standings, state.max_parallel, now)


def is_foreseeable(state: State, found: Forecast, now: float) -> bool:
    """Return whether there is anything to tell the end by.

    An open run whose streams are over ends when somebody says so. Nobody knows when a stream ends
    that talks to a person, or that decides and takes longer than was guessed, unless it was seen to
    run before.
    """
    if state.plan.is_open and all(stream.has_ended for stream in state.streams.values()):
        return False
    for stream in active_streams(state):
        plan = state.stream_plan(stream.id)
        if plan.estimate_basis == "guessed" and stream.phase is Phase.RUNNING:
            is_late = elapsed_of(stream, now) >= plan.estimate_seconds
            if plan.tty or (is_late and stream.id in found.critical):
                return False
    return True


def guessed_streams(state: State) -> int:
    """Return how many of the streams that are not over nobody has seen run."""
    return sum(
        state.stream_plan(name).estimate_basis == "guessed"
        for name, stream in state.streams.items()
        if not stream.has_ended
    )


def _standing(state: State, stream: Stream, now: float) -> Standing:
    if stream.has_ended or stream.phase in ALL_BUT_OVER:
        return Standing(is_over=True)
    if stream.phase in ACTIVE:
        began = stream.started_at
        return Standing(started_at=now if began is None else began + stream.worked.waited)
    return Standing(
        not_before=windows.expected_from(state, stream), idle=windows.expected_idle(state, stream)
    )


def urgency(state: State, name: StreamId, now: float) -> Urgency | None:
    """Return the parts of a queued stream's urgency; None of one that is not ready to run."""
    stream = state.streams[name]
    if stream.phase is not Phase.QUEUED:
        return None
    return urgency_of(queued_view(state, stream, stream.attempt, stream.since), now)


def place_in_queue(state: State, name: StreamId) -> int:
    """Return the place of a queued stream, the first is 1; 0 of one that is not in the queue."""
    return next((place for place, one in enumerate(state.ready, 1) if one[2] == name), 0)


def with_outlook(report: dict[str, Any], state: State, now: float) -> dict[str, Any]:
    """Return what ``status --json`` tells, and how the rest is expected to go."""
    found = outlook(state, now)
    is_told = found is not None and is_foreseeable(state, found, now)
    return {
        **report,
        "expected_end": wall_time(state, found.end) if found and is_told else None,
        "expected_rest_seconds": round(found.end - now, 1) if found and is_told else None,
        "critical_path": list(found.critical) if found is not None else [],
        "guessed": guessed_streams(state),
        "streams": with_expectations(report["streams"], state, found, now),
    }


def with_expectations(
    rows: Iterable[dict[str, Any]], state: State, found: Forecast | None, now: float
) -> list[dict[str, Any]]:
    """Return streams as ``status --json`` tells them, each with what is expected of it."""
    expected = found.streams if found is not None else {}
    return [_with_expectation(row, state, expected, now) for row in rows]


def _with_expectation(
    row: dict[str, Any], state: State, expected: Mapping[StreamId, Expected], now: float
) -> dict[str, Any]:
    name = StreamId(row["stream"])
    if name not in state.streams:  # it joined from outside: nothing is known of it
        return row
    return {
        **row,
        "expected": _expectation(state, name, expected.get(name)),
        "urgency": _urgency(state, name, now),
        "waits_for": [
            {**wait, "expected": _over_at(state, name, wait["holder"], expected)}
            for wait in row["waits_for"]
        ],
    }


def _expectation(state: State, name: StreamId, found: Expected | None) -> dict[str, Any] | None:
    if found is None:
        return None
    plan = state.stream_plan(name)
    return {
        "start": wall_time(state, found.start),
        "end": wall_time(state, found.end),
        "slack_seconds": round(found.slack, 1),
        "is_critical": found.is_critical,
        "basis": plan.estimate_basis,
        "p50_seconds": plan.usual_seconds,
        "p95_seconds": plan.long_seconds,
    }


def _urgency(state: State, name: StreamId, now: float) -> dict[str, Any] | None:
    parts = urgency(state, name, now)
    if parts is None:
        return None
    seconds = {part: round(each, 1) for part, each in msgspec.structs.asdict(parts).items()}
    return {**seconds, "total": round(parts.total, 1), "place": place_in_queue(state, name)}


def _over_at(
    state: State, name: StreamId, holder: str | None, expected: Mapping[StreamId, Expected]
) -> str | None:
    """Return when a wait should be over: when it starts, or at the latest when its holder ends."""
    mine = expected.get(name)
    if mine is not None and state.streams[name].phase in NOT_BEGUN:
        return wall_time(state, mine.start)
    others = expected.get(StreamId(holder or ""))
    return wall_time(state, others.end) if others is not None else None
