"""What a load balancer is: it ranks the streams that are ready."""

from __future__ import annotations

from collections.abc import Mapping
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
    ``capabilities``, and the ``resources`` that it asks for are as the plan has them.
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


class LoadBalancer(Protocol):
    """Orders the queue of streams that are ready; free slots pull from its head."""

    @property
    def name(self) -> str: ...

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place: the smallest rank runs first, ties go by plan order."""
        ...
