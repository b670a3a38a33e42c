"""A convergence type that wants to be asked again: it gathers for a while before each merge."""

from __future__ import annotations

from anabranch.core.strategies import Abandon, Converge, PointDecision, PointView, WaitForMore

PATIENCE_SECONDS = 2.0


class Patient:
    """Merges what has arrived once the first of it has waited long enough."""

    name = "patient"
    merges_early = True

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        if not view.outstanding:
            if not view.arrived:
                return Abandon("no stream brought a result")
            return Converge(tuple(view.arrived), "nobody is left to come")
        waiting = list(view.unmerged)
        if not waiting:
            return WaitForMore("nobody waits")
        until = min(view.arrived_at.get(s, now) for s in waiting) + PATIENCE_SECONDS
        if now < until:
            return WaitForMore("more may come soon", until)
        return Converge((*view.merged, *waiting), "gathered long enough", is_final=False)
