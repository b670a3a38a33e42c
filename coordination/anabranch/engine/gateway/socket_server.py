"""The transport for programs that can open a socket: JSON lines on a unix stream socket.

Whoever connects is a stream, and so is hostile: frames, connections, unread replies and slow
senders are all bounded, and a connection that goes too far is closed with a sentence that says why.
Pressure goes back to the sender where it can: while too much of a connection is under way, it is
not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import select
import socket
import struct
import time
from pathlib import Path

from anabranch.core.calls import Answer
from anabranch.engine.gateway import wire
from anabranch.engine.gateway.endpoint import Endpoint, Exchange

_log = logging.getLogger(__name__)

BACKLOG = 2_048
MOST_CONNECTIONS = 8_192
MOST_UNDER_WAY = 128
MOST_BUFFERED_BYTES = 64 * 1024 * 1024
MOST_UNREAD_BYTES = 8 * 1024 * 1024
UNREAD_HIGH_WATER_BYTES = 256 * 1024
PATIENCE_SECONDS = 15.0
SWEEP_SECONDS = 1.0


class SocketServer:
    """Listens on a unix socket at ``path``, which only this user can reach."""

    def __init__(self, endpoint: Endpoint, path: Path) -> None:
        self.endpoint = endpoint
        self.path = path
        self.connections: set[Connection] = set()
        self.buffered_bytes = 0
        self.most_connections = _connection_limit()
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Begin to listen. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.bind(str(self.path))
        os.chmod(self.path, 0o600)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: Connection(self), sock=listener, backlog=BACKLOG
        )
        self._sweep = loop.call_later(SWEEP_SECONDS, self._look_around)

    async def close(self) -> None:
        """Stop listening and close what is open; clients find the next host by asking again."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
        for connection in list(self.connections):
            connection.abort()

    def _look_around(self) -> None:
        """Close the connections whose other end has stopped in the middle of something."""
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(SWEEP_SECONDS, self._look_around)  # whatever is met now
        before = time.monotonic() - PATIENCE_SECONDS
        for connection in list(self.connections):
            connection.check(before)


class Connection(asyncio.Protocol):
    """One client. Its frames are taken in order; replies leave as they come."""

    def __init__(self, server: SocketServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._searched = 0
        self._under_way: dict[Exchange, None] = {}
        self._transport: asyncio.Transport | None = None
        self._is_unread = False
        self._is_ended = False
        self._pausing: asyncio.TimerHandle | None = None
        self._since = time.monotonic()

    # --- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        server = self._server
        server.connections.add(self)
        transport.set_write_buffer_limits(high=UNREAD_HIGH_WATER_BYTES)
        if _uid_of(transport) != os.getuid():
            self._refuse("other_user", "this run belongs to another user")
        elif len(server.connections) > server.most_connections:
            self._refuse("too_many_connections", "too many connections are open", "try again")

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._server.buffered_bytes += len(data)
        if not self._buffer:
            self._since = time.monotonic()
        self._buffer += data
        self._work_off()

    def eof_received(self) -> bool:
        """Note that the client says no more; unless it is gone, it gets what it waits for."""
        self._is_ended = True
        return bool(self._under_way) and not _has_hung_up(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        self._server.buffered_bytes -= len(self._buffer)
        self._buffer.clear()
        if self._pausing is not None:
            self._pausing.cancel()
        for exchange in self._under_way:
            exchange.abandon()
        self._under_way.clear()

    def pause_writing(self) -> None:
        self._is_unread = True
        self._since = time.monotonic()
        self._pause_or_not()

    def resume_writing(self) -> None:
        self._is_unread = False
        self._since = time.monotonic()
        self._work_off()

    # --- frames ----------------------------------------------------------------------------------

    @property
    def _is_held(self) -> bool:
        busy = len(self._under_way) >= MOST_UNDER_WAY
        return busy or self._is_unread or self._pausing is not None

    def _work_off(self) -> None:
        """Take the frames that are complete, as far as this connection may go on."""
        while self._transport is not None and not self._is_held:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                break
            frame = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._server.buffered_bytes -= end + 1
            if frame.strip():
                self._take(frame)
        if len(self._buffer) > wire.LARGEST_FRAME_BYTES and not self._is_held:
            limit = f"a frame holds at most {wire.LARGEST_FRAME_BYTES} bytes"
            self._refuse("too_large", limit, "send less at a time")
        elif self._server.buffered_bytes > MOST_BUFFERED_BYTES and len(self._buffer) > 65_536:
            self._refuse("busy", "too much is being sent at once", "try again in a moment")
        self._pause_or_not()

    def _take(self, frame: bytes) -> None:
        is_replied = False
        exchange: Exchange | None = None

        def send(reply: bytes) -> None:
            nonlocal is_replied
            is_replied = True
            self._write(reply)
            if exchange is not None and self._under_way.pop(exchange, exchange) is None:
                self._work_off()
                self._close_if_ended()

        exchange = self._server.endpoint.receive(frame, send)
        if not is_replied:
            self._under_way[exchange] = None
        if exchange.pause_seconds > 0 and self._transport is not None:
            loop = asyncio.get_running_loop()
            self._pausing = loop.call_later(exchange.pause_seconds, self._go_on)

    def _close_if_ended(self) -> None:
        if self._is_ended and not self._under_way and self._transport is not None:
            self._transport.close()

    def _go_on(self) -> None:
        self._pausing = None
        self._work_off()

    def _pause_or_not(self) -> None:
        """Read from the socket only while what was read can be taken."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- the other end ---------------------------------------------------------------------------

    def check(self, before: float) -> None:
        """Close if the other end stopped in mid-frame, or left replies unread, too long ago."""
        if self._is_ended and _has_hung_up(self._transport):
            self.abort()
        if self._since >= before or self._transport is None:
            return
        if self._is_unread:
            self.abort()
        elif self._buffer and not self._is_held:
            self._refuse("too_slow", "the frame did not come to its end", "send whole lines")

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, reply: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(reply) > MOST_UNREAD_BYTES:
            transport.abort()
            return
        transport.write(reply)

    def _refuse(self, code: str, reason: str, hint: str = "") -> None:
        """Say why, and close."""
        facts = {"error": code, "reason": reason, "hint": hint}
        self._write(wire.encode(None, Answer("refused", facts)))
        if self._transport is not None:
            self._transport.close()


def _uid_of(transport: asyncio.Transport) -> int:
    peer = transport.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _has_hung_up(transport: asyncio.Transport | None) -> bool:
    """Say whether the other end is closed, rather than only done with writing."""
    if transport is None:
        return True
    looking = select.poll()
    looking.register(transport.get_extra_info("socket").fileno(), select.POLLHUP)
    return bool(looking.poll(0))


def _connection_limit() -> int:
    """Leave half of the descriptors to streams, git and the journal."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        return max(64, min(MOST_CONNECTIONS, soft // 2))
    return MOST_CONNECTIONS
