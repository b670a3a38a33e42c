"""Who may start: so many at a time, and nobody while the breaker is open."""

from __future__ import annotations

import asyncio
import contextlib

from anabranch.in_process.breaker import Breaker


class Gate:
    """Slots, first come, first served; who waits for the breaker holds none."""

    def __init__(self, width: int, breaker: Breaker | None) -> None:
        """Let ``width`` in at a time, and nobody while ``breaker``, if there is one, is open."""
        self._slots = asyncio.Semaphore(width)
        self._breaker = breaker
        self._changed = asyncio.Event()

    async def enter(self) -> bool:
        """Wait for a slot; return whether its owner tries for all whether it goes again."""
        while True:
            await self._slots.acquire()
            is_probe = self._breaker.admit(_now()) if self._breaker is not None else False
            if is_probe is not None:
                return is_probe
            self._slots.release()
            await self._breaker_moves()

    def leave(self) -> None:
        """Give a slot back."""
        self._slots.release()

    def take(self, place: int, *, has_failed: bool, is_probe: bool) -> None:
        """Hear how a handler has ended that was let in."""
        breaker = self._breaker
        if breaker is not None and breaker.take(
            place, has_failed=has_failed, is_probe=is_probe, now=_now()
        ):
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _breaker_moves(self) -> None:
        assert self._breaker is not None, "without a breaker nobody waits for one"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._breaker.seconds_left(_now())):
                await self._changed.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()


class Hold:
    """A slot that is held by a handler and, maybe longer, by its thread."""

    def __init__(self, gate: Gate) -> None:
        """Hold a slot that the gate has given."""
        self._gate, self._holders = gate, 1

    def share(self) -> None:
        """Let one more hold it."""
        self._holders += 1

    def leave(self) -> None:
        """Let go; when the last one does, the slot is free."""
        self._holders -= 1
        if not self._holders:
            self._gate.leave()
