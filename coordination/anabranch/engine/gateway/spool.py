"""The transport for programs that may not open a socket: files in a folder of the workspace.

A program writes ``NAME.request`` (under another name first, then renamed) and waits for
``NAME.answer``. The name makes the request idempotent, and a request stays until it is answered, so
the next host finds what this one left. Folders are looked at by one timer: those in use often, the
others four times a second (less often if they are more than thirty), and only a folder that changed
is read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container
from functools import partial

from anabranch.core.calls import Caller
from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.gateway import wire
from anabranch.engine.gateway.endpoint import Endpoint, Exchange
from anabranch.engine.gateway.spool_folder import SpoolFolder
from anabranch.engine.gateway.wire import BadFrame
from anabranch.shortage import is_short

_log = logging.getLogger(__name__)

EAGER_SECONDS = 0.02
LOOK_SECONDS = 0.25
LOOKS_PER_SECOND = 120
IN_USE_SECONDS = 10.0
SETTLED_SECONDS = 0.1
MOST_AT_ONCE = 64
STUCK_SECONDS = 2.0
"""How long a request is left alone whose answer could not be written or that would not go away."""


class Spool:
    """The spool of one attempt, and what was asked in it."""

    def __init__(self, endpoint: Endpoint, owner: Caller, folder: SpoolFolder) -> None:
        self.owner = owner
        self.folder = folder
        self._endpoint = endpoint
        self._seen_ns = -1
        self._used_at = -IN_USE_SECONDS
        self._under_way: dict[str, Exchange] = {}
        self._stuck_until: dict[str, float] = {}

    @property
    def stream(self) -> StreamId:
        return self.owner.stream

    def is_in_use(self, now: float) -> bool:
        return now - self._used_at < IN_USE_SECONDS or bool(self._under_way)

    def look(self, now: float) -> None:
        """Take new requests, if the folder changed."""
        changed_ns = self.folder.changed_ns()
        if changed_ns == self._seen_ns:
            return
        try:
            names = self.folder.requests()
        except OSError as error:
            _log.debug("the spool %s cannot be read: %s", self.folder.path, error)
            if not is_short(error.errno):
                self._seen_ns = changed_ns
            return
        for name in [name for name in self._under_way if name not in names]:
            self._under_way.pop(name).abandon()
        stuck = {n: until for n, until in self._stuck_until.items() if now < until and n in names}
        self._stuck_until = stuck
        fresh = [name for name in names if name not in self._under_way and name not in stuck]
        if fresh:
            self._used_at = now
        for name in fresh[: MOST_AT_ONCE - len(self._under_way)]:
            self._take(name)
        is_settled = time.time_ns() - changed_ns > SETTLED_SECONDS * 1e9
        if is_settled and len(fresh) <= MOST_AT_ONCE and not self._are_left(fresh) and not stuck:
            self._seen_ns = changed_ns

    def close(self) -> None:
        """Answer nobody here any more."""
        for exchange in self._under_way.values():
            exchange.abandon()
        self._under_way.clear()

    def _are_left(self, names: list[str]) -> bool:
        return any(name not in self._under_way for name in names)

    def _take(self, name: str) -> None:
        try:
            data = self.folder.read(name)
        except OSError as error:
            if is_short(error.errno):
                self._stuck_until[name] = time.monotonic() + STUCK_SECONDS
                return
            self._answer(name, wire.encode(None, BadFrame("bad_request", str(error)).answer()))
            return
        except BadFrame as error:
            self._answer(name, wire.encode(None, error.answer()))
            return
        if data is None:
            return
        replies: list[bytes] = []
        exchange = self._endpoint.receive(data, replies.append, name, self.owner)
        if replies:
            self._answer(name, replies[0])
        else:
            exchange.send = partial(self._answer, name)
            self._under_way[name] = exchange

    def _answer(self, name: str, reply: bytes) -> None:
        self._under_way.pop(name, None)
        try:
            self.folder.answer(name, reply)
        except OSError as error:
            _log.debug("no answer can be left in %s: %s", self.folder.path, error)
            self._stuck_until[name] = time.monotonic() + STUCK_SECONDS


class Spools:
    """The spools of all attempts that live. Lives in the engine's event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._spools: dict[Caller, Spool] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._in_use: list[Spool] = []
        self._all_at = 0.0

    def open(self) -> None:
        """Begin to look."""
        self._look()

    def close(self) -> None:
        """Stop looking; what was not answered stays for the next host."""
        if self._timer is not None:
            self._timer.cancel()
        for spool in self._spools.values():
            spool.close()

    def add(self, owner: Caller, folder: SpoolFolder) -> None:
        """Look at the folder of an attempt from now on."""
        self._spools[owner] = Spool(self._endpoint, owner, folder)

    def drop(self, stream: StreamId, but: Container[Attempt] = ()) -> None:
        """Look no more at the folders of a stream's attempts, ``but`` at those of some."""
        for owner in [o for o in self._spools if o.stream == stream and o.attempt not in but]:
            self._spools.pop(owner).close()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        pause = max(LOOK_SECONDS, len(self._spools) / LOOKS_PER_SECOND)
        if now - self._all_at >= pause:
            self._all_at = now
            due = list(self._spools.values())
        else:
            due = [spool for spool in self._in_use if self._spools.get(spool.owner) is spool]
        for spool in due:
            _look_safely(spool, now)
        self._in_use = [spool for spool in due if spool.is_in_use(now)]
        self._timer = loop.call_later(EAGER_SECONDS if self._in_use else pause, self._look)


def _look_safely(spool: Spool, now: float) -> None:
    """Look at one spool; what goes wrong there ends the looking at no other one."""
    try:
        spool.look(now)
    except Exception:
        _log.exception("looking at the spool %s", spool.folder.path)
