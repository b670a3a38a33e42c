"""A loop on which time passes at once while nobody has anything to do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class QuickLoop(asyncio.SelectorEventLoop):
    """Skips what everybody would only wait for; not for threads, whose time is real."""

    _skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def _run_once(self) -> None:
        loop: Any = self
        if not loop._ready and loop._scheduled:
            self._skipped += max(0.0, loop._scheduled[0].when() - self.time())
        loop_type: Any = super()
        loop_type._run_once()


def run_quickly(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as ``asyncio.run`` does, without waiting."""
    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        return runner.run(work)
