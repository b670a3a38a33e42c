"""Progressive: a merge queue. Each stream is merged as it completes, and the point opens again.

Whoever depends on a merged stream starts from the merged result at once. A stream that conflicts
stays outside until the last merge; the queue goes on. When ``at_once`` bounds a merge, the queue is
first in, first out, but a higher priority goes first, and each ``ageing_seconds`` of waiting count
as one step of priority, so nobody waits for ever.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.strategies import Abandon, Converge, PointDecision, PointView, WaitForMore
from anabranch.core.wording import listing


class ProgressiveOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``at_once`` is how many streams one merge takes, 0 for all that wait."""

    at_once: Annotated[int, msgspec.Meta(ge=0)] = 0
    ageing_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    reduce: str = "collect"


class Progressive:
    """Merges whoever has arrived, again and again, until nobody is left to come."""

    name = "progressive"
    merges_early = True
    options_type = ProgressiveOptions

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        options = msgspec.convert(view.options, ProgressiveOptions, from_attributes=True)
        queue = _in_turn(view, options, now)
        chosen = queue[: options.at_once] if options.at_once > 0 else queue
        has_more = bool(queue and view.left_out)  # who conflicts comes after all the others
        if not view.outstanding and len(chosen) == len(queue) and not has_more:
            if not view.arrived:
                return Abandon("no stream brought a result")
            reason = f"{len(view.arrived)} of {view.expected} arrived, nobody is left to come"
            return Converge(tuple(view.arrived), reason)
        if chosen:
            oldest = min(view.arrived_at.get(s, now) for s in queue)
            reason = f"merging {listing(chosen, 3)}; the oldest waited {now - oldest:.1f} s"
            return Converge((*view.merged, *chosen), reason, is_final=False)
        return WaitForMore(f"merged {len(view.merged)}, waiting for {view.outstanding} more")


def _in_turn(view: PointView, options: ProgressiveOptions, now: float) -> list[StreamId]:
    """Return who waits to be merged, in the order of the queue."""

    def standing(stream: StreamId) -> float:
        waited = now - view.arrived_at.get(stream, now)
        ageing = max(options.ageing_seconds, 1e-3)
        return view.priorities.get(stream, 0) + waited / ageing

    return sorted(view.unmerged, key=standing, reverse=True)
