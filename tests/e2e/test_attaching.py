"""Attaching to streams' terminals: real holders, real pseudo-terminals, programs that draw."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import termios
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core.effects import AskStream
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.inputs import StreamAsked
from anabranch.core.plans.plan import AskPlan
from anabranch.engine.attaching import Attachment, Standing, TerminalRecord, terminal_record
from anabranch.engine.interference import Interference
from anabranch.engine.performers.asking import ask_stream
from anabranch.errors import WorldError
from anabranch.paths import RunFolder
from anabranch.testing import plan_of, stream
from anabranch_console.attached.session import ENDED, RESIZED, Left, Session, open_terminal
from tests.core.working import Crew as Thought
from tests.e2e.conftest import Crew
from tests.e2e.program import Program, until
from tests.e2e.terminals import OnTerminal

SHELL = ("/bin/sh", "-c", "stty -echo; echo ready; while read -r line; do echo got:$line; done")


def seat_at(crew: Crew, stream: str) -> Attachment:
    """Attach to a stream's first attempt."""
    return Attachment(RunFolder(crew.run_folder), StreamId(stream), Attempt(1))


def record_of(crew: Crew, stream: str) -> TerminalRecord:
    """Return how a terminal stands, as its holder has written it."""
    found = terminal_record(RunFolder(crew.run_folder), StreamId(stream), Attempt(1))
    return found or TerminalRecord()


def has_rows(crew: Crew, stream: str, rows: int) -> bool:
    """Whether a terminal has so many rows."""
    return record_of(crew, stream).rows == rows


class Watching:
    """What one seat has been shown so far."""

    def __init__(self, seat: Attachment) -> None:
        self.seat = seat
        self.shown = b""
        self.standings: list[Standing] = []
        self.has_ended = False

    def look(self) -> None:
        """Take what there is now."""
        while not self.has_ended:
            try:
                said = self.seat.receive()
            except BlockingIOError:
                return
            if isinstance(said, Standing):
                self.standings.append(said)
            else:
                self.has_ended = said is None
                self.shown += said or b""

    def sees(self, text: bytes) -> bool:
        """Whether a text has been shown."""
        self.look()
        return text in self.shown

    @property
    def is_told_of_a_gap(self) -> bool:
        """Whether something was left out for it."""
        self.look()
        return any(standing.left_out for standing in self.standings)


async def test_all_who_are_attached_see_the_same_in_the_smallest_size(crew: Crew) -> None:
    """What any of them types goes in, and whoever goes changes nothing but the size."""
    await crew.start("shell", *SHELL, tty=True)
    await crew.says("shell", "ready")
    first, second = Watching(seat_at(crew, "shell")), Watching(seat_at(crew, "shell"))
    first.seat.fit(50, 100)
    second.seat.fit(30, 120)
    await crew.until(lambda: record_of(crew, "shell").watchers == 2, "both are there")
    second.seat.typed(b"hello\r")
    await crew.until(lambda: first.sees(b"got:hello"), "it is shown to the one")
    await crew.until(lambda: second.sees(b"got:hello"), "it is shown to the other")
    for one in (first, second):
        assert (one.standings[-1].rows, one.standings[-1].columns) == (30, 100)
    assert b"ready" in first.seat.recent(first.standings[0])
    second.seat.close()
    await crew.until(lambda: record_of(crew, "shell").rows == 50, "only the other's size counts")
    first.seat.typed(b"still\r")
    await crew.until(lambda: first.sees(b"got:still"), "it goes on")
    first.seat.close()


async def test_a_line_that_a_person_half_typed_is_recorded(crew: Crew) -> None:
    """Not what their terminal answers, which only one of two may; what the engine types is none."""
    await crew.start("shell", "/bin/sh", "-c", "stty raw -echo; echo ready; cat -v", tty=True)
    await crew.says("shell", "ready")
    first, second = seat_at(crew, "shell"), seat_at(crew, "shell")
    await crew.until(lambda: record_of(crew, "shell").watchers == 2, "both are there")
    await crew.processes.write_input(StreamId("shell"), 1, b"abc")
    first.answered(b"\x1b[5;5R")
    second.answered(b"\x1b[9;9R")
    first.moved(b"\x1b[I")
    await crew.says("shell", "abc^[[5;5R^[[I")
    assert not record_of(crew, "shell").half_typed
    second.typed(b"make")
    await crew.says("shell", "make")
    await crew.until(lambda: record_of(crew, "shell").half_typed, "it stands there")
    assert "9;9" not in crew.log("shell")
    second.close()
    await crew.until(lambda: record_of(crew, "shell").watchers == 1, "who typed it has gone")
    assert record_of(crew, "shell").half_typed
    first.typed(b"\r")
    await crew.until(lambda: not record_of(crew, "shell").half_typed, "it was sent off")
    first.close()


async def test_the_guardians_question_is_not_typed_into_a_persons_line(crew: Crew) -> None:
    """It says that it has not been asked."""
    await crew.start("shell", "/bin/sh", "-c", "stty raw -echo; echo ready; cat -v", tty=True)
    await crew.says("shell", "ready")
    state = Thought(plan=plan_of(stream("shell", tty=True, ask=AskPlan(line="alive?")))).state
    effect = AskStream(cause=1, stream=StreamId("shell"), attempt=1)
    run = RunFolder(crew.run_folder)
    ask = partial(ask_stream, crew.processes, run, lambda: state, effect, {}, Interference())
    seat = seat_at(crew, "shell")
    seat.typed(b"rm -rf")
    await crew.until(lambda: record_of(crew, "shell").half_typed, "it stands there")
    asked = await ask()
    assert isinstance(asked, StreamAsked)
    assert "not asked" in asked.outcome
    seat.typed(b"\r")
    await crew.until(lambda: not record_of(crew, "shell").half_typed, "it was sent off")
    asked = await ask()
    assert isinstance(asked, StreamAsked)
    assert asked.outcome == "asked"
    await crew.says("shell", "alive?")
    assert "rm -rf^M" in crew.log("shell")
    seat.close()


async def test_who_stops_reading_holds_nobody_up_and_is_told(crew: Crew) -> None:
    """The log has everything; the watcher is told how much it missed and sees what comes then."""
    flood = "stty -echo; read go; head -c 9000000 /dev/zero | tr '\\0' x; echo; echo over; read go"
    then = "printf '\\033[?25l'; echo then; read go"
    await crew.start("flood", "/bin/sh", "-c", f"{flood}; {then}", tty=True)
    await crew.begun("flood")
    stalled = Watching(seat_at(crew, "flood"))
    stalled.seat.typed(b"\r")
    await crew.says("flood", "over")
    assert len(crew.log("flood")) > 9_000_000
    await crew.until(lambda: stalled.is_told_of_a_gap, "it is told")
    stalled.seat.fit(40, 100)
    stalled.seat.typed(b"\r")
    await crew.until(lambda: stalled.sees(b"then"), "it sees what comes then")
    left_out = sum(standing.left_out for standing in stalled.standings)
    written = len((crew.run_folder / "logs" / "flood.1.log").read_bytes())
    assert left_out + len(stalled.shown) == written
    assert left_out > 0
    late = Watching(seat_at(crew, "flood"))
    await crew.until(lambda: late.sees(b"") and bool(late.standings), "another comes")
    assert late.standings[0].modes == "?25l"
    stalled.seat.typed(b"\r")
    await crew.until(lambda: late.sees(b"") and late.has_ended, "its end is told")
    stalled.seat.close()
    late.seat.close()


async def test_what_is_typed_for_a_program_that_does_not_read_waits(crew: Crew) -> None:
    """Nothing of a long paste is lost; whoever types is held up, not the holder."""
    wait = "until test -e go; do sleep 0.02; done"
    script = f"stty raw -echo; echo ready; {wait}; head -c 3000000 | wc -c"
    await crew.start("late", "/bin/sh", "-c", script, tty=True, cwd=str(crew.run_folder))
    await crew.says("late", "ready")
    seat, left = seat_at(crew, "late"), 3_000_000
    while left:
        try:
            seat.typed(b"x" * min(left, 32_000))
            left -= min(left, 32_000)
        except BlockingIOError:
            if not select.select([], [seat], [], 0.2)[1]:
                (crew.run_folder / "go").touch()
            await asyncio.sleep(0)
    await crew.exited("late")
    assert "3000000" in crew.log("late")
    seat.close()
    with pytest.raises(WorldError):
        seat_at(crew, "late")


# --- a person's terminal -------------------------------------------------------------------------


class Person:
    """A terminal of a person's, and what it has been written."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.size(23, 80)
        self.terminal = open_terminal(self.theirs)
        self.screen = b""

    def size(self, rows: int, columns: int) -> None:
        """Give it a size."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, keys: bytes) -> None:
        """Type something."""
        os.write(self.ours, keys)

    def sees(self, text: bytes) -> bool:
        """Whether a text has been written to it; reads what there is."""
        while select.select([self.ours], [], [], 0)[0]:
            self.screen += os.read(self.ours, 65536)
        return text in self.screen

    def close(self) -> None:
        """Let go of it."""
        for descriptor in (self.ours, self.theirs, self.terminal):
            os.close(descriptor)


@pytest.fixture
def person() -> Iterator[Person]:
    """Give a person's terminal."""
    person = Person()
    yield person
    person.close()


async def test_a_full_screen_program_is_painted_typed_into_and_left(
    crew: Crew, person: Person, tmp_path: Path
) -> None:
    """It follows the size, its modes are off when it is left, and it is painted for who returns."""
    vim = shutil.which("vim") or pytest.skip("there is no vim here")
    (tmp_path / "text").write_text("漢字 first\nsecond\n")
    options = ("-u", "NONE", "-i", "NONE", "-c", "startinsert")
    spec = crew.spec("vim", vim, *options, "text", tty=True, cwd=str(tmp_path))
    env = spec.env | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    await crew.processes.start(replace(spec, env=env))
    await crew.says("vim", "second")
    for visit in range(2):
        session = Session(seat_at(crew, "vim"), person.terminal)
        over = asyncio.create_task(asyncio.to_thread(session.run))
        person.screen = b""
        await crew.until(lambda: person.sees(b"second"), "it is painted")
        assert "漢字 first".encode() in person.screen
        assert b"\x1b[?1049h" in person.screen
        person.size(30 + visit, 90)
        session.wake(RESIZED)
        await crew.until(partial(has_rows, crew, "vim", 30 + visit), "it has that size")
        typed = f"visit {visit} ü".encode()
        person.types(typed)
        await crew.until(partial(person.sees, typed), "what was typed is there")
        person.types(b"\x0f:w\r\x1d")
        assert await over is Left.BY_KEY
        session.close()
        assert person.sees(b"\x1b[?1049l")
        assert termios.tcgetattr(person.theirs)[3] & termios.ICANON
    written = (tmp_path / "text").read_text
    await crew.until(lambda: "visit 1 ü" in written(), "the last visit is written")
    assert "visit 0 ü" in written()


async def test_a_full_screen_program_is_made_to_paint(crew: Crew, person: Person) -> None:
    """Also for somebody whose terminal has the size that the program knows already."""
    paints = "trap 'echo painted' WINCH; printf '\\033[?1049hbegun'; while :; do sleep 0.01; done"
    await crew.start("full", "/bin/sh", "-c", paints, tty=True)
    await crew.says("full", "begun")
    person.size(24, 80)
    session = Session(seat_at(crew, "full"), person.terminal)
    over = asyncio.create_task(asyncio.to_thread(session.run))
    await crew.until(lambda: person.sees(b"painted"), "it has painted")
    await crew.until(partial(has_rows, crew, "full", 24), "it has its size again")
    person.types(b"\x1d")
    await over
    session.close()


async def test_a_terminal_that_takes_nothing_can_still_be_left(crew: Crew, person: Person) -> None:
    """The stream runs on at its own pace meanwhile, and what is kept here has a bound."""
    flood = "stty -echo; yes 'a line of a flood' | head -c 9000000; echo over; read go"
    await crew.start("flood", "/bin/sh", "-c", f"read go; {flood}", tty=True)
    await crew.begun("flood")
    session = Session(seat_at(crew, "flood"), person.terminal)
    over = asyncio.create_task(asyncio.to_thread(session.run))
    person.types(b"\r")
    await crew.says("flood", "over")
    await crew.until(lambda: person.sees(b"came too fast"), "it takes something again")
    await crew.until(lambda: person.sees(b"over"), "it is shown the end")
    assert len(person.screen) < 4_000_000
    person.types(b"\x1d")
    assert await over is Left.BY_KEY
    session.close()
    assert crew.log("flood").count("a line of a flood") > 400_000


async def test_a_visit_ends_with_the_stream_the_terminal_or_when_it_is_called_off(
    crew: Crew, person: Person
) -> None:
    """In each case it is known why."""
    await crew.start("shell", *SHELL, tty=True)
    await crew.says("shell", "ready")
    session = Session(seat_at(crew, "shell"), person.terminal)
    over = asyncio.create_task(asyncio.to_thread(session.run))
    await crew.until(partial(has_rows, crew, "shell", 23), "it has the size of the terminal")
    person.size(33, 90)
    session.wake(RESIZED)
    await crew.until(partial(has_rows, crew, "shell", 33), "it follows that")
    session.wake(ENDED)
    assert await over is Left.CALLED_OFF
    session.close()
    session = Session(seat_at(crew, "shell"), person.terminal)
    over = asyncio.create_task(asyncio.to_thread(session.run))
    await crew.stop("shell", 0.0)
    assert await over is Left.STREAM_ENDED
    session.close()
    await crew.start("other", *SHELL, tty=True)
    await crew.says("other", "ready")
    gone = Person()
    session = Session(seat_at(crew, "other"), gone.terminal)
    over = asyncio.create_task(asyncio.to_thread(session.run))
    os.close(gone.ours)
    assert await over is Left.TERMINAL_GONE
    session.close()
    for descriptor in (gone.theirs, gone.terminal):
        os.close(descriptor)


@pytest.fixture
def on_terminal(program: Program) -> Iterator[Callable[..., OnTerminal]]:
    """Give a maker of commands that go on, on terminals of their own."""
    made: list[OnTerminal] = []

    def make(*arguments: str) -> OnTerminal:
        made.append(OnTerminal(program, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_visit_from_a_shell_outlives_whoever_hosts_the_run(
    program: Program, on_terminal: Callable[..., OnTerminal]
) -> None:
    """``anabranch attach`` needs the holder and nobody else; leaving kills nothing."""
    program.plan({"shell": {"command": SHELL[2], "tty": True}})
    host = program.begin("run", "--headless")
    program.await_log("shell", "ready")
    visit = on_terminal("attach", "shell")
    visit.until(b"ready")
    visit.types(b"one\r")
    visit.until(b"got:one")
    host.kill()
    visit.types(b"two\r")
    visit.until(b"got:two")
    visit.types(b"\x1d")
    visit.until(b"which runs on")
    assert visit.code() == 0
    os.kill(program.streams()["shell"]["pid"], 0)


def test_a_console_hands_its_terminal_over_and_loses_nothing_when_that_disappears(
    program: Program, on_terminal: Callable[..., OnTerminal]
) -> None:
    """ctrl+] leads back to its panes; whatever ends it meanwhile, the streams run on."""
    program.plan({"shell": {"command": SHELL[2], "tty": True}})
    console = on_terminal("run")
    console.until(b"shell", b"running")
    program.await_log("shell", "ready")
    console.types(b"a")
    console.until(b"attached to shell", b"ready")
    console.types(b"one\r")
    console.until(b"got:one")
    assert b"Events" not in console.screen
    console.types(b"\x1d")
    console.until(b"\x1b[?1049h", b"left shell", b"Events")
    console.types(b"q")
    console.until(b"1 stream is running", b"Leave them running")
    console.types(b"c")
    console.until(b"Events")
    console.types(b"a")
    console.until(b"got:one")
    os.kill(console.pid, signal.SIGTERM)
    console.until(b"Come back with")
    console.code()
    console = on_terminal("resume")
    console.until(b"shell", b"running")
    console.types(b"a")
    console.until(b"got:one")
    console.disappears()
    console.code()
    stream = program.streams()["shell"]
    os.kill(stream["pid"], 0)
    assert (stream["attempt"], stream["state"]) == (1, "running")
    assert "stream_lost" not in {event["type"] for event in program.events()}


def test_a_terminal_that_takes_nothing_stops_no_engine(
    program: Program, on_terminal: Callable[..., OnTerminal]
) -> None:
    """Its console waits with what it paints; streams end and others start meanwhile."""
    flood = "yes 'a line of a flood' | head -c 300000"
    steps = {
        f"s{n}": {"command": flood, "depends_on": [f"s{n - 1}"] if n else []} for n in range(5)
    }
    program.plan(steps)
    console = on_terminal("run")
    until(
        lambda: program.run_folders() and program.status()["state"] == "converged",
        "the run is over though nobody reads the terminal",
    )
    console.types(b"qq")
    console.until(b"converged")


def test_a_workspace_is_entered_as_its_stream_sees_it_but_not_as_the_stream(
    program: Program, on_terminal: Callable[..., OnTerminal]
) -> None:
    """The person's shell, the plan's variables, no token; what it changes is there."""
    command = 'test -n "$ANABRANCH_TOKEN" && echo ready; read go; cat made'
    program.plan({"shell": {"command": command, "tty": True, "env": {"COLOUR": "green"}}})
    program.begin("run", "--headless")
    program.await_log("shell", "ready")
    shell = on_terminal("enter", "shell")
    shell.until(b"exit leaves it")
    shell.types(b"echo $COLOUR.$ANABRANCH_STREAM.$ANABRANCH_TOKEN. > made; exit 7\r")
    assert shell.code() == 7
    visit = on_terminal("attach", "shell")
    visit.until(b"ready")
    visit.types(b"\r")
    visit.until(b"green.shell..", b"has ended: exit 0")
    assert visit.code() == 0


def test_who_has_no_terminal_is_told_so(program: Program) -> None:
    """Attaching without one makes no sense: exit 2, and what to do instead."""
    for command in ("attach", "enter"):
        assert "needs a terminal" in program.asked(2, command, "shell").err
