"""What a load balancer is: it ranks the streams that are ready, or places them in slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class QueuedStream(msgspec.Struct, frozen=True):
    """What a load balancer sees of a stream that is ready to run.

    ``position`` is its place in the plan, from 0; ``priority`` what the plan gives it, usually 0,
    more is more urgent; ``estimate_seconds`` how long it is expected to take by itself; ``attempt``
    counts from 1, more than that after a failure. ``remaining_path_seconds`` is the longest
    estimated path from this stream to the end of the plan, itself included (the upward rank of
    HEFT, Topcuoglu 2002).

    ``estimate_basis`` says what the estimate is from: learned, class or guessed; ``long_seconds``
    is what 19 of 20 attempts did not exceed, None where too little is known. ``waiters`` is how
    many streams wait for this one, directly or through others; ``mean_seconds`` is the mean
    estimate of the plan's streams, and ``max_parallel`` how many of them may run at a time.
    ``queued_at`` is since when it has been ready, in run seconds. What it ``depends_on``, its
    ``capabilities``, and the ``resources`` that it asks for are as the plan has them. ``options``
    are those of the plan, if they are for this balancer. ``own_slot`` is the slot in whose queue it
    waits; 0 is the common one.
    """

    stream: StreamId
    position: int
    priority: int
    estimate_seconds: float
    remaining_path_seconds: float
    attempt: Attempt
    estimate_basis: str = "guessed"
    long_seconds: float | None = None
    waiters: int = 0
    mean_seconds: float = 1.0
    max_parallel: int = 1
    queued_at: float = 0.0
    depends_on: tuple[StreamId, ...] = ()
    capabilities: tuple[str, ...] = ()
    resources: Mapping[str, float] = {}
    options: Mapping[str, object] = {}
    own_slot: int = 0


class FreeSlot(msgspec.Struct, frozen=True):
    """A slot that is free.

    ``leases`` is how many streams have had it, ``busy_seconds`` for how long together, and
    ``since`` is when it became free, in run seconds. ``last`` is the stream that had it last, None
    if nobody had, and ``last_capabilities`` are that one's.
    """

    number: int
    leases: int = 0
    busy_seconds: float = 0.0
    since: float = 0.0
    last: StreamId | None = None
    last_capabilities: tuple[str, ...] = ()


class RunningStream(msgspec.Struct, frozen=True):
    """A stream that runs, in which slot, for how long, and how long it is expected to go on."""

    stream: StreamId
    slot: int
    elapsed_seconds: float
    rest_seconds: float


class Placing(msgspec.Struct, frozen=True):
    """What a load balancer sees that places: all that may start now, and the slots for it.

    Each stream of ``queue`` may start now by itself: its time has come, no breaker holds it back,
    and the resources that it asks for are free. They come in the order of their ranks: the
    balancer's own if it ranks too, else by urgency. ``slots`` are free, one stream each, and
    ``running`` is who runs elsewhere. ``free`` is what there is of the resources that the queue
    asks for, for all together; one that is not in there has no limit. Who waits in the queue of a
    slot is there if that one is free, and can be placed nowhere else. ``seed`` is a number of this
    run's and this moment's own, to draw from. ``options`` are those of the plan, if they are for
    this balancer.
    """

    queue: Sequence[QueuedStream]
    slots: Sequence[FreeSlot]
    running: Sequence[RunningStream] = ()
    free: Mapping[str, float] = {}
    max_parallel: int = 1
    seed: int = 0
    options: Mapping[str, object] = {}


class Placement(msgspec.Struct, frozen=True):
    """This stream runs now, in the slot of this number; the reason is what people see."""

    stream: StreamId
    slot: int
    reason: str


class LoadBalancer(Protocol):
    """Decides which of the streams that are ready run first, and in which slots.

    It has ``rank``, ``place`` or ``assign``, or several of them. One with ``rank`` orders the
    queue; free slots, the lowest number first, pull from its head. One with ``place`` is shown the
    whole queue and all free slots at once, each time that somebody may start. Whom it does not
    place waits, but no longer than thirty seconds while a slot is free: then the engine places it.
    One with ``assign`` has slots own queues: it is asked before anybody is placed. A free slot then
    takes the head of its own queue, else of the common one, unless the balancer places as well. A
    ``rank`` is asked for once, when a stream becomes ready, and costs nothing later; ``place`` and
    ``assign`` are asked at each turn.
    """

    @property
    def name(self) -> str: ...


class Ranks(LoadBalancer, Protocol):
    """A load balancer that orders the queue."""

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place: the smallest rank runs first, ties go by plan order."""
        ...


class Places(LoadBalancer, Protocol):
    """A load balancer that says who runs where."""

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        """Return who starts at run time ``now`` (seconds), and in which slot; the others wait."""
        ...
