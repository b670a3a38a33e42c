"""Clients that ask a server on a unix socket as fast as it answers, for a while, all at once.

Run as ``python -I -S callers.py`` in a process of its own. The job comes as JSON on stdin: the
``address``, how a reply ends (``line``, ``resp`` or ``postgres``), for how many ``seconds``, and
for each of the ``clients`` what it says once (``opening``) and then again and again
(``operation``): messages, each sent when the one before was answered. What was measured goes to
stdout: the operations, the seconds, and the latencies of an operation in ms.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence

CONNECTING_AT_ONCE = 50
PATIENCE_SECONDS = 30.0


def line_ends(reply: bytes) -> bool:
    """One JSON object a line."""
    if b'"ok":false' in reply:
        raise ValueError(reply[:300].decode("utf-8", "replace"))
    return reply.endswith(b"\n")


def resp_ends(reply: bytes) -> bool:
    """The simple kinds of a Redis reply."""
    if reply[:1] == b"-":
        raise ValueError(reply[:300].decode("utf-8", "replace"))
    if reply[:1] != b"$" or reply[:3] == b"$-1":
        return reply.endswith(b"\r\n")
    head, end, _ = reply.partition(b"\r\n")
    return bool(end) and len(reply) >= len(head) + 2 + int(head[1:]) + 2


def postgres_ends(reply: bytes) -> bool:
    """Whatever comes before "ready for query"."""
    if reply[:1] == b"E":
        raise ValueError(reply[:300].decode("utf-8", "replace"))
    return len(reply) >= 6 and reply[-6:-1] == b"Z\x00\x00\x00\x05"


ENDS: dict[str, Callable[[bytes], bool]] = {
    "line": line_ends,
    "resp": resp_ends,
    "postgres": postgres_ends,
}


class Client(asyncio.Protocol):
    """One connection that has at most one message under way."""

    def __init__(self, ends: Callable[[bytes], bool], opening: list[bytes]) -> None:
        self.latencies: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends = ends
        self._messages = opening
        self._at = 0
        self._reply = b""
        self._until = 0.0
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._messages:
            self._say()
        else:
            self.over.set_result(None)

    def work(self, operation: list[bytes], until: float) -> None:
        """Repeat an operation until a moment of the performance counter."""
        self.over = asyncio.get_running_loop().create_future()
        self._messages, self._at, self._until = operation, 0, until
        self._began = time.perf_counter()
        self._say()

    def data_received(self, data: bytes) -> None:
        self._reply += data
        try:
            if not self._ends(self._reply):
                return
        except ValueError as error:
            self._fail(error)
            return
        self._reply = b""
        self._at += 1
        if self._at == len(self._messages):
            self._at = 0
            now = time.perf_counter()
            if self._until:
                self.latencies.append((now - self._began) * 1000)
            if now >= self._until:
                self.over.set_result(None)
                return
            self._began = now
        self._say()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError("the server closed a connection"))

    def _say(self) -> None:
        assert self._transport is not None
        self._transport.write(self._messages[self._at])

    def _fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)


async def main(job: dict[str, object]) -> dict[str, object]:
    """Connect everybody, then let all of them work at once."""
    clients, seconds = job["clients"], job["seconds"]
    assert isinstance(clients, list)
    assert isinstance(seconds, float)
    ends, address = ENDS[str(job["end"])], str(job["address"])
    callers: list[Client] = []
    for start in range(0, len(clients), CONNECTING_AT_ONCE):
        some = clients[start : start + CONNECTING_AT_ONCE]
        callers += await asyncio.gather(
            *(connected(address, ends, raw(client["opening"])) for client in some)
        )
    operations = [raw(client["operation"]) for client in clients]
    began = time.perf_counter()
    for caller, operation in zip(callers, operations, strict=True):
        caller.work(operation, began + seconds)
    await asyncio.gather(*(caller.over for caller in callers))
    elapsed = time.perf_counter() - began
    latencies = sorted(latency for caller in callers for latency in caller.latencies)
    return {"count": len(latencies), "seconds": elapsed, "latencies": latencies}


async def connected(address: str, ends: Callable[[bytes], bool], opening: list[bytes]) -> Client:
    """Return a client that is connected and has said its opening."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_unix_connection(lambda: Client(ends, opening), address)
    await client.over
    return client


def raw(messages: Sequence[str]) -> list[bytes]:
    """Return messages as bytes; JSON carried each byte as one character."""
    return [message.encode("latin-1") for message in messages]


if __name__ == "__main__":
    work = main(json.load(sys.stdin))
    json.dump(asyncio.run(asyncio.wait_for(work, PATIENCE_SECONDS)), sys.stdout)
