"""The transport for daemons: ``sd_notify`` datagrams, as they are sent to systemd.

Each attempt has a socket of its own, which says who it is even when the sender is gone by the time
the datagram is read. ``READY=1``, ``WATCHDOG=1`` and ``STATUS=text`` count as heartbeats.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Container
from hashlib import blake2b
from pathlib import Path

from anabranch.core.calls import Caller
from anabranch.core.ids import Attempt, StreamId

_log = logging.getLogger(__name__)

LARGEST_DATAGRAM = 8 * 1024
DATAGRAMS_PER_TURN = 64
LONGEST_STATUS = 500
_CREDENTIALS = struct.Struct("3i")
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(16 * 4)


class NotifySockets:
    """The notify sockets of all attempts that live, in ``folder``.

    ``heartbeat`` gets each sign of life with its status, or None.
    """

    def __init__(self, folder: Path, heartbeat: Callable[[Caller, str | None], None]) -> None:
        self._folder = folder
        self._heartbeat = heartbeat
        self._sockets: dict[StreamId, dict[Attempt, socket.socket]] = {}

    def path(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return the address of an attempt's socket."""
        name = blake2b(f"{stream}.{attempt}".encode(), digest_size=6).hexdigest()
        return self._folder / f"n{name}"

    def add(self, owner: Caller) -> None:
        """Listen for an attempt. Raises OSError."""
        self._close(owner.stream, owner.attempt)
        path = self.path(owner.stream, owner.attempt)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            listener.bind(str(path))
            os.chmod(path, 0o600)
        except OSError:
            listener.close()
            raise
        self._sockets.setdefault(owner.stream, {})[owner.attempt] = listener
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._receive, owner, listener)

    def drop(self, stream: StreamId, but: Container[Attempt] = ()) -> None:
        """Listen no more for a stream's attempts, ``but`` for some."""
        for attempt in list(self._sockets.get(stream, ())):
            if attempt not in but:
                self._close(stream, attempt)

    def _close(self, stream: StreamId, attempt: Attempt) -> None:
        listener = self._sockets.get(stream, {}).pop(attempt, None)
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
            self.path(stream, attempt).unlink(missing_ok=True)

    def close(self) -> None:
        """Listen no more at all."""
        for stream in list(self._sockets):
            self.drop(stream)

    def _receive(self, owner: Caller, listener: socket.socket) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, extras, _, _ = listener.recvmsg(LARGEST_DATAGRAM, _ROOM)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("a datagram of %s was lost: %s", owner.stream, error)
                return
            if _sender(extras) == os.getuid():
                self._take(owner, data)

    def _take(self, owner: Caller, data: bytes) -> None:
        fields = dict(line.partition(b"=")[::2] for line in data.split(b"\n"))
        status = fields.get(b"STATUS")
        if status is None and not {b"READY", b"WATCHDOG"} & fields.keys():
            return
        text = None if status is None else status.decode("utf-8", "replace")[:LONGEST_STATUS]
        self._heartbeat(owner, text)


def _sender(extras: list[tuple[int, int, bytes]]) -> int | None:
    """Return the user who sent a datagram; descriptors that came with it are closed."""
    uid = None
    for level, kind, data in extras:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            uid = int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[1])
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            for descriptor in array.array("i", data[: len(data) // 4 * 4]):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
    return uid
