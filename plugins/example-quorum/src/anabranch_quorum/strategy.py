"""Quorum: merges once k of n streams have arrived, or a deadline has passed; the rest at the end.

A convergence type is asked whenever something changes at a point. It answers from what it is shown,
and from nothing else: no clock, no random numbers, no files, nothing remembered. Time comes in as
``now``; to be asked at a time it says when to look again.
"""

from __future__ import annotations

import msgspec

from anabranch.core.strategies import Abandon, Converge, PointDecision, PointView, WaitForMore


class QuorumOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``k`` is how many make a quorum, 0 for more than half of all.

    ``deadline_seconds`` is how long the point may be open before whoever is there is enough.
    """

    k: int = 0
    deadline_seconds: float | None = None


class Quorum:
    """Converges with k of n, or with those who are there when time is up."""

    name = "quorum"
    merges_early = True
    options_type = QuorumOptions

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next, at ``now`` seconds on the run clock."""
        options = msgspec.convert(view.options, QuorumOptions, from_attributes=True)
        needed = options.k if options.k > 0 else view.expected // 2 + 1
        count = f"{len(view.arrived)} of {view.expected} arrived, {needed} are a quorum"
        if not view.outstanding:
            if not view.arrived:
                return Abandon("no stream brought a result")
            return Converge(tuple(view.arrived), f"{count}; nobody is left to come")
        ends_at = _end_of(view, options)
        is_late = ends_at is not None and now >= ends_at
        if view.unmerged and (len(view.arrived) >= needed or is_late):
            why = "time is up" if is_late else "a quorum"
            return Converge((*view.merged, *view.unmerged), f"{count}: {why}", is_final=False)
        return WaitForMore(count, None if is_late else ends_at)


def _end_of(view: PointView, options: QuorumOptions) -> float | None:
    """Return when time is up, on the run clock."""
    if options.deadline_seconds is None:
        return None
    return view.opened_at + max(0.0, options.deadline_seconds)
