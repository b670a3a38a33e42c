"""One look at a service: at its log, by a command, at a port, or for an answer over HTTP.

Each look is bounded, and only this machine's own addresses are asked.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from anabranch.core.model.state import Stream
from anabranch.core.patterns import compiled
from anabranch.core.plans.plan import ReadyPlan
from anabranch.engine.bounded_command import run_bounded
from anabranch.engine.masking import masked_beside
from anabranch.plain_files import open_plain

ADDRESSES = ("127.0.0.1", "::1")
LOOK_SECONDS = 5.0
"""A connection, and an answer, may take so long."""

COMMAND_SECONDS = 30.0
PIECE_BYTES = 1 << 20
LONGEST_LINE_BYTES = 64 * 1024
MOST_ANSWER_BYTES = 1024
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What hinders whoever looks, and says nothing of the service."""


class NotYet(Exception):
    """It is not ready; the message says what was seen."""


class Probe:
    """Looks at one attempt of a service, as often as it is asked to.

    Args:
        ready: how the plan says that it is seen.
        stream: the service as it stands.
        environment: that of the attempt, and the folder it works in; raises OSError, BadEnvFile.
        command_log: where the output of a command goes.
        is_wanted: whether anybody still wants to know.
    """

    def __init__(
        self,
        ready: ReadyPlan,
        stream: Callable[[], Stream],
        environment: Callable[[], tuple[Mapping[str, str], Path]],
        command_log: Path,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._ready, self._stream, self._environment = ready, stream, environment
        self._command_log, self._is_wanted = command_log, is_wanted
        self._read_bytes = 0
        self._rest = b""

    async def look(self, command_seconds: float = COMMAND_SECONDS) -> str:
        """Return by what it is seen that it is ready; a command may take so long.

        Raises NotYet, OSError, BadEnvFile.
        """
        if self._ready.log:
            return await asyncio.to_thread(self._in_log)
        if self._ready.command:
            return await self._by_command(command_seconds)
        name = self._ready.port
        port = int(name) if name.isdecimal() else self._stream().ports.get(name)
        if port is None:
            raise NotYet(f"it has no port {name}")
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
                        return f"its log says: {masked_beside(Path(log or ''), text.strip())}"
        raise NotYet(f"no line of its log fits {self._ready.log}")

    async def _by_command(self, seconds: float) -> str:
        env, folder = self._environment()
        ended = await run_bounded(
            self._ready.command,
            folder,
            env,
            self._command_log,
            min(COMMAND_SECONDS, seconds),
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
                if error.errno in _OURS:
                    raise
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
