"""The gateway of one run: its transports, its endpoint, and what a stream has to know of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from anabranch.client.stub import write_stubs
from anabranch.core.calls import Call, Caller
from anabranch.core.events import Recorded, StreamEvent
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.inputs import Input
from anabranch.core.model.at_work import active_attempts
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State
from anabranch.engine.gateway.addresses import socket_folder
from anabranch.engine.gateway.endpoint import Endpoint, Reply
from anabranch.engine.gateway.notify_socket import NotifySockets
from anabranch.engine.gateway.outside import joined_environment
from anabranch.engine.gateway.socket_server import SocketServer
from anabranch.engine.gateway.spool import Spools
from anabranch.engine.gateway.spool_folder import SpoolFolder, in_workspace
from anabranch.engine.gateway.tokens import Tokens
from anabranch.errors import machine_errors
from anabranch.paths import RunFolder
from anabranch.shortage import is_short

_log = logging.getLogger(__name__)


class Gateway:
    """Opens the transports of a run. Lives in the engine's event loop.

    Args:
        folder: the run's folder.
        state: returns the published state.
        post: puts a call into the engine's mailbox; its reply comes after the commit.
        now: the run clock.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: Callable[[], State],
        post: Callable[[Call, Reply], None],
        now: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._state = state
        self.endpoint = Endpoint(
            Tokens.of_run(folder), state, post, now, partial(joined_environment, folder)
        )
        self._sockets = socket_folder(folder)
        self._socket = SocketServer(self.endpoint, self._sockets / "socket")
        self._spools = Spools(self.endpoint)
        self._notify = NotifySockets(self._sockets, self.endpoint.heartbeat)

    async def open(self) -> None:
        """Open every transport, also for streams that run already. Raises OSError."""
        write_stubs(self._folder.commands)
        self.endpoint.open()
        await self._socket.open()
        self._spools.open()
        for attempt in active_attempts(self._state()):
            if attempt.phase in LIVE:
                with machine_errors():
                    self._listen_to(attempt.id, attempt.attempt)

    async def close(self) -> None:
        """Close every transport; what waits in spools is found by the next host."""
        await self._socket.close()
        self._spools.close()
        self._notify.close()
        self.endpoint.close()
        if self._sockets.parent != self._folder.path:
            with contextlib.suppress(OSError):
                self._sockets.rmdir()

    def spent(self, given: Sequence[Input], seconds: Mapping[int, float]) -> None:
        """Count what decisions have cost, by their place in a turn, against who asked for them."""
        for place, cost in seconds.items():
            asked = given[place]
            if isinstance(asked, Call):
                self.endpoint.charge(asked.caller, cost)

    def turned(self, records: Sequence[Recorded]) -> None:
        """Take up a turn that was published; nothing here may keep the engine from the next."""
        try:
            self._turned(records)
        except Exception:
            _log.exception("the gateway could not follow a turn")

    def _turned(self, records: Sequence[Recorded]) -> None:
        self.endpoint.turned(records)
        state = self._state()
        for stream in {r.event.stream for r in records if isinstance(r.event, StreamEvent)}:
            if stream in state.streams:
                self._forget_all_but(stream, _living(state, stream))

    def environment(self, stream: StreamId, attempt: Attempt, path: str) -> dict[str, str]:
        """Return what an attempt has to know, and open the sockets and folders that are its own.

        ``path`` is the PATH it would have; the engine's commands are put before it. Raises OSError.
        """
        spool = self._listen_to(stream, attempt)
        return {
            "ANABRANCH_TOKEN": self.endpoint.tokens.of_attempt(stream, attempt),
            "ANABRANCH_SOCKET": str(self._socket.path),
            "ANABRANCH_SPOOL": str(spool.path) if spool is not None else "",
            "NOTIFY_SOCKET": str(self._notify.path(stream, attempt)),
            "PATH": f"{self._folder.commands}:{path}" if path else str(self._folder.commands),
        }

    # --- one attempt -----------------------------------------------------------------------------

    def _listen_to(self, stream: StreamId, attempt: Attempt) -> SpoolFolder | None:
        """Listen for one attempt; return its spool, if there is room for one."""
        owner = Caller(stream, attempt)
        self._notify.add(owner)
        folder = self._spool_of(stream, attempt)
        if folder is None:
            return None
        try:
            folder.make()
        except OSError as error:
            if is_short(error.errno):
                raise
            _log.warning("stream %s has no spool: %s", stream, error)
            return None
        self._spools.add(owner, folder)
        return folder

    def _forget_all_but(self, stream: StreamId, living: set[Attempt]) -> None:
        self._notify.drop(stream, but=living)
        self._spools.drop(stream, but=living)
        if not living:
            self.endpoint.forget(stream)

    def _spool_of(self, stream: StreamId, attempt: Attempt) -> SpoolFolder | None:
        """Return where an attempt's spool lies: never in the user's own folder."""
        state = self._state()
        workspace = state.at_attempt(stream, attempt).workspace
        if workspace is None:
            return None
        if state.stream_plan(stream).workspace == "shared":
            return SpoolFolder(
                self._folder.path, ("spools", self._folder.attempt_name(stream, attempt))
            )
        return in_workspace(Path(workspace.path))


def _living(state: State, stream: StreamId) -> set[Attempt]:
    """Return the attempts of a stream whose processes may be there."""
    copy = state.copies.get(stream)
    known = (state.streams[stream], *((copy.run,) if copy is not None else ()))
    return {each.attempt for each in known if each.phase in LIVE}
