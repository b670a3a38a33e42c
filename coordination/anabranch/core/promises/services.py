"""What must hold of services after every step."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.model.state import State


def service_promises(state: State) -> Iterator[str]:
    """Yield every promise about services that is broken, in words."""
    for name in state.topology.services:
        stream = state.streams.get(name)
        if stream is None:
            continue
        if stream.result is not None:
            yield f"{name} is a service, and brought a result"
        if any(name in (*p.arrived, *p.departed, *p.merged) for p in state.points.values()):
            yield f"{name} is a service, and met others at a point"
        if stream.slot or any(slot.runs == name for slot in state.slots.values()):
            yield f"{name} is a service, and holds a slot"
        if state.has_ended and stream.is_active:
            yield f"the run is {state.phase}, and its service {name} is {stream.phase}"


def begun_unready(before: State | None, event: ev.Event) -> Iterator[str]:
    """Yield that a stream was admitted while a service that it waits for was not ready."""
    if before is None or not isinstance(event, ev.StreamAdmitted):
        return
    for dependency in before.stream_plan(event.stream).depends_on:
        if dependency.condition == "ready" and not is_met(before, dependency):
            yield f"{event.stream} was admitted, and {dependency.stream} was not ready"
