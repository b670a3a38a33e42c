"""What plugins of a run did wrong, and what is done instead: told wherever the run is told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from anabranch.core import events as ev

if TYPE_CHECKING:
    from anabranch.core.state import State

_INSTEAD = {
    "probe": "how much there is of {name} is not known, so nothing limits it",
    "observer": "it misses events",
    "executor": "what names it is not started",
    "plugin": "the run does without it",
}
"""What follows when somebody besides the strategies fails, by the first word of the name."""


class PluginFault(msgspec.Struct, frozen=True):
    """The newest fault of one strategy, observer, probe or executor; ``count`` of them so far."""

    plugin: str
    strategy: str
    fault: str
    count: int
    is_set_aside: bool
    at: float
    is_heeded: bool = False

    @property
    def instead(self) -> str:
        """What is done instead of what it would have done."""
        if self.is_heeded:
            return "its answers are taken all the same"
        kind, _, name = self.strategy.partition(" ")
        if name and kind in _INSTEAD:
            return _INSTEAD[kind].format(name=name)
        return "the core's own is asked"

    @property
    def words(self) -> str:
        """The fault in one sentence."""
        again = "; it is not asked again" if self.is_set_aside else ""
        source = f" ({self.plugin})" if self.plugin else ""
        return f"{self.strategy}{source}: {self.fault}; {self.instead}{again}"


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


def plugin_status(state: State) -> list[dict[str, Any]]:
    """Return what plugins did wrong as ``status --json`` tells it, the first to fail first."""
    return [
        {
            "plugin": found.plugin or found.strategy,
            "strategy": found.strategy,
            "fault": found.fault,
            "instead": found.instead,
            "count": found.count,
            "set_aside": found.is_set_aside,
        }
        for found in sorted(state.plugin_faults.values(), key=lambda f: (f.at, f.strategy))
    ]
