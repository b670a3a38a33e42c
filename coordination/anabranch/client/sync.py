"""A client that blocks: ``with Client() as stream: stream.lock("src/a.py", wait_seconds=30)``."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import BinaryIO, Literal

from anabranch.client.verbs import (
    LONGEST_WAIT_SECONDS,
    Address,
    Json,
    Question,
    Reply,
    Unreachable,
    Verbs,
)

RECONNECT_SECONDS = 10.0
RECONNECT_PAUSE_SECONDS = 0.1


class Client(Verbs[Reply]):
    """Talks to the engine over its socket; safe to use from several threads, one call at a time.

    A connection that breaks is opened again and the call repeated under its request id, so that
    nothing is done twice; when no engine answers for ``reconnect_seconds``, or for as long as the
    call may wait, whichever is longer, Unreachable is raised.
    ``socket_path`` and ``token`` default to what the environment of a stream says.
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
        self._turn = threading.Lock()
        self._connection: socket.socket | None = None
        self._replies: BinaryIO | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        if self._replies is not None:
            self._replies.close()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._replies = None

    @contextmanager
    def locked(
        self, path: str, mode: Literal["read", "write"] = "write", *, wait_seconds: float = 45.0
    ) -> Iterator[Reply]:
        """Hold a lock for as long as a block runs.

        Raises Refused if it is refused, TimeoutError if it is not granted in time.
        """
        granted = self.lock_within(path, mode, wait_seconds)
        try:
            yield granted
        finally:
            self.unlock(fence=int(granted["fence"]))

    def lock_within(self, path: str, mode: Literal["read", "write"], wait_seconds: float) -> Reply:
        """Ask for a lock for any length of time, in steps. Raises Refused, TimeoutError."""
        deadline = time.monotonic() + wait_seconds
        while True:
            left = max(0.0, min(LONGEST_WAIT_SECONDS, deadline - time.monotonic()))
            try:
                reply = self.lock(path, mode, wait_seconds=left).expect()
            except Unreachable:
                if time.monotonic() >= deadline:
                    raise
                continue
            if not reply.is_waiting:
                return reply
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path} is held by {reply.get('holder')}")

    def _ask(self, verb: str, **arguments: Json) -> Reply:
        with self._turn:
            question = Question(next(self._numbers), self._address.token, verb, arguments)
            began, wait = time.monotonic(), question.wait_seconds
            patience = max(self._reconnect_seconds, wait)
            while True:
                try:
                    return self._exchange(question)
                except OSError as error:
                    self.close()
                    passed = time.monotonic() - began
                    if passed > patience:
                        raise Unreachable(f"no engine answers: {error}") from error
                    question.wait_at_most(max(0.0, wait - passed))
                    time.sleep(RECONNECT_PAUSE_SECONDS)

    def _exchange(self, question: Question) -> Reply:
        """Send a question and read until its reply. Raises OSError."""
        if self._connection is None or self._replies is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connection.settimeout(question.patience_seconds)
            self._connection.connect(self._address.socket)
            self._replies = self._connection.makefile("rb")
        self._connection.settimeout(question.patience_seconds)
        self._connection.sendall(question.line)
        while True:
            line = self._replies.readline()
            if not line.endswith(b"\n"):
                raise ConnectionResetError("the engine closed the connection")
            reply = Reply(json.loads(line))
            if reply.get("i") in (question.number, None):
                return reply
