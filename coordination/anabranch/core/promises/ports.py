"""What must hold of the ports of streams after every step."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.model.at_work import active_attempts
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State

_WORKS = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)


def port_promises(state: State) -> Iterator[str]:
    """Yield every promise about ports that is broken, in words."""
    first: dict[int, str] = {}
    for run in active_attempts(state):
        asked = state.stream_plan(run.id).ports
        if run.phase in _WORKS and tuple(run.ports) != asked:
            yield f"{run.id} asks for the ports {asked} and has {tuple(run.ports)}"
        for port in run.ports.values() if run.phase in _WORKS else ():
            other = first.setdefault(port, f"{run.id}.{run.attempt}")
            if other != f"{run.id}.{run.attempt}":
                yield f"{other} and {run.id}.{run.attempt} both have port {port}"
