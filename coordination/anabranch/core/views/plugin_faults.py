"""The faults of plugins, as commands tell of them."""

from __future__ import annotations

from typing import Any

from anabranch.core.folds.plugin_faults import fault_of
from anabranch.core.model.state import State

__all__ = ["fault_of", "plugin_status"]


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
