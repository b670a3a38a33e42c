"""Barrier: wait for everybody, then merge once (bulk-synchronous parallel, Valiant 1990).

A participant that ended without a result is out of the barrier: nobody waits for the dead.
"""

from __future__ import annotations

import msgspec

from anabranch.core.strategies import Abandon, Converge, PointDecision, PointView, WaitForMore


class BarrierOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A barrier takes no option of its own: what is written for another type is an error."""

    reduce: str = "collect"


class Barrier:
    """Merges everyone who arrived, once nobody is outstanding."""

    name = "barrier"
    options_type = BarrierOptions

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        if view.outstanding:
            return WaitForMore(f"waiting for {view.outstanding} of {view.expected} streams")
        if not view.arrived:
            return Abandon("no stream brought a result")
        return Converge(tuple(view.arrived), f"{len(view.arrived)} of {view.expected} arrived")
