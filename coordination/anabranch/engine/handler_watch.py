"""Hears how the handlers of streams end, in batches, and has each batch written down.

The program that runs a stream's handlers tells nobody anything: it writes a book. Here it is read
while the stream runs, and to its end before the work of an attempt is captured, so that the end of
every handler stands in the journal before that of its attempt. The next batch is read when the one
before it is durable: whoever has much to tell keeps nobody waiting, and fills no memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.engine.gateway.endpoint import Reply
from anabranch.engine.handler_excuses import HandlerExcuses
from anabranch.engine.handlers import have_handlers
from anabranch.paths import RunFolder
from anabranch.shortage import is_short

if TYPE_CHECKING:
    from anabranch.engine.handler_ends import HandlerEnds

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
IDLE_SECONDS = 1.0
"""How often it looks whether any stream has handlers: its program may begin some at any time."""

Outcome = Refusal | calls.Answer | None


class HandlerWatch:
    """Reads the books of one run's streams. Lives in the engine's event loop."""

    def __init__(
        self,
        folder: RunFolder,
        state: Callable[[], State],
        post: Callable[[inputs.Input, Reply | None], None],
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            folder: the run's folder.
            state: returns the newest state.
            post: hands an input to the engine; the reply is called when it is durable.
        """
        self._folder, self._state, self._post = folder, state, post
        self._excuses = HandlerExcuses(folder)
        self._ends: dict[StreamId, HandlerEnds] = {}
        self._alone: dict[StreamId, asyncio.Lock] = {}
        self._seen_sizes: dict[StreamId, int] = {}

    async def watch(self) -> None:
        """Hear the streams that run and have handlers, for ever."""
        while True:
            have = have_handlers(self._state(), self._folder)
            self._excuses.look(self._state())
            for stream in have:
                if self._state().streams[stream].phase in LIVE and self._has_grown(stream):
                    with suppress(OSError, RuntimeError):  # it is heard the next time
                        await self.hear(stream)
            await asyncio.sleep(LOOK_SECONDS if have else IDLE_SECONDS)

    def _has_grown(self, stream: StreamId) -> bool:
        try:
            size = os.stat(self._book(stream)).st_size
        except OSError:
            return False
        return size != self._seen_sizes.get(stream)

    async def hear(self, stream: StreamId) -> None:
        """Have everything written down that the book of a stream says by now.

        Raises OSError (or RuntimeError, for a thread) where the machine is short of something; a
        book that cannot be read at all has nothing to say.
        """
        async with self._alone.setdefault(stream, asyncio.Lock()):
            try:
                while await self._hear_some(stream):
                    pass
            except OSError as error:
                if is_short(error.errno):
                    raise
                _log.warning("the handlers of %s cannot be heard: %s", stream, error)

    async def _hear_some(self, stream: StreamId) -> bool:
        """Have one batch written down; False if there was none."""
        book = self._book(stream)
        known = self._state()
        heard = known.handlers.get(stream, Handled()).book_offset
        try:
            self._seen_sizes[stream] = book.stat().st_size
        except FileNotFoundError:
            return False
        ends = self._ends.get(stream)
        if ends is None:
            from anabranch.engine.handler_ends import HandlerEnds  # here: few runs have handlers

            ends = self._ends[stream] = HandlerEnds(stream, book, known.started_wall)
        seen = await asyncio.to_thread(ends.look, heard)
        if seen is None:
            return False
        cause = known.streams[stream].cause
        durable: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._post(replace(seen, cause=cause), partial(_settle, durable))
        await durable
        return True

    def _book(self, stream: StreamId) -> Path:
        return self._folder.handlers(stream) / "book"


def _settle(durable: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not durable.done():
        durable.set_result(outcome)
