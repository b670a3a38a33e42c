"""How the plan of a run changes when another strategy is chosen while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds.queues import in_new_order
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


def _ranked(state: State, record: ev.Recorded, event: ev.QueueRanked) -> State:
    """Sort the queue anew; a rank of a stream that is not in it counts for nothing."""
    streams = state.streams
    ready = [(event.ranks.get(name, rank), place, name) for rank, place, name in state.ready]
    for rank, _, name in ready:
        streams = streams.insert(name, replace(streams[name], rank=rank))
    ranked = replace(state, streams=streams, ready=tuple(sorted(ready)))
    return replace(ranked, queues=in_new_order(ranked))


FOLDS: Mapping[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StrategyChosen: _chosen,
    ev.QueueRanked: _ranked,
}
