"""What events change about the plan of a run that goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import State
from anabranch.core.plans.extending import extended, reworded
from anabranch.core.plans.topology import Topology


def _added(state: State, record: ev.Recorded, event: ev.StreamAdded) -> State:
    return replace(state, topology=Topology(extended(state.plan, event.plan)))


def _reworded(state: State, record: ev.Recorded, event: ev.StreamReworded) -> State:
    return replace(state, topology=Topology(reworded(state.plan, event.plan)))


def _closed(state: State, record: ev.Recorded, event: ev.RunClosed) -> State:
    plan = replace(state.plan, is_open=False)
    return replace(state, topology=Topology(plan), cause=record.seq)


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamAdded: _added,
    ev.StreamReworded: _reworded,
    ev.RunClosed: _closed,
}
