"""Ports in the simulated world: the lowest that nobody has, so one given back too early shows."""

from __future__ import annotations

from itertools import count

from anabranch.core import effects as fx
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State

FIRST = 20_000


class PortBook:
    """Who has which port."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[StreamId, Attempt]] = {}

    def give(self, state: State, effect: fx.PrepareWorkspace) -> dict[str, int]:
        """Return a port for each name that the plan of an attempt's stream asks for."""
        given = {}
        for name in state.stream_plan(effect.stream).ports:
            given[name] = port = next(p for p in count(FIRST) if p not in self._taken)
            self._taken[port] = (effect.stream, effect.attempt)
        return given

    def take_back(self, effect: fx.ReturnPorts) -> None:
        """Have others get what a stream had up to an attempt."""
        for port, (stream, attempt) in list(self._taken.items()):
            if stream == effect.stream and attempt <= effect.attempt:
                del self._taken[port]


def own_ports(state: State, stream: StreamId, attempt: Attempt) -> dict[str, int]:
    """Return ports for an attempt that no other of the run gets, whoever else there is."""
    first = FIRST + 1_000 * attempt + 20 * state.topology.position[stream]
    return {name: first + n for n, name in enumerate(state.stream_plan(stream).ports)}
