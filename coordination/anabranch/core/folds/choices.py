"""How the plan of a run changes when another strategy is chosen while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import State
from anabranch.core.plans.topology import Topology


def _chosen(state: State, record: ev.Recorded, event: ev.StrategyChosen) -> State:
    plan = state.plan
    if event.kind == "convergence":
        points = [
            replace(
                point,
                type=event.strategy,
                merges_early=event.merges_early,
                takes_checkpoints=event.takes_checkpoints,
            )
            if point.id == event.point
            else point
            for point in plan.points
        ]
        plan = replace(plan, points=tuple(points))
    else:
        plan = replace(plan, **{event.kind: event.strategy})
    return replace(state, topology=Topology(plan))


FOLDS: Mapping[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StrategyChosen: _chosen
}
