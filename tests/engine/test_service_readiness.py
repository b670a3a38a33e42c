"""How it is seen that a service is ready, with real logs, commands, ports and answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import ReadyPlan
from anabranch.engine.performers.readiness import Readiness
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
        return {"PATH": os.environ["PATH"], "WHO": "api"}, self.place

    def stops(self) -> None:
        asked = self.state.streams[API]
        self.state = replace(
            self.state, streams=self.state.streams.insert(API, replace(asked, attempt=2))
        )

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
