"""How it is seen that a service is ready, with real logs, commands, ports and answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.services import Serving
from anabranch.core.model.state import State
from anabranch.core.plans.plan import ReadyPlan
from anabranch.engine.performers.readiness import HealthWatch, Readiness
from anabranch.paths import RunFolder
from anabranch.testing import ByHand, plan_of, stream
from tests.core.given import STRATEGIES

API = StreamId("api")


class Looking:
    """A service that runs, and a look at it that may take ``patience`` seconds."""

    def __init__(
        self, place: Path, ready: ReadyPlan, *, patience: float = 0.0, port: int = 0
    ) -> None:
        plan = stream("api", kind="service", ports=("web",), ready=ready)
        run = ByHand(plan_of(plan, stream("job")), STRATEGIES)
        run.run("api")
        self.place, self.clock = place, 0.0
        self.fault: OSError | None = None
        self.log = place / "api.log"
        self.log.touch()
        service = replace(run.state.streams[API], log=str(self.log), ports={"web": port})
        self.state: State = replace(run.state, streams=run.state.streams.insert(API, service))
        self.effect = fx.AwaitReadiness(stream=API, attempt=1, until=patience, cause=service.cause)
        self.look = Readiness(
            lambda: self.state, self.effect, self.now, self._surroundings, RunFolder(place)
        )

    def now(self) -> float:
        self.clock += 0.1
        return self.clock

    def _surroundings(self) -> tuple[dict[str, str], Path]:
        if self.fault is not None:
            raise self.fault
        return {"PATH": os.environ["PATH"], "WHO": "api"}, self.place

    def stops(self) -> None:
        self.changes(attempt=2)

    def changes(self, **fields: Any) -> None:
        changed = replace(self.state.streams[API], **fields)
        self.state = replace(self.state, streams=self.state.streams.insert(API, changed))

    def watch(self) -> HealthWatch:
        """Return what looks whether it goes on to answer."""
        effect = fx.WatchHealth(stream=API, attempt=1, cause=self.effect.cause)
        folder = RunFolder(self.place)
        return HealthWatch(lambda: self.state, effect, self.now, self._surroundings, folder)

    def sees(self) -> tuple[bool, str]:
        found = asyncio.run(self.look.wait())
        assert isinstance(found, inputs.ReadinessSeen)
        return found.is_ready, found.evidence


@asynccontextmanager
async def answering(said: bytes) -> AsyncIterator[int]:
    """Serve one answer to whoever asks, on a port of this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("said", "is_ready", "evidence"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nfine", True, "GET /health: 200 OK"),
        (b"HTTP/1.1 302 Found\r\n\r\n", True, "GET /health: 302 Found"),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            False,
            "GET /health: 503 Service Unavailable",
        ),
        (b"SSH-2.0-x\r\n", False, "GET /health: no answer"),
        (b"x" * 100_000, False, "GET /health: no answer in HTTP"),
        (b"", False, "GET /health: no answer"),
    ],
)
def test_it_answers(tmp_path: Path, said: bytes, is_ready: bool, evidence: str) -> None:
    async def look() -> inputs.Input | None:
        async with answering(said) as port:
            ready = ReadyPlan(port="web", http="/health")
            return await Looking(tmp_path, ready, port=port).look.wait()

    seen = asyncio.run(look())
    assert isinstance(seen, inputs.ReadinessSeen)
    assert (seen.is_ready, seen.evidence) == (is_ready, evidence)


def test_it_listens(tmp_path: Path) -> None:
    async def look() -> inputs.Input | None:
        async with answering(b"") as port:
            return await Looking(tmp_path, ReadyPlan(port="web"), port=port).look.wait()

    seen = asyncio.run(look())
    assert isinstance(seen, inputs.ReadinessSeen)
    assert seen.is_ready
    nobody = Looking(tmp_path, ReadyPlan(port="web"), port=1)
    assert nobody.sees() == (False, "port 1: connection refused")
    own = Looking(tmp_path, ReadyPlan(port="1"), port=2)
    assert own.sees() == (False, "port 1: connection refused"), "a number is a port of its own"


def test_its_log_says_so_in_a_whole_line_or_the_beginning_of_one(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(log="listening on .*:[0-9]+"))
    assert looking.sees() == (False, "no line of its log fits listening on .*:[0-9]+")
    with open(looking.log, "ab") as log:
        log.write(b"x" * 200_000 + b"\nlisten")
    assert not looking.sees()[0]
    with open(looking.log, "ab") as log:
        log.write(b"ing on \x1b[1mhere:80")
    is_ready, evidence = looking.sees()
    assert is_ready
    assert evidence.startswith("its log says: listening on")
    assert "\x1b" not in evidence


def test_a_log_whose_middle_was_left_out_is_read_anew(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(log="^up$"))
    looking.log.write_bytes(b"x\n" * 1000)
    assert not looking.sees()[0]
    looking.log.write_bytes(b"up\n")
    assert looking.sees() == (True, "its log says: up")


def test_its_command_succeeds_in_its_workspace_and_environment(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(command='test "$WHO" = api && test -e up'))
    assert looking.sees() == (False, 'test "$WHO" = api && test -e up: exit 1')
    (tmp_path / "up").touch()
    assert looking.sees()[0]


def test_it_is_looked_at_until_its_time_is_up_and_once_at_least(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(command="echo x >> looks; exit 1"), patience=0.35)
    assert not looking.sees()[0]
    assert (tmp_path / "looks").read_text().count("x") > 1
    (tmp_path / "looks").unlink()
    late = Looking(tmp_path, ReadyPlan(command="echo x >> looks"), patience=-100.0)
    assert late.sees()[0]


def test_who_is_over_is_looked_at_no_more(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(command="exit 1"), patience=1e9)
    looking.stops()
    assert asyncio.run(looking.look.wait()) is None


def test_one_that_is_held_on_purpose_is_not_blamed_for_its_silence(tmp_path: Path) -> None:
    """Its command fails all the time; only looks while it may run count, three in a row."""
    command = f"echo x >> {tmp_path}/looks; exit 7"
    ready = ReadyPlan(command=command, interval_seconds=0.01)
    looking = Looking(tmp_path, ready)
    looking.changes(serving=Serving(ready_as=1), held="no room")
    watch = looking.watch()

    async def held_for_a_while() -> inputs.Input | None:
        found = asyncio.create_task(watch.watch())
        await asyncio.sleep(0.1)
        assert not found.done()
        assert not (tmp_path / "looks").exists()
        looking.changes(held="")
        return await asyncio.wait_for(found, 20)

    seen = asyncio.run(held_for_a_while())
    assert isinstance(seen, inputs.HealthSeen)
    assert seen.evidence == f"{command}: exit 7, 3 looks in a row"
    assert (tmp_path / "looks").read_text() == "x\n" * 3


def test_a_look_that_cannot_be_had_says_nothing(tmp_path: Path) -> None:
    looking = Looking(tmp_path, ReadyPlan(command="exit 1", interval_seconds=0.01, failures=1))
    looking.changes(serving=Serving(ready_as=1))
    looking.fault = OSError(24, "too many open files")
    watch = looking.watch()

    async def looks() -> inputs.Input | None:
        found = asyncio.create_task(watch.watch())
        await asyncio.sleep(0.1)
        assert not found.done()
        looking.stops()
        return await asyncio.wait_for(found, 20)

    assert asyncio.run(looks()) is None
