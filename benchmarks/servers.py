"""Servers to compare: a run of ours, Redis and PostgreSQL, each on a unix socket in the scratch.

Whoever starts one ends it, by its process and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed

START_SECONDS = 30.0
LOOK_SECONDS = 0.02
MOST_POSTGRES_CLIENTS = 100
_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class OurRun:
    """A run that is hosted by ``anabranch run --headless``, and the streams that have joined it."""

    folder: Path
    address: str
    tokens: tuple[str, ...]

    def environment(self, machine: Machine) -> dict[str, str]:
        """Return the environment of a program that belongs to the first stream."""
        own = {"ANABRANCH_SOCKET": self.address, "ANABRANCH_TOKEN": self.tokens[0]}
        return {**machine.environment, **own, "ANABRANCH_SPOOL": ""}


@contextlib.contextmanager
def our_run(machine: Machine, streams: int) -> Iterator[OurRun]:
    """Host a run in which one stream waits, and let others join it from outside."""
    project = machine.repository("coordination", 5)
    go = project.parent / "coordination.go"
    go.unlink(missing_ok=True)
    wait = 'echo "$ANABRANCH_SOCKET" >"$NOTE.new" && mv "$NOTE.new" "$NOTE"; '
    wait += 'while [ ! -e "$GO" ]; do sleep 0.1; done'
    note = go.with_suffix(".address")
    note.unlink(missing_ok=True)
    argv = [*machine.anabranch, "run", "--headless", "--", "sh", "-c", wait]
    env = {**machine.environment, "GO": str(go), "NOTE": str(note)}
    with _process(argv, project, env, machine.scratch / "coordination.out") as process:
        _await(note.exists, process, "the run has begun")
        address = note.read_text().strip()
        folder = max((machine.scratch / "state").glob("anabranch/projects/*/runs/*"), key=_made)
        operator = (folder / "operator.token").read_text()
        try:
            yield OurRun(folder, address, tuple(_joined(address, operator, streams)))
        finally:  # also when nobody wants the rest of a bench: no stream is left behind
            go.touch()
            process.wait(START_SECONDS)


def _made(folder: Path) -> float:
    return folder.stat().st_mtime


def _joined(address: str, operator: str, streams: int) -> Iterator[str]:
    """Let streams join a run; yield their tokens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(START_SECONDS)
        connection.connect(address)
        replies = connection.makefile("rb")
        for number in range(streams):
            frame = {"verb": "register", "token": operator, "id": f"client{number}"}
            connection.sendall(json.dumps(frame).encode() + b"\n")
            reply = json.loads(replies.readline())
            if "token" not in reply:
                raise BenchmarkFailed(f"a stream could not join: {reply}")
            yield str(reply["token"])


@contextlib.contextmanager
def redis(machine: Machine, sync: str) -> Iterator[str | None]:
    """Serve Redis with its append-only file; None, said aloud, if it is not installed."""
    program = machine.program("redis-server")
    if program is None:
        yield None
        return
    folder = machine.folder(f"redis-{sync}")
    address = folder / "socket"
    options = {"port": "0", "unixsocket": str(address), "dir": str(folder), "save": ""}
    options |= {"appendonly": "yes", "appendfsync": sync, "daemonize": "no"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    with _process([program, *words], folder, machine.environment, folder / "out") as process:
        _await(address.exists, process, "Redis has begun")
        yield str(address)


@contextlib.contextmanager
def postgres(machine: Machine) -> Iterator[str | None]:
    """Serve PostgreSQL from a new cluster; None, said aloud, if it is not installed."""
    programs = sorted(_POSTGRES.glob("*/bin/postgres"))
    if not programs:
        print("  PostgreSQL is missing and left out (apt-get install postgresql)", flush=True)
        yield None
        return
    user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="anabranch-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        env = {**machine.environment, "HOME": name, "LC_ALL": "C"}
        data = folder / "data"
        making = [str(programs[-1].with_name("initdb")), "-D", str(data), "-A", "trust"]
        making += ["-U", "bench", "--no-sync", "--no-locale"]
        subprocess.run(making, cwd=name, env=env, user=user, capture_output=True, check=True)
        argv = [str(programs[-1]), "-D", str(data), "-k", name, "-c", "listen_addresses="]
        argv += ["-c", f"max_connections={MOST_POSTGRES_CLIENTS + 10}"]
        address = folder / ".s.PGSQL.5432"
        with _process(argv, folder, env, machine.scratch / "postgres.out", user) as process:
            _await(address.exists, process, "PostgreSQL has begun")
            yield str(address)


def _unprivileged() -> str | None:
    """Return whom PostgreSQL may run as: it refuses to be root's."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def _process(
    argv: Sequence[str], folder: Path, env: object, output: Path, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for as long as a block runs; it is asked to end, then made to."""
    assert isinstance(env, dict)
    with output.open("wb") as sink:
        process = subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, user=user
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(condition: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    """Wait until a server is there. Raises BenchmarkFailed."""
    ends_at = time.perf_counter() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.perf_counter() > ends_at:
            raise BenchmarkFailed(f"waited in vain until {what}")
        time.sleep(LOOK_SECONDS)
