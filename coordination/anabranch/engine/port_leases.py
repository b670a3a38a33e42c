"""Ports that attempts have on lease: one file for all projects of a user, so that no two get one.

The file is replaced as a whole, under a lock. A lease is good as long as somebody hosts its run, or
the holder of its attempt lives; else it is given back. What cannot be read leases nothing: then a
port is free if it can be bound, and whoever gets one is told so.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.performers.process_records import read_attempt
from anabranch.engine.run_lock import holder_of
from anabranch.files import replace_whole, take_lock
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, open_plain, read_if_there, read_plain
from anabranch.shortage import is_short

LOWEST, HIGHEST = 20_000, 65_535
USUAL_EPHEMERAL = (32_768, 60_999)
FEWEST = 1_000
"""So many ports at least are chosen from, though they be those that the machine gives away."""

PATIENCE_SECONDS = 5.0
MOST_FILE_BYTES = 64 * SMALL_FILE_BYTES


class PortLease(msgspec.Struct, frozen=True):
    """A port that an attempt has: what the plan calls it, whose it is, and who hosts that run."""

    port: int
    name: str
    project: str
    run: RunId
    stream: StreamId
    attempt: Attempt
    folder: str
    host: int

    @property
    def is_good(self) -> bool:
        """Whether somebody hosts its run or its attempt has a holder, as far as is known."""
        run = RunFolder(Path(self.folder))
        if holder_of(run.lock) is not None:
            return True
        reading = read_attempt(run.attempts / run.attempt_name(self.stream, self.attempt))
        return reading is None or reading.is_held is not False


class Wanted(msgspec.Struct, frozen=True):
    """For whom ports are wanted: an attempt, of whose stream these are ``at_work``."""

    project: str
    run: RunId
    stream: StreamId
    attempt: Attempt
    folder: Path
    at_work: frozenset[Attempt]

    def has(self, lease: PortLease) -> bool:
        """Return whether a lease is this stream's."""
        return (lease.folder, lease.stream) == (str(self.folder), self.stream)


class Given(msgspec.Struct, frozen=True):
    """The ports by name, and what somebody has to know about them."""

    ports: dict[str, int]
    warnings: tuple[str, ...] = ()


class PortLeases:
    """The leases of a user's ports.

    Args:
        path: the file that they stand in.
        pool: the ports that are given; default: those that the machine does not give away itself.
        is_free: says whether nobody has a port; default: whether it can be bound.
    """

    def __init__(
        self,
        path: Path,
        pool: range | None = None,
        is_free: Callable[[int], bool] | None = None,
    ) -> None:
        self._path = path
        self._pool = pool_here() if pool is None else pool
        self._is_free = is_free or can_be_bound

    def give(self, wanted: Wanted, names: Sequence[str], before: Mapping[str, int]) -> Given:
        """Lease a port for each name, in place of those of attempts that are over.

        It is the one from ``before``, if that is free, or else the usual one for project and
        stream, or the next to that. Raises OSError.
        """
        with self._alone() as busy:
            leases, fault = self._read()
            leases = [
                lease
                for lease in _good(leases)
                if not (
                    wanted.has(lease) and lease.attempt not in wanted.at_work - {wanted.attempt}
                )
            ]
            taken = {lease.port: lease for lease in leases}
            ports, warnings = dict[str, int](), [text for text in (busy, fault) if text]
            for name in names:
                usual = before.get(name) or self._usual(wanted, name)
                ports[name] = port = self._free(name, usual, {*taken, *ports.values()})
                if port != usual:
                    warnings += _moved(wanted, name, usual, port, taken.get(usual))
            if not busy:
                leases += [_lease(wanted, name, port) for name, port in ports.items()]
                self._write(leases)
        return Given(ports, tuple(warnings))

    def give_back(self, folder: Path, stream: StreamId, attempt: Attempt) -> None:
        """Give back what a stream had up to an attempt. Raises OSError."""
        with self._alone() as busy:
            leases, _ = self._read()
            left = [
                lease
                for lease in leases
                if (lease.folder, lease.stream) != (str(folder), stream) or lease.attempt > attempt
            ]
            if not busy and len(left) < len(leases):
                self._write(left)

    def all(self) -> list[PortLease]:
        """Return every lease that is good."""
        return list(_good(self._read()[0]))

    def _usual(self, wanted: Wanted, name: str) -> int:
        key = f"{os.path.realpath(wanted.project)}\0{wanted.stream}\0{name}"
        digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return self._pool[int.from_bytes(digest) % len(self._pool)]

    def _free(self, name: str, usual: int, taken: Collection[int]) -> int:
        at = self._pool.index(usual) if usual in self._pool else 0
        around = (self._pool[(at + n) % len(self._pool)] for n in range(len(self._pool)))
        for port in dict.fromkeys((usual, *around)):
            if port not in taken and self._is_free(port):
                return port
        first, last = self._pool[0], self._pool[-1]
        raise OSError(errno.EADDRINUSE, f"no port from {first} to {last} is free for {name!r}")

    def _read(self) -> tuple[list[PortLease], str]:
        """Return the leases, and what is wrong with the file."""
        try:
            data = read_if_there(self._path, MOST_FILE_BYTES)
            return ([] if data is None else _decode(data)), ""
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, OSError) and is_short(error.errno):
                raise
            reason = escape_for_terminal(str(error))
            return [], (
                f"{self._path} cannot be read ({reason}): ports are only known to be free as "
                "nobody listens there"
            )

    def _write(self, leases: Sequence[PortLease]) -> None:
        replace_whole(self._path, msgspec.json.format(msgspec.json.encode(leases), indent=1))

    @contextmanager
    def _alone(self) -> Iterator[str]:
        """Keep others out; yield what is wrong where they cannot be. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = open_plain(lock, flags=os.O_WRONLY | os.O_CREAT)
        try:
            is_ours = take_lock(descriptor, PATIENCE_SECONDS)
            yield (
                ""
                if is_ours
                else (
                    f"another process keeps {lock} locked: ports are only known to be free as "
                    "nobody listens there"
                )
            )
        finally:
            os.close(descriptor)


_decode = msgspec.json.Decoder(list[PortLease]).decode


def _good(leases: Sequence[PortLease]) -> Iterator[PortLease]:
    """Yield the leases that are good; those of one attempt are looked at once."""
    known: dict[tuple[str, StreamId, Attempt], bool] = {}
    for lease in leases:
        whose = (lease.folder, lease.stream, lease.attempt)
        if whose not in known:
            known[whose] = lease.is_good
        if known[whose]:
            yield lease


def _lease(wanted: Wanted, name: str, port: int) -> PortLease:
    return PortLease(
        port=port,
        name=name,
        project=wanted.project,
        run=wanted.run,
        stream=wanted.stream,
        attempt=wanted.attempt,
        folder=str(wanted.folder),
        host=os.getpid(),
    )


def _moved(
    wanted: Wanted, name: str, usual: int, port: int, by: PortLease | None
) -> tuple[str, ...]:
    """Return that a port is another one than it was; beside its own other attempt that is so."""
    if by is not None and wanted.has(by):
        return ()
    who = f"stream {by.stream} of run {by.run} has it" if by else "somebody else has it"
    return (f"its port {name!r} is {port} and not {usual}: {escape_for_terminal(who)}",)


@cache
def pool_here() -> range:
    """Return the ports that are given: outside of those that the machine gives to anybody."""
    try:
        text = read_plain("/proc/sys/net/ipv4/ip_local_port_range", SMALL_FILE_BYTES).split()
        low, high = int(text[0]), int(text[1])
    except (OSError, ValueError, IndexError):
        low, high = USUAL_EPHEMERAL
    below, above = range(LOWEST, low), range(max(high + 1, LOWEST), HIGHEST + 1)
    return next((pool for pool in (below, above) if len(pool) >= FEWEST), range(LOWEST, HIGHEST))


def can_be_bound(port: int) -> bool:
    """Return whether a server could listen on a port of this machine. Raises OSError if short."""
    addresses = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    return all(_binds(family, address, port) for family, address in addresses)


def _binds(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            if family is socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((address, port))
    except OSError as error:
        if is_short(error.errno):
            raise
        is_there = error.errno in (errno.EADDRINUSE, errno.EACCES)
        return family is socket.AF_INET6 and not is_there
    return True
