"""What is known of a stream that had more memory than it may, or than there was."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt

KEPT_OVERRUNS = 8


class Overrun(msgspec.Struct, frozen=True, gc=False):
    """An attempt had ``used`` of a resource; ``rule`` says why it was ended for that.

    ``limit`` is its ceiling, or what it was expected to need.
    """

    attempt: Attempt
    at: float
    resource: str
    used: float
    limit: float
    rule: str


class MemoryCare(msgspec.Struct, frozen=True, gc=False):
    """How often a stream ran out of memory, and what follows for its next attempts.

    ``tries`` counts those that its own failures have nothing to do with. One that ``is_alone``
    runs when nobody else does, and asks for ``asks_mb`` to begin.
    """

    overruns: tuple[Overrun, ...] = ()
    tries: int = 0
    asks_mb: float = 0.0
    is_alone: bool = False

    def overrun_of(self, attempt: Attempt) -> Overrun | None:
        """Return what an attempt had too much of, if it had."""
        newest = self.overruns[-1] if self.overruns else None
        return newest if newest is not None and newest.attempt == attempt else None
