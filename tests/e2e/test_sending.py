"""Input is honest: what is said of a line that was sent is what became of it.

Lines are sent into prompts, line editors, full-screen programs, and into streams that are busy,
stopped or over, while a person types there too. ``ANABRANCH_SENDS`` says how many, and
``ANABRANCH_SEED`` which; the default keeps the suite quick.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from anabranch.core import effects as fx
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.model.terminal import Input
from anabranch.engine.attaching import Attachment, terminal_record
from anabranch.engine.performers.sending import Outcome, Sending
from anabranch.paths import RunFolder
from tests.e2e.conftest import Crew
from tests.e2e.program import Program, until

SENDS = int(os.environ.get("ANABRANCH_SENDS", "49"))
SEED = int(os.environ.get("ANABRANCH_SEED", "20261130"))
MODES = ("prompt", "slow", "keys", "editor", "deaf", "dying", "stopped")
PATIENCE_SECONDS = 0.3
READER = Path(__file__).with_name("reading_stream.py")


class Desk:
    """A stream that reads, and what is sent and typed to it."""

    numbers = count(1)

    def __init__(self, crew: Crew, mode: str, diary: Path) -> None:
        self.crew, self.mode, self.diary = crew, mode, diary
        self.stream = StreamId(mode)
        self.sent: dict[str, Outcome] = {}
        self.person: Attachment | None = None

    async def open(self) -> None:
        """Start it, and wait until it shows something."""
        mode = "prompt" if self.mode == "stopped" else self.mode
        command = (sys.executable, str(READER), mode, str(self.diary))
        await self.crew.start(self.mode, *command, tty=True)
        await self.crew.begun(self.mode)
        await self.crew.until(lambda: bool(self.crew.log(self.mode)), f"{self.mode} is ready")
        self.person = Attachment(RunFolder(self.crew.run_folder), self.stream, Attempt(1))

    def close(self) -> None:
        if self.person is not None:
            self.person.close()

    async def send(self, patience_seconds: float = PATIENCE_SECONDS) -> str:
        """Send a line that is like no other, and keep what is said of it."""
        number = Seq(next(self.numbers))
        text = f"<S{number}>"
        self.sent[text] = await self.send_as(number, text, patience_seconds)
        return self.sent[text].verdict

    async def send_as(self, number: Seq, text: str, patience_seconds: float = 1.0) -> Outcome:
        """Send a line under a number."""
        effect = fx.TypeInput(stream=self.stream, attempt=Attempt(1), number=number, cause=number)
        line = Input(number, f"r{number}", Attempt(1), text, 0.0)
        folder = RunFolder(self.crew.run_folder)
        sending = Sending(self.crew.processes, folder, effect, line, patience_seconds)
        return await sending.outcome()

    def types(self, keys: bytes) -> None:
        """A person types."""
        if self.person is not None:
            self.person.typed(keys)

    async def stop(self, number: signal.Signals) -> None:
        await self.crew.processes.signal(self.stream, Attempt(1), number)

    @property
    def lines(self) -> list[str]:
        """What it has read, line by line."""
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def has_read(self, line: str) -> Callable[[], bool]:
        """Return whether the last that it read is a line."""
        return lambda: self.lines[-1:] == [line]

    def has_shown(self, text: str) -> Callable[[], bool]:
        """Return whether it has shown a text."""
        return lambda: text in self.crew.log(self.mode)

    def is_clear(self) -> bool:
        """Return whether no half-typed line stands there."""
        record = terminal_record(RunFolder(self.crew.run_folder), self.stream, Attempt(1))
        return record is not None and not record.half_typed

    async def acts(self, rng: random.Random, sends: int) -> None:
        """Let anything happen."""
        for _ in range(sends):
            what = rng.random()
            if what < 0.25:
                self.types(f"(p{rng.randrange(100)})".encode())
            elif what < 0.5:
                self.types(rng.choice((b"\r", b"\r", b"\x15")))
            if self.mode == "stopped":
                await self.stop(rng.choice((signal.SIGSTOP, signal.SIGCONT)))
            await self.send()
        await self.stop(signal.SIGCONT)
        self.types(b"\x15\r")

    async def settle(self) -> None:
        """Wait until what was delivered is written down."""
        wanted = [text for text, said in self.sent.items() if said.verdict == "delivered"]
        await self.crew.until(lambda: all(text in self.lines for text in wanted), "all is read")

    def lies(self) -> list[str]:
        """Return whatever was said of a line and is not so."""
        whole = "\n".join(self.lines)
        found = [f"{line}: typed into a person's line" for line in self.lines if _is_mixed(line)]
        for text, said in self.sent.items():
            times = whole.count(text)
            if said.verdict == "delivered" and (times, text in self.lines) != (1, True):
                found.append(f"{text}: delivered, and read {times} times")
            if said.verdict == "refused" and times:
                found.append(f"{text}: refused ({said.evidence}), and read")
            if times > 1:
                found.append(f"{text}: read {times} times")
        return found


def _is_mixed(line: str) -> bool:
    return re.search(r"\(p\d+\).*<S", line) is not None


@pytest.fixture
async def desks(tmp_path: Path) -> AsyncIterator[list[Desk]]:
    """Give a desk for every kind of program."""
    crew = Crew(tmp_path / "run")
    await crew.processes.open()
    desks = [Desk(crew, mode, tmp_path / f"{mode}.txt") for mode in MODES]
    try:
        yield desks
    finally:
        for desk in desks:
            desk.close()
        await crew.close()


async def test_whatever_is_sent_wherever_what_is_said_of_it_is_so(desks: list[Desk]) -> None:
    """Nothing lands in a half-typed line, and nothing is called delivered that was not read."""
    rng = random.Random(SEED)
    await asyncio.gather(*(desk.open() for desk in desks))
    each = max(1, SENDS // len(desks))
    seeds = [rng.randrange(1 << 30) for _ in desks]
    rngs = map(random.Random, seeds)
    await asyncio.gather(*(d.acts(r, each) for d, r in zip(desks, rngs, strict=True)))
    await asyncio.gather(*(desk.settle() for desk in desks))
    assert [lie for desk in desks for lie in desk.lies()] == [], f"ANABRANCH_SEED={SEED}"
    said = Counter(outcome.verdict for desk in desks for outcome in desk.sent.values())
    assert {"delivered", "refused", "stalled"} <= set(said), said


async def test_each_obstacle_is_named(desks: list[Desk]) -> None:
    """A person's half-typed line, what is unread, stopped processes, an end: each is said."""
    prompt, _, keys, editor, deaf, dying, stopped = desks
    await asyncio.gather(*(d.open() for d in (prompt, keys, editor, deaf, dying, stopped)))
    editor.types(b"half")
    await editor.crew.until(editor.has_shown("half"), "it is shown")
    refused = await editor.send_as(Seq(1), "no")
    assert "a full-screen program has the screen" in refused.evidence
    assert "ctrl+u" not in refused.hint
    assert "anabranch attach editor (a in the console)" in refused.hint
    for desk in (prompt, keys):
        desk.types(b"half")
        await desk.crew.until(desk.has_shown("half"), "it is shown")
        assert "half-typed" in (await desk.send_as(Seq(1), "no")).evidence
        desk.types(b"\x15")
        await asyncio.sleep(0)
        await desk.crew.until(desk.is_clear, "it is taken back")
        assert (await desk.send_as(Seq(2), "yes")).verdict == "delivered"
        await desk.crew.until(desk.has_read("yes"), "it is read")
    assert (await deaf.send_as(Seq(3), "one", 0.2)).verdict == "stalled"
    assert "has not been read" in (await deaf.send_as(Seq(4), "two", 0.2)).evidence
    await stopped.stop(signal.SIGSTOP)
    await asyncio.sleep(0.05)
    assert "stopped" in (await stopped.send_as(Seq(5), "no")).evidence
    assert (await dying.send_as(Seq(6), "last words")).verdict == "delivered"
    await dying.crew.ended("dying")
    assert "ended" in (await dying.send_as(Seq(7), "too late")).evidence


async def test_an_order_that_comes_twice_types_once(desks: list[Desk]) -> None:
    """An engine that takes over asks for the same line again, and hears what was done with it."""
    prompt, keys = desks[0], desks[2]
    await asyncio.gather(prompt.open(), keys.open())
    for desk in (prompt, keys):
        outcomes = [await desk.send_as(Seq(1), "once") for _ in range(3)]
        assert {outcome.verdict for outcome in outcomes} == {"delivered"}
        await desk.crew.processes.type_line(desk.stream, Attempt(1), 1, b"once")
        assert (await desk.send_as(Seq(2), "again")).verdict == "delivered"
        await desk.crew.until(desk.has_read("again"), "it is read")
        assert desk.lines == ["once", "again"]


def test_a_line_is_sent_from_a_shell_also_over_a_kill(program: Program) -> None:
    """The verdict is the exit code; an engine that is killed meanwhile types nothing twice."""
    deaf = "echo ready; until test -e $GATE; do sleep 0.05; done; read x; echo got $x; read y"
    gate = program.scratch / "gate"
    asks = "printf 'go on? '; read x; echo got $x; read y; echo got $y"
    program.plan(
        {
            "asks": {"command": asks, "tty": True},
            "deaf": {"command": deaf, "tty": True, "env": {"GATE": str(gate)}},
            "plain": "sleep 60",
        }
    )
    host = program.begin("run", "--headless")
    program.await_log("asks", "go on?")
    program.await_log("deaf", "ready")
    assert program.asked(0, "send", "asks", "yes", "--json").json()["verdict"] == "delivered"
    assert "no terminal" in program.asked(1, "send", "plain", "x", "--json").json()["why"]
    sending = program.begin("send", "deaf", "once")
    until(lambda: _events(program, "input_requested") == 3, "it is asked for")
    host.send(signal.SIGKILL)
    host.wait()
    gate.touch()
    host = program.begin("resume", "--headless")
    sending.wait()
    until(lambda: _events(program, "input_sent") == 3, "all verdicts are there")
    verdicts = [e["verdict"] for e in program.events() if e["type"] == "input_sent"]
    assert verdicts == ["delivered", "refused", "delivered"]
    until(lambda: "got once" in program.log("deaf"), "it is read")
    program.expect(0, "stop")
    host.wait()
    assert program.log("deaf").count("got") == 1


def _events(program: Program, kind: str) -> int:
    return sum(event["type"] == kind for event in program.events())
