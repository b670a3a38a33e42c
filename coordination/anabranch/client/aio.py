"""A client to be awaited: ``async with AsyncClient() as stream: await stream.heartbeat()``."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from itertools import count
from types import TracebackType

from anabranch.client.verbs import Address, Json, Question, Reply, Unreachable, Verbs

RECONNECT_SECONDS = 10.0
RECONNECT_PAUSE_SECONDS = 0.1
LARGEST_REPLY_BYTES = 64 * 1024 * 1024


class AsyncClient(Verbs[Awaitable[Reply]]):
    """Talks to the engine over one connection, any number of calls at once.

    A connection that breaks is opened again and the calls repeated under their request ids; when
    no engine answers for ``reconnect_seconds``, or for as long as the call may wait, whichever is
    longer, Unreachable is raised.
    """

    def __init__(
        self,
        socket_path: str | None = None,
        token: str | None = None,
        *,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self._address = Address(socket_path, token)
        self._reconnect_seconds = reconnect_seconds
        self._numbers = count(1)
        self._opening = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way fail, the next one opens another connection."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        self._drop()

    async def _ask(self, verb: str, **arguments: Json) -> Reply:
        question = Question(next(self._numbers), self._address.token, verb, arguments)
        clock = asyncio.get_running_loop().time
        began, wait = clock(), question.wait_seconds
        patience = max(self._reconnect_seconds, wait)
        while True:
            try:
                return await self._exchange(question)
            except OSError as error:
                passed = clock() - began
                if passed > patience:
                    raise Unreachable(f"no engine answers: {error}") from error
                question.wait_at_most(max(0.0, wait - passed))
                await asyncio.sleep(RECONNECT_PAUSE_SECONDS)

    async def _exchange(self, question: Question) -> Reply:
        """Send a question and wait for its reply. Raises OSError."""
        writer = await self._opened()
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[question.number] = reply
        try:
            writer.write(question.line)
            await writer.drain()
            return await asyncio.wait_for(reply, question.patience_seconds)
        finally:
            self._waiting.pop(question.number, None)

    async def _opened(self) -> asyncio.StreamWriter:
        async with self._opening:
            if self._writer is None or self._writer.is_closing():
                reader, self._writer = await asyncio.open_unix_connection(
                    self._address.socket, limit=LARGEST_REPLY_BYTES
                )
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand replies to whoever waits for them, until the connection ends."""
        try:
            while line := await reader.readline():
                reply = Reply(json.loads(line))
                waiting = self._waiting.get(reply.get("i", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except (OSError, ValueError):
            return
        finally:
            if self._writer is writer:
                self._drop()

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._reading = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the engine closed the connection"))
