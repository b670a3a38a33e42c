"""What the events of adoption change, and the checks of one stream's work alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.adoption import Adoption, Trial
from anabranch.core.model.state import Point, PointPhase, State


def may_count(state: State, stream: StreamId) -> bool:
    """Return whether a stream's work may be a part of others': not if another may be adopted."""
    place = state.topology.adopted_at.get(stream)
    return place is None or state.points[place].adoption.adopted == stream


def _asked(p: Point, record: ev.Recorded, event: ev.AdoptionAsked) -> Point:
    adoption = replace(p.adoption, asked=event.streams)
    return replace(p, phase=PointPhase.BLOCKED, reason=event.reason, adoption=adoption)


def _adopted(p: Point, record: ev.Recorded, event: ev.StreamAdopted) -> Point:
    adoption = replace(p.adoption, adopted=event.stream, asked=())
    return replace(p, phase=PointPhase.OPEN, reason=event.reason, adoption=adoption)


def tried(p: Point, event: ev.VerifyPassed | ev.VerifyFailed) -> Point:
    """Return a point that knows what the check said of one stream's work, and is open again."""
    if isinstance(event, ev.VerifyPassed):
        trial = Trial(True, "passed", event.seconds)
    else:
        trial = Trial(False, event.reason, event.seconds, event.exit_code, event.log)
    trials = {**p.adoption.trials, p.adoption.trial_of: trial}
    adoption = replace(p.adoption, trial_of=StreamId(""), trials=trials)
    return replace(p, phase=PointPhase.OPEN, adoption=adoption, reason=f"{len(trials)} checked")


def opened_again(adoption: Adoption) -> Adoption:
    """Return what stays of an adoption when its point opens again: whom a person has chosen."""
    return Adoption(adoption.adopted)


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    ev.AdoptionAsked: _asked,
    ev.StreamAdopted: _adopted,
}
