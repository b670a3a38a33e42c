"""Events of resources."""

from __future__ import annotations

from anabranch.core.events.base import CallEvent, Edge, Event, StreamEvent, WaitBegan
from anabranch.core.ids import Attempt, Seq, StreamId


class MachineMeasured(Event, frozen=True, kw_only=True):
    """What the machine has to give: ``cpu_cores`` and ``memory_mb``."""

    capacity: dict[str, float]


class MachineLoadChanged(Event, frozen=True, kw_only=True):
    """``shortage`` says why nothing new may start; it is empty when nothing speaks against it."""

    memory_available_mb: float
    memory_pressure: float | None
    shortage: str = ""


class DiskUseChanged(Event, frozen=True, kw_only=True):
    """What is kept of the project takes more than the plan's ``max_disk``, or no longer does.

    ``shortage`` says so, what takes the room, and how it is given back; empty: streams start again.
    """

    used_bytes: int
    shortage: str = ""


class ResourcesGranted(CallEvent, frozen=True, kw_only=True):
    """The amounts are the stream's until it gives them back or its process is gone.

    ``ticket`` is the number of the queue event that this answers, 0 for none.
    """

    amounts: dict[str, float]
    ticket: Seq = 0


class ResourcesQueued(WaitBegan, frozen=True, kw_only=True):
    amounts: dict[str, float]


class ResourcesReleased(CallEvent, frozen=True, kw_only=True):
    amounts: dict[str, float]
    reason: str = ""


class ResourcesWithdrawn(CallEvent, frozen=True, kw_only=True):
    """A queued request is not wanted any more; ``ticket`` is the number of its queue event."""

    ticket: Seq
    reason: str = ""
    hint: str = ""
    cycle: tuple[Edge, ...] = ()


class ResourcesExceeded(Event, frozen=True, kw_only=True):
    """A stream uses more than it was granted; ``response`` is ``show``, ``tell`` or ``stop``."""

    stream: StreamId
    attempt: Attempt
    resource: str
    granted: float
    used: float
    response: str


class ResourcesWithin(Event, frozen=True, kw_only=True):
    """A stream uses no more than it was granted again."""

    stream: StreamId
    attempt: Attempt
    resource: str


class StreamOverran(StreamEvent, frozen=True, kw_only=True):
    """An attempt had more of a resource than it may, or than there was, and is ended for that.

    ``used`` and ``limit`` are in the resource's own unit; the limit is the plan's ceiling, or what
    it was expected to need (0: nothing is known). ``rule`` says why it was this one.
    """

    attempt: Attempt
    resource: str
    used: float
    limit: float
    rule: str


class OverheadExceeded(Event, frozen=True, kw_only=True):
    """Coordination takes more than its target share (0..1) of all time; most for ``category``."""

    share: float
    category: str
    seconds: float
    reason: str


class OverheadWithin(Event, frozen=True, kw_only=True):
    """Coordination takes no more than its target share of all time again."""

    share: float
