"""Checkpoint: streams meet while they work, every so often, and once more at the end.

Each interval the running streams are snapshot, as they are, and the snapshots are merged. What does
not merge is known early; what does is offered to those that want it. At the end it is a barrier.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from anabranch.core.strategies import (
    Abandon,
    Checkpoint,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)
from anabranch.core.wording import counted


class CheckpointOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``interval_seconds`` lies between two checkpoints; without it the coordination's does."""

    interval_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    reduce: str = "collect"


class CheckpointType:
    """Merges snapshots at intervals, and everyone's results once nobody is outstanding."""

    name = "checkpoint"
    takes_checkpoints = True
    options_type = CheckpointOptions

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        if not view.outstanding:
            if not view.arrived:
                return Abandon("no stream brought a result")
            return Converge(tuple(view.arrived), f"{len(view.arrived)} of {view.expected} arrived")
        waiting = f"waiting for {view.outstanding} of {view.expected} streams"
        if not view.running:
            return WaitForMore(waiting)
        due = _last(view) + _interval(view)
        if now >= due:
            return Checkpoint(
                tuple(view.running), f"{counted(len(view.running), 'stream')} at work"
            )
        return WaitForMore(waiting, look_again_at=due)


def _last(view: PointView) -> float:
    """Return since when the time to the next checkpoint counts."""
    first = min(view.running.values(), default=view.opened_at)
    return first if view.checkpoint_at is None else max(view.checkpoint_at, first)


def _interval(view: PointView) -> float:
    options = msgspec.convert(view.options, CheckpointOptions, from_attributes=True)
    wanted = view.interval_seconds if options.interval_seconds is None else options.interval_seconds
    return max(wanted, 0.1)
