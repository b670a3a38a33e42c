"""A gateway before a real engine in memory, with streams that "run", and ways to knock at it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anabranch.client.verbs import Reply
from anabranch.core import inputs
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import State
from anabranch.engine.engine import Engine
from anabranch.engine.gateway.endpoint import Reply as SendReply
from anabranch.engine.gateway.front import Gateway
from anabranch.paths import RunFolder
from anabranch.plugins import load_plugins
from anabranch.testing.memory_store import MemoryStore
from anabranch.testing.plans import plan_of, stream

DEADLINE_SECONDS = 60.0


class Bench:
    """A run of some streams whose processes are only said to run, and its open gateway."""

    def __init__(self, folder: Path, *streams: str) -> None:
        self.folder = folder
        (folder / "run").mkdir(mode=0o700)
        self.streams = [StreamId(name) for name in streams]
        self.engine = Engine(MemoryStore(), load_plugins().strategies, self.now)
        self._mailbox: deque[tuple[inputs.Input, SendReply | None]] = deque()
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._serving: asyncio.Task[None] | None = None
        self._begin()
        self.gateway = self.new_gateway()

    def new_gateway(self) -> Gateway:
        """Return a gateway that has yet to be opened, as a new host of the same run has it."""
        return Gateway(
            RunFolder(self.folder / "run"), lambda: self.engine.state, self.post, self.now
        )

    @property
    def state(self) -> State:
        return self.engine.state

    @property
    def socket_path(self) -> str:
        return self.environment(self.streams[0])["ANABRANCH_SOCKET"]

    def now(self) -> float:
        return self._loop.time()

    def post(self, given: inputs.Input, reply: SendReply | None = None) -> None:
        """Put something into the engine's mailbox."""
        self._mailbox.append((given, reply))
        self._woken.set()

    async def open(self) -> None:
        """Open the gateway, and take turns from now on."""
        await self.gateway.open()
        self._serving = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Close the gateway and the engine."""
        await self.gateway.close()
        if self._serving is not None:
            self._serving.cancel()

    def environment(self, name: str) -> dict[str, str]:
        """Return what a stream is told."""
        stream_id = StreamId(name)
        return self.gateway.environment(stream_id, self.state.streams[stream_id].attempt, "")

    def token(self, name: str) -> str:
        """Return a stream's token; ``operator`` has one too."""
        if name == "operator":
            return self.gateway.endpoint.tokens.operator()
        attempt = self.state.streams[StreamId(name)].attempt
        return self.gateway.endpoint.tokens.of_attempt(StreamId(name), attempt)

    def spool(self, name: str) -> Path:
        """Return a stream's spool folder."""
        return self.folder / name / ".anabranch" / "spool"

    async def ask(self, name: str, verb: str, **arguments: Any) -> Reply:
        """Ask as a stream over a connection of its own."""
        knock = await Knock.open(self.socket_path)
        try:
            return await knock.ask(verb=verb, token=self.token(name), **arguments)
        finally:
            knock.close()

    async def exit(self, name: str, code: int = 0) -> None:
        """Let a stream's process end."""
        attempt = self.state.streams[StreamId(name)].attempt
        self.post(
            inputs.ProcessExited(
                stream=StreamId(name),
                attempt=attempt,
                exit_code=code,
                signal=None,
                error=None,
                happened_at=self.now(),
            )
        )
        await self.until(lambda: self.state.streams[StreamId(name)].exit is not None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        deadline = self.now() + DEADLINE_SECONDS
        while not condition():
            assert self.now() < deadline, "in vain"
            await asyncio.sleep(0.005)

    # --- the engine ------------------------------------------------------------------------------

    def _begin(self) -> None:
        plan = plan_of(
            *(stream(name, tty=True) for name in self.streams),
            max_parallel=max(4, len(self.streams)),
            resources={"db": 1},
        )
        start = inputs.StartRun(
            run=RunId("20260101-000000-abc"),
            project=str(self.folder),
            plan_path=None,
            plan=plan,
            approve=False,
            wall=0.0,
        )
        base = inputs.BaseFound(commit="c", tree="t", branch=None, head=None)
        self.engine.turn([start])
        self.engine.turn([base])
        for name in self.streams:
            (self.folder / name).mkdir()
            ready = inputs.WorkspaceReady(
                stream=name,
                attempt=1,
                path=str(self.folder / name),
                start_commit="c",
                start_tree="t",
            )
            begun = inputs.ProcessStarted(
                stream=name, attempt=1, pid=1, holder_pid=1, log="", happened_at=self.now()
            )
            self.engine.turn([ready, begun])

    async def _serve(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            batch = list(self._mailbox)
            self._mailbox.clear()
            turn = self.engine.turn([given for given, _ in batch])
            for position, (_, reply) in enumerate(batch):
                if reply is not None:
                    reply(turn.refusals.get(position) or turn.answers.get(position))
            self.gateway.turned(turn.records)


class Knock:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, path: str) -> Knock:
        """Connect."""
        return cls(*await asyncio.open_unix_connection(path, limit=64 * 1024 * 1024))

    async def ask(self, **frame: Any) -> Reply:
        """Send a frame and return the next reply."""
        self.send(json.dumps(frame).encode() + b"\n")
        return await self.reply()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def reply(self) -> Reply:
        """Return the next reply; an empty one if the connection was closed."""
        line = await asyncio.wait_for(self.reader.readline(), DEADLINE_SECONDS)
        return Reply(json.loads(line)) if line else Reply()

    async def ended(self) -> bool:
        """Wait until the other end has closed, whatever it still says."""
        try:
            while await asyncio.wait_for(self.reader.read(1 << 20), DEADLINE_SECONDS):
                pass
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        """Close."""
        self.writer.close()


def plain_socket(path: str) -> socket.socket:
    """Return a connected socket without any loop."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.connect(path)
    return found
