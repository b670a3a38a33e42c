"""What must hold of resources after every step."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.deciding.hearing import is_live
from anabranch.core.deciding.resources import capacity
from anabranch.core.deciding.streams.copies import held_beside
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import plus
from anabranch.core.model.state import State

_ROUNDING = 1e-6


def resource_promises(state: State) -> Iterator[str]:
    """Yield every promise about resources that the state breaks, in words."""
    table = state.resources
    held: dict[str, float] = {}
    for stream, holding in table.held.items():
        held = plus(held, holding.amounts)
        if not _may_hold(state, stream, holding.attempt):
            yield f"{stream} holds {holding.amounts} without a process"
    if held != table.used:
        yield f"{held} is held, {table.used} is counted"
    for name, amount in table.used.items():
        whole = capacity(state, name)
        if whole is not None and amount > whole + _ROUNDING:
            yield f"{amount:g} {name} are held, there are {whole:g}"
    for waiting in table.queue:
        if not is_live(state, waiting.stream, waiting.attempt):
            yield f"{waiting.stream} waits for resources without a process"
    for point in state.points.values():
        for arrival in point.gathering.arrivals:
            found = state.streams.get(arrival.stream)
            if found is not None and found.phase is Phase.FAILED:
                yield f"{found.id} has failed and is still at {point.id}"


def _may_hold(state: State, stream: StreamId, attempt: Attempt) -> bool:
    found = state.streams.get(stream)
    if held_beside(state, stream):
        return attempt in (state.streams[stream].attempt, state.copies[stream].run.attempt)
    if found is not None and found.phase is Phase.PREPARING:
        return found.attempt == attempt
    return is_live(state, stream, attempt)
