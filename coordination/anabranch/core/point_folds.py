"""What the events of a convergence point change about it, its phase included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import gathering, resolutions
from anabranch.core.state import Point, PointPhase
from anabranch.core.wording import counted


def _departed(p: Point, record: ev.Recorded, event: ev.ConvergenceDeparted) -> Point:
    stays = tuple(s for s in p.arrived if s != event.stream)
    return replace(p, arrived=stays, departed={**p.departed, event.stream: event.reason})


def _merge_started(p: Point, record: ev.Recorded, event: ev.ConvergenceStarted) -> Point:
    return replace(p, phase=PointPhase.MERGING, merging=event.streams, reason=event.reason)


def _merged(p: Point, record: ev.Recorded, event: ev.ConvergenceMerged) -> Point:
    return replace(
        p,
        phase=PointPhase.MERGED,
        reason=f"merged {counted(len(event.merged), 'stream')}",
        merged=event.merged,
        commit=event.commit,
        tree=event.tree,
        warnings=event.warnings,
        merging_seconds=p.merging_seconds + record.at - p.since,
    )


def _conflict(p: Point, record: ev.Recorded, event: ev.ConflictFound) -> Point:
    return replace(p, conflicts=(*p.conflicts, event.conflict))


def _point_blocked(p: Point, record: ev.Recorded, event: ev.ConvergenceBlocked) -> Point:
    return replace(p, phase=PointPhase.BLOCKED, reason=event.reason)


def _abandoned(p: Point, record: ev.Recorded, event: ev.ConvergenceAbandoned) -> Point:
    return replace(p, phase=PointPhase.ABANDONED, reason=event.reason)


def _reopened(p: Point, record: ev.Recorded, event: ev.ConvergenceReopened) -> Point:
    return replace(
        p,
        phase=PointPhase.OPEN,
        reason=event.reason,
        arrived=(),
        departed={},
        merging=(),
        quarantined=(),
        conflicts=(),
    )


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    **gathering.POINT_FOLDS,
    **resolutions.POINT_FOLDS,
    ev.ConvergenceDeparted: _departed,
    ev.ConvergenceStarted: _merge_started,
    ev.ConvergenceMerged: _merged,
    ev.ConflictFound: _conflict,
    ev.ConvergenceBlocked: _point_blocked,
    ev.ConvergenceAbandoned: _abandoned,
    ev.ConvergenceReopened: _reopened,
}
