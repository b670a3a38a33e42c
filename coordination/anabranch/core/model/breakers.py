"""What the state keeps of circuit breakers.

A breaker watches everything that shares a command or a capability. It is closed while that goes as
usual, open while nothing of it starts, and half open while one stream tries whether it goes again
(Nygard, *Release It!*, 2007).
"""

from __future__ import annotations

from enum import StrEnum
from zlib import crc32

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Seq, StreamId
from anabranch.core.plans.plan import StreamPlan

LONGEST_COMMAND = 80
"""Of a longer command the breaker's name has the beginning, and a number that tells it apart."""


class BreakerPhase(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How one attempt of a stream ended."""

    stream: StreamId
    has_failed: bool


class Breaker(msgspec.Struct, frozen=True, gc=False):
    """One breaker; ``usual_rate`` is the share of failures (0..1) that it has seen so far.

    ``probe`` is the stream that tries whether it goes again, ``has_passed`` how that ended;
    ``openings`` counts how often in a row it opened.
    """

    name: str
    phase: BreakerPhase = BreakerPhase.CLOSED
    recent: tuple[Outcome, ...] = ()
    usual_rate: float = 0.0
    openings: int = 0
    until: float = 0.0
    cause: Seq = 0
    reason: str = ""
    probe: StreamId | None = None
    has_passed: bool | None = None

    @property
    def failures(self) -> int:
        return sum(outcome.has_failed for outcome in self.recent)


class Breakers(msgspec.Struct, frozen=True, gc=False):
    """All breakers of a run; ``tripped`` are those that are not closed, the oldest first."""

    by_name: HashTrieMap[str, Breaker] = HashTrieMap()
    tripped: tuple[str, ...] = ()

    def breaker(self, name: str) -> Breaker:
        return self.by_name.get(name, Breaker(name))


def breakers_of(plan: StreamPlan) -> tuple[str, ...]:
    """Return the names of the breakers that a stream counts for; a service never succeeds."""
    if plan.is_service:
        return ()
    names = [f"capability {name}" for name in plan.capabilities]
    return (f"command {_command_of(plan)}", *names)


def _command_of(plan: StreamPlan) -> str:
    """Return what fails together: the whole command, where it runs and with which settings.

    Not its program: that ``npm run lint`` is broken says nothing about ``npm test``. What shares a
    service or a key without sharing a command names a capability.
    """
    text = " ".join(plan.command_text.split())
    if plan.working_dir != ".":
        text += f" (in {plan.working_dir})"
    own = repr(sorted(plan.env.items())) if plan.env else ""
    if not own and len(text) <= LONGEST_COMMAND:
        return text
    number = f"#{crc32((plan.command_text + own).encode(errors='replace')):08x}"
    return f"{text[:LONGEST_COMMAND].rstrip()} {number}"


def restored(by_name: HashTrieMap[str, Breaker]) -> Breakers:
    """Return the breakers of a snapshot."""
    tripped = [b for b in by_name.values() if b.phase is not BreakerPhase.CLOSED]
    return Breakers(by_name, tuple(b.name for b in sorted(tripped, key=lambda b: b.cause)))
