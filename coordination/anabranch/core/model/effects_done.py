"""How many of the engine's own effects were done, and how many could not be."""

from __future__ import annotations

import msgspec


class EffectsDone(msgspec.Struct, frozen=True, gc=False):
    """Workspaces, starts, captures, merges and deliveries: so many done, so many failed.

    One has ``failed`` if that was for the engine's own reasons: not what a stream or its plan does.
    """

    done: int = 0
    failed: int = 0

    @property
    def all(self) -> int:
        """How many have ended, well or not."""
        return self.done + self.failed
