"""An event store in memory."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.events import Recorded
from anabranch.core.folds.evolve import evolve, first_state
from anabranch.core.model.state import State
from anabranch.errors import DiskFull


class MemoryStore:
    """Keeps events in a list. While ``is_full``, nothing can be appended."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        self.is_full = False

    def append(self, records: Sequence[Recorded]) -> None:
        """Keep events, all or none. Raises DiskFull."""
        if self.is_full and records:
            raise DiskFull("the disk is full", "make room")
        self.records.extend(records)

    def load(self) -> State | None:
        """Return the state that all events add up to."""
        return replay(self.records)


def replay(records: Sequence[Recorded], state: State | None = None) -> State | None:
    """Return the state after some events, beginning with a state or with nothing."""
    for record in records:
        state = evolve(state, record) if state else first_state(record)
    return state
