"""What the faults of plugins change about a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.plugin_faults import PluginFault
from anabranch.core.model.state import State


def fault_of(event: ev.StrategyFaulted, at: float = 0.0) -> PluginFault:
    """Return what an event says."""
    return PluginFault(
        event.plugin,
        event.strategy,
        event.fault,
        event.count,
        event.is_set_aside,
        at,
        event.is_heeded,
    )


def _faulted(state: State, record: ev.Recorded, event: ev.StrategyFaulted) -> State:
    faults = state.plugin_faults.insert(event.strategy, fault_of(event, record.at))
    return replace(state, plugin_faults=faults)


FOLDS: Mapping[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StrategyFaulted: _faulted
}
