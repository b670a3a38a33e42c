"""Events of signs of life, and of streams that joined from outside."""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.core.events.base import OPERATOR, CallEvent, StreamEvent
from anabranch.core.ids import Attempt, StreamId


class StreamJoined(CallEvent, frozen=True, kw_only=True):
    """A stream that the plan does not know joined the run; an operator's token let it in."""

    capabilities: tuple[str, ...]
    depends_on: tuple[StreamId, ...]
    is_ready: bool

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return OPERATOR


class StreamReady(CallEvent, frozen=True, kw_only=True):
    """Everything that a joined stream depends on is there."""

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return OPERATOR


class StreamLeft(CallEvent, frozen=True, kw_only=True):
    """A joined stream is not part of the run any more.

    One that ``was_waiting`` for those it depends on is told by the answer to its ``request``.
    """

    has_succeeded: bool
    reason: str
    was_waiting: bool = False

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return OPERATOR if self.was_waiting else (self.stream, self.attempt)


class StreamStalled(StreamEvent, frozen=True, kw_only=True):
    """It gives no sign of getting on; ``verdict`` is ``stalled`` or ``never_heard``."""

    attempt: Attempt
    verdict: str
    evidence: str
    silent_seconds: float = 0.0


class StreamProgressed(StreamEvent, frozen=True, kw_only=True):
    """A stalled stream gives signs again."""

    attempt: Attempt
    evidence: str


class StreamHeartbeat(CallEvent, frozen=True, kw_only=True):
    """A stream says what it is doing; beats that say nothing new are not recorded."""

    status: str
    progress: float | None = None
    info: dict[str, Any] = msgspec.field(default_factory=dict)
