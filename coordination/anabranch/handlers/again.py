"""Which handlers are tried once more within the attempt, when, and how often.

One that hung, or that a person wants tried again, goes first. One that was killed for want of
memory waits until nothing else runs, and then runs alone: in the same crowd it would be killed
again. So does one whose work did not merge with that of others. Each has a budget of its own; what
fails by itself is left to the stream's own retries.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

from .queues import Work

MEMORY_TRIES = 2
"""How often a handler that was killed for want of memory is run again, alone."""

CONFLICT_TRIES = 1
"""The same for one whose work did not merge: alone, it starts from all that others have done."""


class Cause(Enum):
    """Why a handler ended, as far as trying it again is concerned."""

    ITSELF = "itself"
    HUNG = "hung"
    MEMORY = "memory"
    CONFLICT = "conflict"
    ASKED = "asked"


ALONE = frozenset({Cause.MEMORY, Cause.CONFLICT})
"""What goes better when nothing else runs."""


class Again:
    """Handlers that wait to be tried once more.

    Args:
        hang_tries: how often one that hung is tried again.
    """

    def __init__(self, hang_tries: int) -> None:
        self._budgets = {
            Cause.HUNG: hang_tries,
            Cause.MEMORY: MEMORY_TRIES,
            Cause.CONFLICT: CONFLICT_TRIES,
        }
        self._spent: Counter[tuple[str, Cause]] = Counter()
        self._soon: deque[Work] = deque()
        self._alone: deque[Work] = deque()

    def takes(self, work: Work, cause: Cause) -> bool:
        """Have a handler tried again, if its budget allows."""
        if cause is Cause.ITSELF:
            return False
        if cause is not Cause.ASKED:
            if self._spent[work.key, cause] >= self._budgets[cause]:
                return False
            self._spent[work.key, cause] += 1
        (self._alone if cause in ALONE else self._soon).append(work)
        return True

    def next_soon(self) -> Work | None:
        """Return what is tried again before anything else."""
        return self._soon.popleft() if self._soon else None

    def next_alone(self) -> Work | None:
        """Return what is to run while nothing else does."""
        return self._alone.popleft() if self._alone else None

    def left(self) -> list[Work]:
        """Return what waits in vain when nothing more is started."""
        return [*self._soon, *self._alone]
