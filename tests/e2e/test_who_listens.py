"""A command does what it is for, whoever listens: sinks that are closed, full, broken or slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch_console.cli import sinks
from anabranch_console.cli.main import COMMANDS, READING
from anabranch_console.cli.sinks import Sink, Unheard
from tests.e2e.program import Program
from tests.engine.repositories import make_repository

ROOT = Path(__file__).parents[2]
LOOKING = {
    "check": ["check"],
    "runs": ["runs", "--all", "--json"],
    "status": ["status", "--json"],
    "streams": ["streams"],
    "locks": ["locks"],
    "convergence": ["convergence"],
    "attention": ["attention", "--json"],
    "diff": ["diff", "a"],
    "plan": ["plan"],
    "templates": ["templates", "--json"],
    "conflicts": ["conflicts"],
    "state": ["state", "log", "--json"],
    "messages": ["messages", "--json"],
    "logs": ["logs", "--all"],
    "events": ["events", "--json"],
    "report": ["report"],
    "import": ["import", "Procfile"],
    "doctor": ["doctor"],
    "env": ["env"],
    "schema": ["schema"],
}
ACTING = {
    "run": (1, ["run", "--headless"]),
    "resume": (1, ["resume", "--json"]),
    "add": (2, ["add"]),
    "close": (2, ["close"]),
    "race": (2, ["race", "0", "--", "true"]),
    "adopt": (2, ["adopt", "a"]),
    "review": (2, ["review", "a", "--take"]),
    "answer": (2, ["answer", "a", "--yes"]),
    "send": (2, ["send", "a", "hello"]),
    "attach": (2, ["attach", "a"]),
    "enter": (2, ["enter", "a"]),
    "console": (2, ["console"]),
    "init": (2, ["init"]),
    "resolve": (2, ["resolve"]),
    "approve": (2, ["approve"]),
    "allow": (2, ["allow", "a"]),
    "recover": (2, ["recover", "a", "soft", "--dry-run"]),
    "choose": (2, ["choose", "balancer", "plan-order"]),
    "breakers": (0, ["breakers"]),
    "stop": (0, ["stop"]),
    "gc": (0, ["gc", "--dry-run"]),
    "runs rm": (0, ["runs", "rm", "--older-than", "1d", "--json"]),
    "plugins": (0, ["plugins", "list"]),
    "mcp": (2, ["mcp", "--nonsense"]),
}
"""Every command, with the exit code of what it does; the demonstration and the drill host their
runs as ``run`` does."""


def listened_to(program: Program, sink: str, *cases: list[str]) -> list[tuple[int, str]]:
    """Carry commands out with streams of one kind; return exit codes and what was heard."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/e2e/listening.py")],
        input=json.dumps({"sink": sink, "cases": cases}),
        cwd=program.project,
        env=program.environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return [(code, said) for code, said in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give the program in a project with a run of two streams, of which one failed."""
    folder = tmp_path_factory.mktemp("listening")
    project = make_repository(folder / "project", {"Procfile": "web: echo é\n"})
    program = Program(project, folder / "state", folder / "scratch")
    program.plan({"a": "echo a > a.txt", "b": "echo 'é →'; exit 3"}, recovery={"max_retries": 0})
    program.expect(1, "run", "--headless")
    yield program
    program.end_everything()


@pytest.fixture(scope="module")
def heard(ran: Program) -> list[tuple[int, str]]:
    """Return what a reader who takes everything hears of each command that only prints."""
    return listened_to(ran, "heard", *LOOKING.values())


def test_every_command_has_its_line() -> None:
    assert set(LOOKING) == READING
    acting = {name.split(" ")[0] for name in ACTING}
    assert set(LOOKING) | acting == set(COMMANDS) - {"demo", "drill"}


@pytest.mark.parametrize("sink", ["full", "closed", "left"])
def test_a_command_ends_as_what_it_does_ends(ran: Program, sink: str) -> None:
    """The exit code is the command's own, whatever becomes of its words."""
    codes, cases = zip(*ACTING.values(), strict=True)
    got = [code for code, _ in listened_to(ran, sink, *cases)]
    assert dict(zip(ACTING, got, strict=True)) == dict(zip(ACTING, codes, strict=True))


@pytest.mark.parametrize(("sink", "with_words"), [("full", 3), ("closed", 0), ("left", 0)])
def test_what_only_prints_has_failed_when_it_could_not(
    ran: Program, heard: list[tuple[int, str]], sink: str, with_words: int
) -> None:
    """Data that met a full disk is missed by somebody; a reader who left has heard enough."""
    got = [code for code, _ in listened_to(ran, sink, *LOOKING.values())]
    wanted = [with_words if said else code for code, said in heard]
    assert dict(zip(LOOKING, got, strict=True)) == dict(zip(LOOKING, wanted, strict=True))


def test_a_current_folder_that_is_gone_is_told_in_one_sentence(ran: Program) -> None:
    """Exit code 2, but for what needs no folder."""
    cases = {**LOOKING, **{name: case for name, (_, case) in ACTING.items()}}
    for name, (code, said) in zip(
        cases, listened_to(ran, "without_folder", *cases.values()), strict=True
    ):
        assert code in ((0, 2) if "current folder" not in said else (2,)), (name, code, said)
        assert "should not have happened" not in said, name


def test_a_slow_reader_gets_everything(ran: Program) -> None:
    """A pipe that does not block and is full is waited for."""
    cases = [LOOKING["events"], LOOKING["report"], LOOKING["schema"], ["run", "--json"]]
    wanted = listened_to(ran, "heard", *cases[:3])
    *looked, (code, said) = listened_to(ran, "slow", *cases)
    assert looked == wanted
    events = [json.loads(line) for line in said.splitlines()]
    assert code == 1
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_signs_that_a_locale_does_not_have_are_written_plainly(ran: Program) -> None:
    (code, events), (_, answer) = listened_to(ran, "ascii_only", ["events"], ["status", "--json"])
    assert code == 0
    assert "<-" in events
    assert json.loads(answer)["streams"][1]["state"] == "failed"


def test_a_reader_that_sleeps_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its patience ends once; then all is dropped until the reader wakes up, line by line."""
    monkeypatch.setattr(sinks, "PATIENCE_SECONDS", 0.0)
    ours, theirs = os.pipe()
    sink = Sink(theirs)
    line = b"x" * 4095 + b"\n"
    for _ in range(100):
        assert sink.write(line) == len(line)
    assert sink.dropped
    os.set_blocking(ours, False)
    before = os.read(ours, 1 << 20)
    assert sink.write(b"awake\n")
    heard = before + os.read(ours, 1 << 20)
    assert heard.replace(line, b"") == b"awake\n"


def test_many_threads_speak_at_once_while_the_reader_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that a plugin began may print while the command itself waits for the reader."""
    monkeypatch.setattr(sinks, "PATIENCE_SECONDS", 0.5)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    sink = Sink(theirs)
    faults: list[BaseException] = []

    def speak() -> None:
        try:
            for _ in range(40):
                sink.write(b"x" * 4096)
        except BaseException as fault:
            faults.append(fault)

    speakers = [threading.Thread(target=speak) for _ in range(3)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    os.close(ours)
    os.close(theirs)
    assert faults == []


def test_essential_words_wait_for_their_reader() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    sink = Sink(theirs)
    sink.is_essential = True
    heard = bytearray()

    def listen() -> None:
        while piece := os.read(ours, 1000):
            heard.extend(piece)

    reader = threading.Thread(target=listen)
    reader.start()
    for number in range(2000):
        sink.write(b"%0100d" % number)
    os.close(theirs)
    reader.join()
    assert bytes(heard) == b"".join(b"%0100d" % number for number in range(2000))


def test_an_essential_sink_says_that_it_cannot_deliver() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    sink = Sink(theirs)
    sink.is_essential = True
    with pytest.raises(Unheard) as unheard:
        sink.write(b"a word")
    assert unheard.value.reader_has_left
