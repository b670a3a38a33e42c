"""Ports on lease: stable, nobody else's, and given back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from anabranch.core.ids import RunId, StreamId
from anabranch.engine import port_leases
from anabranch.engine.port_leases import Given, PortLease, PortLeases, Wanted
from anabranch.engine.run_lock import RunLock
from anabranch.files import take_lock
from anabranch.paths import RunFolder

POOL = range(20_000, 21_000)


class Machine:
    """Leases of a machine on which ``busy`` ports are somebody else's, and runs that are hosted."""

    def __init__(self, place: Path) -> None:
        self.place, self.busy = place, set[int]()
        self.file = place / "ports.json"
        self.leases = PortLeases(self.file, POOL, lambda port: port not in self.busy)
        self._locks: dict[str, RunLock] = {}

    def hosts(self, run: str) -> None:
        folder = self.place / run
        folder.mkdir()
        lock = RunLock.acquire(RunFolder(folder).lock)
        assert lock is not None
        self._locks[run] = lock

    def dies(self, run: str) -> None:
        self._locks.pop(run).release()

    def end(self) -> None:
        for lock in self._locks.values():
            lock.release()

    def give(
        self,
        stream: str,
        *names: str,
        run: str = "r",
        project: str = "/p",
        attempt: int = 1,
        before: dict[str, int] | None = None,
        beside: tuple[int, ...] = (),
    ) -> Given:
        at_work = frozenset({attempt, *beside})
        folder = self.place / run
        wanted = Wanted(project, RunId(run), StreamId(stream), attempt, folder, at_work)
        return self.leases.give(wanted, names or ("web",), before or {})

    def returns(self, stream: str, run: str = "r", attempt: int = 1) -> None:
        self.leases.give_back(self.place / run, StreamId(stream), attempt)

    def held(self) -> list[tuple[str, str, int]]:
        return [(lease.run, lease.stream, lease.attempt) for lease in self.leases.all()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    machine.hosts("r")
    yield machine
    machine.end()


def test_a_stream_of_a_project_has_the_same_ports_in_each_run(machine: Machine) -> None:
    first = machine.give("api", "web", "db")
    assert not first.warnings
    assert set(first.ports) == {"web", "db"}
    assert len(set(first.ports.values())) == 2
    assert set(first.ports.values()) <= set(POOL)
    machine.returns("api")
    assert machine.held() == []
    machine.hosts("r2")
    assert machine.give("api", "web", "db", run="r2") == first
    others = {machine.give("api", run="r2", project="/q").ports["web"]}
    assert first.ports["web"] not in others


def test_no_two_runs_get_the_same_and_whoever_moved_is_told_why(machine: Machine) -> None:
    machine.hosts("r2")
    first = machine.give("api").ports["web"]
    second = machine.give("api", run="r2")
    assert second.ports["web"] == POOL[(POOL.index(first) + 1) % len(POOL)]
    assert second.warnings == (
        f"its port 'web' is {second.ports['web']} and not {first}: stream api of run r has it",
    )
    lease = machine.leases.all()[0]
    assert (lease.project, lease.run, lease.stream, lease.attempt) == ("/p", "r", "api", 1)


def test_a_port_that_a_stranger_took_moves_at_a_retry_and_that_is_told(machine: Machine) -> None:
    first = machine.give("api").ports
    assert machine.give("api", attempt=2, before=first).ports == first
    assert machine.held() == [("r", "api", 2)]
    machine.busy.add(first["web"])
    moved = machine.give("api", attempt=3, before=first)
    assert moved.ports != first
    assert "somebody else has it" in moved.warnings[0]
    machine.busy.clear()
    assert machine.give("api", attempt=4, before=moved.ports).ports == moved.ports  # it stays


def test_a_copy_has_ports_of_its_own_beside_the_attempt_that_it_is_one_of(
    machine: Machine,
) -> None:
    first = machine.give("api").ports
    copy = machine.give("api", attempt=2, before=first, beside=(1,))
    assert copy.ports != first
    assert not copy.warnings
    assert machine.held() == [("r", "api", 1), ("r", "api", 2)]


def test_what_the_dead_had_is_given_back_and_what_a_holder_keeps_is_not(machine: Machine) -> None:
    machine.hosts("r2")
    first = machine.give("api", run="r2").ports
    folder = RunFolder(machine.place / "r2")
    attempt = folder.attempts / folder.attempt_name(StreamId("api"), 1)
    attempt.mkdir(parents=True)
    with open(attempt / "lock", "wb") as held:
        assert take_lock(held.fileno())
        machine.dies("r2")  # its console is killed, and the stream lives on
        assert machine.give("api").ports != first
    machine.returns("api")
    assert machine.give("api").ports == first


def test_a_file_that_cannot_be_read_is_told_and_replaced(machine: Machine) -> None:
    first = machine.give("api").ports
    machine.file.write_bytes(b"{not json")
    machine.busy.add(first["web"])
    given = machine.give("other")
    assert "cannot be read" in given.warnings[0]
    assert machine.held() == [("r", "other", 1)]
    assert not machine.give("third").warnings


def test_where_another_keeps_the_file_locked_ports_are_still_had(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_leases, "PATIENCE_SECONDS", 0.0)
    with open(machine.file.with_name("ports.json.lock"), "wb") as lock:
        assert take_lock(lock.fileno())
        given = machine.give("api")
    assert given.ports["web"] in POOL
    assert "keeps" in given.warnings[0]
    assert machine.held() == []


def test_many_at_once_get_different_ones(machine: Machine) -> None:
    names = [f"s{n}" for n in range(16)]
    with ThreadPoolExecutor(8) as workers:
        ports = [given.ports["web"] for given in workers.map(machine.give, names)]
    assert len(set(ports)) == len(names)
    written = msgspec.json.decode(machine.file.read_bytes(), type=list[PortLease])
    assert sorted(lease.port for lease in written) == sorted(ports)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_a_port_on_which_somebody_listens_is_not_free(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"no {address} here")
    with server:
        port = server.getsockname()[1]
        assert not port_leases.can_be_bound(port)
    assert port_leases.can_be_bound(port)


def test_ports_lie_outside_of_what_the_machine_gives_away() -> None:
    pool = port_leases.pool_here()
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(pool) >= port_leases.FEWEST
    assert not set(pool) & set(range(low, high + 1)) or low < 21_000
