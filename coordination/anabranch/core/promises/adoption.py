"""What holds of adoption: exactly one is adopted, and of those who met there only it is merged."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, RunPhase, State
from anabranch.core.plans.plan import PointPlan


def broken_adoptions(state: State) -> Iterator[str]:
    """Yield every promise about adoption that a state breaks."""
    for plan in state.plan.points:
        if plan.adopts_one:
            yield from _of_point(state, plan, state.points[plan.id])


def _of_point(state: State, plan: PointPlan, point: Point) -> Iterator[str]:
    met, chosen = set(plan.streams), point.adoption.adopted
    merged = met & set(point.merged)
    if merged and merged != {chosen}:
        yield f"{sorted(merged)} are merged at {plan.id}, which has adopted {chosen}"
    for other in state.points.values():
        strangers = met & set(other.merged) - {chosen}
        if strangers:
            yield f"{other.id} has merged {sorted(strangers)}, which {plan.id} has not adopted"
    passed_over = {s for s in met if state.streams[s].phase is Phase.PASSED_OVER}
    if chosen in passed_over:
        yield f"{chosen} is adopted at {plan.id} and passed over"
    for stream in sorted(passed_over):
        if state.streams[stream].result is None:
            yield f"{stream} is passed over, and its work is not kept"
    if point.adoption.asked and point.phase is not PointPhase.BLOCKED:
        yield f"{plan.id} asks for one to adopt, and is {point.phase}"
    if state.phase is RunPhase.CONVERGED and not plan.is_optional and merged != {chosen}:
        yield f"the run converged, and nobody is adopted at {plan.id}"
