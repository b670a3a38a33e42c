"""Races side by side: what each of those is like of whom one is adopted."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from anabranch.core.deciding.points.adopting import why_not_adopted
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.adoption import Trial
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State, Stream

__all__ = ["Racer", "Standing", "adoptable", "racers_at", "races", "refusal_to_adopt"]

Standing = Literal[
    "at work", "waiting", "can be adopted", "adopted", "not adopted", "fails verify", "failed"
]


class Racer(msgspec.Struct, frozen=True):
    """One of those of whom one is adopted.

    ``standing`` is how it stands in the race, ``check`` what the point's check said of its work
    alone (None: not yet, or there is none). ``seconds`` is how long its newest attempt has worked;
    ``ref`` keeps its work, empty before it has brought any.
    """

    stream: StreamId
    state: str
    standing: Standing
    reason: str
    exit_code: int | None
    seconds: float | None
    files_changed: int | None
    check: Trial | None
    ref: str
    log: str | None

    @property
    def as_json(self) -> dict[str, Any]:
        """The same for ``race --compare --json``."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def races(state: State) -> list[PointId]:
    """Return the points at which one is adopted, in plan order."""
    return [plan.id for plan in state.plan.points if plan.adopts_one]


def adoptable(state: State) -> tuple[StreamId, ...]:
    """Return whom a person can adopt now, at whatever point."""
    return tuple(s for p in races(state) for s in state.points[p].adoption.asked)


def refusal_to_adopt(state: State, stream: StreamId) -> Refusal | None:
    """Return why a stream cannot be adopted now, None if it can."""
    return why_not_adopted(state, stream)


def racers_at(state: State, point: PointId, now: float) -> list[Racer]:
    """Return those who race at a point, in plan order.

    Args:
        state: the run.
        point: where one of them is adopted.
        now: run time in seconds, for those that work.
    """
    streams = (state.streams[s] for s in state.point_plan(point).streams)
    return [_racer(state, point, stream, now) for stream in streams]


def _racer(state: State, point: PointId, stream: Stream, now: float) -> Racer:
    result = stream.result
    return Racer(
        stream=stream.id,
        state=stream.public_state,
        standing=_standing(state, point, stream),
        reason=stream.reason,
        exit_code=stream.exit.status if stream.exit else None,
        seconds=_seconds(stream, now),
        files_changed=stream.files_changed,
        check=state.points[point].adoption.trials.get(stream.id),
        ref=result.ref if result is not None else (*stream.partial, "")[-1],
        log=stream.log,
    )


def _seconds(stream: Stream, now: float) -> float | None:
    if stream.started_at is None:
        return None
    is_over = stream.has_ended or stream.phase is Phase.CAPTURING
    end = stream.ended_at if is_over and stream.ended_at is not None else now
    return round(max(0.0, end - stream.started_at), 3)


def _standing(state: State, point_id: PointId, stream: Stream) -> Standing:
    point = state.points[point_id]
    if not stream.has_ended:
        return "at work" if stream.is_active else "waiting"
    if stream.phase not in (Phase.SUCCEEDED, Phase.PASSED_OVER):
        return "failed"
    trial = point.adoption.trials.get(stream.id)
    if stream.id == point.adoption.adopted:
        return "adopted"
    if trial is not None and not trial.passed:
        return "fails verify"
    if stream.id in point.adoption.asked:
        return "can be adopted"
    return "not adopted" if stream.phase is Phase.PASSED_OVER else "waiting"
