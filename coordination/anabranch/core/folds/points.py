"""What the events of a convergence point change about it, its phase included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds import (
    adoption,
    gathering,
    guardian,
    point_checkpoints,
    resolutions,
    verifying,
)
from anabranch.core.model.state import Point, PointPhase
from anabranch.core.wording import counted


def _departed(p: Point, record: ev.Recorded, event: ev.ConvergenceDeparted) -> Point:
    stays = tuple(s for s in p.arrived if s != event.stream)
    left_out = {s: why for s, why in p.left_out.items() if s != event.stream}
    departed = {**p.departed, event.stream: event.reason}
    return replace(p, arrived=stays, departed=departed, left_out=left_out)


def _merge_started(p: Point, record: ev.Recorded, event: ev.ConvergenceStarted) -> Point:
    return replace(
        p,
        phase=PointPhase.MERGING,
        merging=event.streams,
        is_last_merge=event.is_final,
        # What an earlier merge has left out is tried once more, and found once more if it must be.
        conflicts=tuple(c for c in p.conflicts if c.halts) if event.is_final else p.conflicts,
        reason=event.reason,
        looks_again_at=None,
    )


def _waits(p: Point, record: ev.Recorded, event: ev.ConvergenceWaits) -> Point:
    return replace(
        p,
        reason=event.reason,
        looks_again_at=event.look_again_at,
        looks_again_cause=record.seq,
        looked_at=record.at,
    )


def _left_out(p: Point, record: ev.Recorded, event: ev.ConvergenceLeftOut) -> Point:
    return replace(p, left_out={**p.left_out, **dict.fromkeys(event.streams, event.reason)})


def _merged(p: Point, record: ev.Recorded, event: ev.ConvergenceMerged) -> Point:
    return replace(
        p,
        phase=PointPhase.MERGED if event.is_final else PointPhase.OPEN,
        reason=f"merged {counted(len(event.merged), 'stream')}",
        left_out={s: why for s, why in p.left_out.items() if s not in set(event.merged)},
        merged=event.merged,
        commit=event.commit,
        tree=event.tree,
        warnings=(*event.warnings, *((p.flaky,) if p.flaky else ())),
        is_overdue=False,
        merging_seconds=p.merging_seconds + record.at - p.since,
    )


def _conflict(p: Point, record: ev.Recorded, event: ev.ConflictFound) -> Point:
    others = tuple(c for c in p.conflicts if c != event.conflict)
    return replace(p, conflicts=(*others, event.conflict))


def _point_blocked(p: Point, record: ev.Recorded, event: ev.ConvergenceBlocked) -> Point:
    return replace(p, phase=PointPhase.BLOCKED, reason=event.reason)


def _abandoned(p: Point, record: ev.Recorded, event: ev.ConvergenceAbandoned) -> Point:
    adopted = replace(p.adoption, asked=())
    return replace(p, phase=PointPhase.ABANDONED, reason=event.reason, adoption=adopted)


def _reopened(p: Point, record: ev.Recorded, event: ev.ConvergenceReopened) -> Point:
    return replace(
        p,
        phase=PointPhase.OPEN,
        reason=event.reason,
        opened_at=record.at,
        arrived=(),
        arrived_at={},
        departed={},
        merging=(),
        merged=(),
        left_out={},
        looks_again_at=None,
        quarantined=(),
        conflicts=(),
        probes=(),
        probes_again=(),
        guilty=(),
        flaky="",
        adoption=adoption.opened_again(p.adoption),
    )


POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    **adoption.POINT_FOLDS,
    **gathering.POINT_FOLDS,
    **resolutions.POINT_FOLDS,
    **point_checkpoints.POINT_FOLDS,
    ev.ConvergenceDeparted: _departed,
    ev.ConvergenceStarted: _merge_started,
    ev.ConvergenceWaits: _waits,
    **guardian.POINT_FOLDS,
    **verifying.POINT_FOLDS,
    ev.ConvergenceLeftOut: _left_out,
    ev.ConvergenceMerged: _merged,
    ev.ConflictFound: _conflict,
    ev.ConvergenceBlocked: _point_blocked,
    ev.ConvergenceAbandoned: _abandoned,
    ev.ConvergenceReopened: _reopened,
}
