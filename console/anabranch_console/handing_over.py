"""The console's terminal, given to a stream's terminal or to a shell for a while.

The engine and the panes go on meanwhile, unseen: nothing is painted, nothing rings. Whatever ends
the console calls the visit off first, so that the terminal is given back as it was taken.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.message import Message

from anabranch_console.attached.visits import Visit


class TerminalWanted(Message):
    """A visit is to have the terminal until it is left."""

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        self.visit = visit


class HandingOver:
    """Gives an application's terminal away, and takes it back.

    Args:
        app: whose terminal.
        done: called with what a visit says when it is over.
    """

    def __init__(self, app: App[Any], done: Callable[[str], None]) -> None:
        self._app, self._done = app, done
        self._visit: Visit | None = None

    @property
    def is_away(self) -> bool:
        """Whether somebody else has the terminal."""
        return self._visit is not None

    def give(self, visit: Visit) -> None:
        """Let a visit have the terminal, unless another one has it."""
        if self._visit is None:
            self._visit = visit
            self._app.run_worker(self._visiting(visit), group="visit")

    def call_back(self) -> bool:
        """Have the terminal given back; whether it is here."""
        if self._visit is not None:
            self._visit.call_off()
        return self._visit is None

    async def _visiting(self, visit: Visit) -> None:
        words = ""
        try:
            with self._app.suspend(), self._app.batch_update():
                words = await _away(visit)
        finally:
            self._visit = None
            self._done(words)


async def _away(visit: Visit) -> str:
    """Let a visit have the terminal, in a thread; return what it says."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, visit.resized)
    try:
        return await asyncio.to_thread(visit.run)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
