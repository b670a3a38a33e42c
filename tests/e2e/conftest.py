"""What end-to-end tests share: a crew of processes to await, and the program in a project."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.clock import RunClock
from anabranch.engine.performers.process_observations import Ending, Observations
from anabranch.engine.performers.processes import Processes, ProcessSpec
from anabranch.paths import RunFolder
from tests.e2e.program import Program
from tests.engine.repositories import FAR_LINES, make_repository

DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.005


ENDINGS = (inputs.ProcessExited, inputs.ProcessLost, inputs.EffectFailed)


class Crew:
    """The processes of one run folder, and everything they reported."""

    def __init__(self, run_folder: Path) -> None:
        self.run_folder = run_folder
        self.reports: list[inputs.AttemptObservation] = []
        folder = RunFolder(run_folder)
        observations = Observations(folder, RunClock(0.0))  # whoever comes later has the same
        self.processes = Processes(folder, self.reports.append, observations)

    def spec(self, stream: str, *argv: str, tty: bool = False, cwd: str = "/") -> ProcessSpec:
        """Say what to run as the first attempt of a stream."""
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        return ProcessSpec(StreamId(stream), Attempt(1), argv, cwd, env, tty)

    async def start(self, stream: str, *argv: str, tty: bool = False, cwd: str = "/") -> None:
        """Start the first attempt of a stream."""
        await self.processes.start(self.spec(stream, *argv, tty=tty, cwd=cwd))

    def of(self, stream: str) -> list[inputs.AttemptObservation]:
        """Return the reports about one stream, in order."""
        return [report for report in self.reports if report.stream == stream]

    async def begun(self, stream: str) -> inputs.ProcessStarted:
        """Wait until a stream has started."""
        await self.until(lambda: bool(self.of(stream)), f"{stream} begins")
        first = self.of(stream)[0]
        assert isinstance(first, inputs.ProcessStarted), first
        return first

    async def ended(self, stream: str) -> Ending:
        """Wait until a stream has ended."""
        await self.until(
            lambda: any(isinstance(report, ENDINGS) for report in self.of(stream)),
            f"{stream} ends",
        )
        last = self.of(stream)[-1]
        assert isinstance(last, ENDINGS)
        return last

    async def exited(self, stream: str) -> inputs.ProcessExited:
        """Wait until a stream has exited."""
        last = await self.ended(stream)
        assert isinstance(last, inputs.ProcessExited), last
        return last

    async def stop(self, stream: str, grace_seconds: float) -> None:
        """Stop the first attempt of a stream."""
        await self.processes.stop(StreamId(stream), 1, grace_seconds)

    def log(self, stream: str) -> str:
        """Return what a stream has written so far."""
        path = self.run_folder / "logs" / f"{stream}.1.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def says(self, stream: str, text: str) -> None:
        """Wait until a stream has written a text."""
        await self.until(lambda: text in self.log(stream), f"{stream} says {text!r}")

    async def gone(self, pid: int) -> None:
        """Wait until a process has ended, reaped or not."""
        await self.until(lambda: not is_alive(pid), f"process {pid} ends")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds; fail, saying what was awaited, at the deadline."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, f"in vain: {what} {self.reports}"
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """End every stream that runs in the folder, whoever started it, then leave."""
        self.reports += self.processes.survey()
        ended = {report.stream for report in self.reports if isinstance(report, ENDINGS)}
        for stream in {report.stream for report in self.reports} - ended:
            await self.stop(stream, 0.0)
            await self.ended(stream)
        await self.processes.close()


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that is dead but unreaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status[status.rindex(")") + 2] not in "ZX"


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    """Give an open crew in a fresh run folder and end what it started."""
    crew = Crew(tmp_path / "run")
    await crew.processes.open()
    yield crew
    await crew.close()


@pytest.fixture
async def crews(tmp_path: Path) -> AsyncIterator[Callable[[Path], Crew]]:
    """Give a maker of crews, for tests in which one engine follows another."""
    made: list[Crew] = []

    def make(run_folder: Path) -> Crew:
        made.append(Crew(run_folder))
        return made[-1]

    yield make
    for crew in made:
        await crew.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Give the program in a small repository of its own, and end whatever it has started."""
    project = make_repository(
        tmp_path / "project", {"README.md": "a project\n", "src/a.txt": FAR_LINES}
    )
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()
