"""Sees whether a service is ready: by its log, a command, a port, or an answer over HTTP.

Each look is bounded, and only this machine's own addresses are asked. The first look is had
whatever the clock says: a service that became ready while no console was there is not ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.model.state import State, Stream
from anabranch.core.patterns import compiled
from anabranch.core.plans.plan import ReadyPlan
from anabranch.engine.bounded_command import run_bounded
from anabranch.engine.performers.launching import surroundings_of
from anabranch.env_files import BadEnvFile
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import RunFolder
from anabranch.plain_files import open_plain

ADDRESSES = ("127.0.0.1", "::1")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
LOOK_SECONDS = 5.0
"""A connection, and an answer, may take so long."""

COMMAND_SECONDS = 30.0
PIECE_BYTES = 1 << 20
LONGEST_LINE_BYTES = 64 * 1024
MOST_ANSWER_BYTES = 1024
SHOWN_CHARACTERS = 120


class NotYet(Exception):
    """It is not ready; the message says what was seen."""


class Readiness:
    """Looks at one attempt of a service until it is ready.

    Args:
        state: the run as it stands.
        effect: whom to look at, and until when.
        now: the run clock, in seconds.
        environment: that of the attempt, and the folder it works in; raises OSError, BadEnvFile.
        folder: the run's.
    """

    def __init__(
        self,
        state: Callable[[], State],
        effect: fx.AwaitReadiness,
        now: Callable[[], float],
        environment: Callable[[], tuple[Mapping[str, str], Path]],
        folder: RunFolder,
    ) -> None:
        self._state, self._effect, self._now = state, effect, now
        self._environment, self._folder = environment, folder
        self._ready = state().stream_plan(effect.stream).ready or ReadyPlan()
        self._read_bytes = 0
        self._rest = b""

    async def wait(self) -> inputs.Input | None:
        """Return how it is when that is certain; None if nobody wants to know any more."""
        pause, seen = FIRST_PAUSE_SECONDS, ""
        while self._is_wanted():
            try:
                return self._answer(await self._look(), is_ready=True)
            except NotYet as error:
                seen = str(error)
            except (OSError, BadEnvFile) as error:
                seen = (error.strerror if isinstance(error, OSError) else "") or str(error)
            if self._now() >= self._effect.until:
                return self._answer(seen, is_ready=False)
            await asyncio.sleep(min(pause, max(0.0, self._effect.until - self._now())))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        return None

    def _stream(self) -> Stream:
        return self._state().streams[self._effect.stream]

    def _is_wanted(self) -> bool:
        stream = self._stream()
        is_same = stream.attempt == self._effect.attempt and stream.cause == self._effect.cause
        return is_same and stream.stop is None and not stream.is_ready

    def _answer(self, evidence: str, *, is_ready: bool) -> inputs.Input:
        return inputs.ReadinessSeen(
            stream=self._effect.stream,
            attempt=self._effect.attempt,
            is_ready=is_ready,
            evidence=escape_for_terminal(evidence)[:SHOWN_CHARACTERS],
            cause=self._effect.cause,
        )

    async def _look(self) -> str:
        """Return by what it is seen that it is ready. Raises NotYet, OSError, BadEnvFile."""
        if self._ready.log:
            return await asyncio.to_thread(self._in_log)
        if self._ready.command:
            return await self._by_command()
        port = self._stream().ports.get(self._ready.port)
        if port is None:
            raise NotYet(f"it has no port {self._ready.port}")
        return await self._listening(port)

    def _in_log(self) -> str:
        """Find the pattern in what has been written since the last look."""
        pattern, log = compiled(self._ready.log), self._stream().log
        with open(open_plain(log or ""), "rb") as file:
            if os.fstat(file.fileno()).st_size < self._read_bytes:  # its middle was left out
                self._read_bytes, self._rest = 0, b""
            file.seek(self._read_bytes)
            while piece := file.read(PIECE_BYTES):
                self._read_bytes += len(piece)
                *lines, rest = (self._rest + piece).split(b"\n")
                self._rest = rest[-LONGEST_LINE_BYTES:]
                for line in (*lines, self._rest):
                    text = line[:LONGEST_LINE_BYTES].decode("utf-8", "replace")
                    if pattern.is_in(text):
                        return f"its log says: {text.strip()}"
        raise NotYet(f"no line of its log fits {self._ready.log}")

    async def _by_command(self) -> str:
        env, folder = self._environment()
        left = max(LOOK_SECONDS, self._effect.until - self._now())
        log = self._folder.log(self._effect.stream, self._effect.attempt).with_suffix(".ready.log")
        ended = await run_bounded(
            self._ready.command,
            folder,
            env,
            log,
            min(COMMAND_SECONDS, left),
            lambda: not self._is_wanted(),
        )
        if ended.exit_code == 0:
            return f"{self._ready.command}: exit 0"
        raise NotYet(f"{self._ready.command}: {ended.reason}")

    async def _listening(self, port: int) -> str:
        """See whether somebody listens on a port of this machine, and answers if that is wanted."""
        seen: list[str] = []
        for address in ADDRESSES:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._ask(address, port)
            except TimeoutError:
                seen.append(f"no answer on port {port} within {LOOK_SECONDS:g} s")
            except NotYet as error:
                seen.append(str(error))
            except OSError as error:
                seen.append(f"port {port}: {os.strerror(error.errno or 0).lower()}")
        raise NotYet(seen[0])

    async def _ask(self, address: str, port: int) -> str:
        reader, writer = await asyncio.open_connection(address, port, limit=MOST_ANSWER_BYTES)
        asked = f"GET {self._ready.http}"
        try:
            if not self._ready.http:
                return f"it listens on port {port}"
            host = f"Host: localhost:{port}\r\nConnection: close\r\nUser-Agent: anabranch\r\n"
            writer.write(f"{asked} HTTP/1.1\r\n{host}\r\n".encode())
            await writer.drain()
            line = (await reader.readline()).decode("latin-1").strip()
        except ValueError:
            raise NotYet(f"{asked}: no answer in HTTP") from None
        finally:
            writer.close()
        version, _, status = line.partition(" ")
        if version.startswith("HTTP/") and status[:1] in ("2", "3"):
            return f"{asked}: {status}"
        raise NotYet(f"{asked}: {status or 'no answer'}")


async def await_readiness(
    state: Callable[[], State],
    effect: fx.AwaitReadiness,
    now: Callable[[], float],
    environment: Mapping[str, str],
    prefix: str,
    folder: RunFolder,
) -> inputs.Input | None:
    """Look at a service until it is ready; the arguments are those of :class:`Readiness`.

    ``environment`` is the user's, ``prefix`` where the project lies in its repository.
    """

    def around() -> tuple[Mapping[str, str], Path]:
        return surroundings_of(state(), effect.stream, effect.attempt, environment, prefix)

    return await Readiness(state, effect, now, around, folder).wait()
