"""The engine's end of the zygote: it asks for holders and hears whether they were forked.

The zygote lives as long as this end of the socket pair is open. It holds no truth, so when it dies
a new one is started and what it had not answered is asked again; the attempts' folders make sure
that nothing is started twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from anabranch import holder
from anabranch.paths import RunFolder
from anabranch.plain_files import open_to_append

MOST_TRIES = 3
REQUEST_BYTES = 1_048_576
ANSWER_BYTES = 16_384
ANSWER_SECONDS = 10.0
LEAVE_SECONDS = 5.0

ZYGOTE_PROGRAM = Path(holder.__file__).with_name("__main__.py")


class Outcome(enum.Enum):
    """What came of a request."""

    FORKED = "forked"
    """A holder was forked and holds the attempt's lock."""
    SETTLED = "settled"
    """The attempt was started or refused before: its folder tells."""
    REFUSED = "refused"
    """No holder could be forked."""


class _Request:
    """A request that is not answered yet."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.tries = 0


class Zygote:
    """A running zygote, replaced when it dies."""

    def __init__(self, run: RunFolder, answered: Callable[[str, Outcome, str], None]) -> None:
        """Prepare; nothing runs yet.

        Args:
            run: the run's folder.
            answered: called in the loop with an attempt's name, what came of the request, and,
                if it was refused, why.
        """
        self._run = run
        self._answered = answered
        self._asked: dict[str, _Request] = {}
        self._peer: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, name: str, spec: dict[str, object]) -> None:
        """Ask for the holder of one attempt; the answer follows.

        Args:
            name: the attempt's name.
            spec: what to run, as the zygote takes it.
        """
        # The standard codec carries arguments and variables that are not UTF-8.
        self._asked[name] = _Request(f"{name}\n{json.dumps(spec)}".encode())
        await self._send(name)

    async def _send(self, name: str) -> None:
        request = self._asked.get(name)
        if request is None:
            return  # answered meanwhile
        request.tries += 1
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._expect, name, request.tries)
        if request.tries > MOST_TRIES:
            self._settle(name, Outcome.REFUSED, "its starter keeps ending; see zygote.log")
            return
        try:
            async with self._sending:
                peer = self._peer or await self._start()
                await asyncio.get_running_loop().sock_sendall(peer, request.content)
        except (BrokenPipeError, ConnectionResetError):
            return  # its end is noticed by the reader, which asks again
        except OSError as error:
            too_large = error.errno == errno.EMSGSIZE
            what = "its arguments and environment are too large" if too_large else str(error)
            self._settle(name, Outcome.REFUSED, f"its starter cannot be asked: {what}")

    def _expect(self, name: str, tries: int) -> None:
        """End a zygote that leaves a request unanswered, stopped perhaps; the next one is asked."""
        request = self._asked.get(name)
        if request is not None and request.tries == tries and self._process is not None:
            self._process.kill()

    def warm_up(self) -> None:
        """Start the zygote ahead of the first request; a failure shows at that request."""
        self._spawn_task(self._start_early())

    async def _start_early(self) -> None:
        async with self._sending:
            with contextlib.suppress(OSError):
                self._peer or await self._start()

    async def close(self) -> None:
        """Let the zygote go and wait until it has left; holders run on."""
        self._asked.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        process = self._let_go()
        if process is not None:
            await asyncio.to_thread(_wait_until_gone, process)

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = await asyncio.to_thread(_run_zygote, self._run, theirs)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_BYTES)
        self._peer = ours
        asyncio.get_running_loop().add_reader(ours, self._read_answers)
        return ours

    def _read_answers(self) -> None:
        while self._peer is not None:
            try:
                answer = self._peer.recv(ANSWER_BYTES)
            except BlockingIOError:
                return
            except OSError:
                answer = b""
            if not answer:
                self._replace()
                return
            name, outcome, reason = answer.decode(errors="replace").split("\n", 2)
            self._settle(name, Outcome(outcome), reason)

    def _settle(self, name: str, outcome: Outcome, reason: str) -> None:
        if self._asked.pop(name, None) is not None:
            self._answered(name, outcome, reason)

    def _replace(self) -> None:
        """Reap a dead zygote and ask a new one what was not answered."""
        process = self._let_go()
        if process is not None:
            self._spawn_task(asyncio.to_thread(_wait_until_gone, process))
        for name in list(self._asked):
            self._spawn_task(self._send(name))

    def _let_go(self) -> subprocess.Popen[bytes] | None:
        process, self._process = self._process, None
        if self._peer is not None:
            asyncio.get_running_loop().remove_reader(self._peer)
            self._peer.close()
            self._peer = None
        return process

    def _spawn_task(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _run_zygote(run: RunFolder, engine_end: socket.socket) -> subprocess.Popen[bytes]:
    """Start the program, away from our terminal and session; raises OSError."""
    with open_to_append(run.zygote_log) as log:
        return subprocess.Popen(
            [sys.executable, "-X", "utf8", "-I", "-S", str(ZYGOTE_PROGRAM), str(run.path)],
            stdin=engine_end.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_gone(process: subprocess.Popen[bytes]) -> None:
    """Reap a zygote that is leaving; one that does not leave in time is killed."""
    try:
        process.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
