"""What streams have written is at hand: while they run, afterwards, and where it is needed most."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree

import pytest

from anabranch.core.ids import StreamId
from tests.e2e.program import Program, until
from tests.engine.repositories import make_repository

LONG = 9000
SAID = "what-the-run-said"
STREAMS = {
    "one": "echo first; printf 'no end'",
    "two": rf"printf '\033[31mred\033[0m \302\233 \377\n'; head -c {LONG} /dev/zero | tr '\0' x",
    "bad": {"command": "echo attempt $ANABRANCH_ATTEMPT; seq 60; exit 3", "retries": 1},
    "silent": "true",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give the program with one run that is over, one stream of which failed twice."""
    place = tmp_path_factory.mktemp("logs")
    project = make_repository(place / "project", {"README.md": "a project\n"})
    program = Program(project, place / "state", place / "scratch")
    program.plan(STREAMS)
    (program.scratch / SAID).write_text(program.expect(1, "run", "--keep-going").err, "utf-8")
    yield program
    program.end_everything()


def test_one_stream_is_printed_as_it_wrote(finished: Program) -> None:
    assert finished.asked(0, "logs", "one").out == "first\nno end\n"
    assert finished.asked(0, "logs", "one", "-n", "1").out == "no end\n"
    assert "nothing has been written" in finished.asked(0, "logs", "silent").err


def test_what_would_act_on_a_terminal_does_not_and_no_line_is_cut(finished: Program) -> None:
    """A pipe is no screen: a line of any length that fits into memory is whole."""
    red, long = finished.asked(0, "logs", "two").out.splitlines()
    assert red == "red \ufffd"
    assert long == "x" * LONG


def test_several_streams_bear_their_names(finished: Program) -> None:
    lines = finished.asked(0, "logs", "one", "bad").out.splitlines()
    assert lines[:3] == ["one | first", "one | no end", "bad | attempt 2"]
    everything = finished.asked(0, "logs", "--all").out.splitlines()
    assert {"bad.1 | attempt 1", "bad.2 | attempt 2"} <= set(map(_squeezed, everything))


def test_attempts_are_told_apart(finished: Program) -> None:
    assert finished.asked(0, "logs", "bad", "--attempt", "1").out.startswith("attempt 1\n1\n")
    assert "it has had 2" in finished.asked(2, "logs", "bad", "--attempt", "3").err
    line = json.loads(finished.asked(0, "logs", "bad", "--json").out.splitlines()[0])
    assert line == {"schema": 1, "stream": "bad", "attempt": 2, "line": "attempt 2"}


@pytest.mark.parametrize("arguments", [["logs"], ["events", "--stream"], ["messages", "--stream"]])
def test_a_stream_that_is_not_there_is_no_empty_answer(
    finished: Program, arguments: list[str]
) -> None:
    answer = finished.asked(2, *arguments, "onne")
    assert "did you mean 'one'?" in answer.err


def test_a_failure_is_told_with_its_last_words(finished: Program) -> None:
    """In headless output, whole, with the log's path, and in JUnit as ``system-out``."""
    said = (finished.scratch / SAID).read_text("utf-8")
    log = finished.folder().log(StreamId("bad"), 2)
    assert "           | 60\n" in said
    assert f"           log: {log}\n" in said
    junit = ElementTree.fromstring(finished.asked(0, "report", "--format", "junit").out)
    output = junit.find("testcase[@name='bad']/system-out")
    assert output is not None
    assert (output.text or "").splitlines()[-1] == "60"
    assert junit.get("tests") == str(len(STREAMS)), "a case a stream, and none for the point"


def test_following_prints_what_comes_until_the_end(program: Program) -> None:
    program.plan({"s": "echo begun; while ! test -e ../go; do sleep 0.05; done; echo over"})
    running = program.begin("run", "--headless")
    program.await_log("s", "begun")
    following = program.begin("logs", "-f")
    until(lambda: "begun" in following.out, "what was there is printed")
    assert not following.has_ended
    (program.folder().workspaces / "go").touch()
    answer = following.wait()
    assert (answer.code, answer.out) == (0, "s | begun\ns | over\n")
    assert running.wait().code == 0


def test_single_streams_are_stopped_from_the_shell(program: Program) -> None:
    """The others run on; with and without the run's name, hosted or not."""
    program.plan({name: f"echo ready; exec sleep {60 + n}" for n, name in enumerate("abcd")})
    running = program.begin("run", "--headless")
    for name in "abcd":
        program.await_log(name, "ready")
    program.expect(0, "stop", "a", "b")
    assert {n: s["state"] for n, s in program.streams().items()} == {
        **dict.fromkeys("ab", "stopped"),
        **dict.fromkeys("cd", "running"),
    }
    assert "did you mean" in program.expect(2, "stop", "c", "dd").err
    running.kill()
    program.expect(0, "stop", program.folder().run, "c")
    assert program.streams()["c"]["state"] == "stopped"
    assert program.streams()["d"]["state"] == "running"
    assert "has already ended" in program.expect(0, "stop", "a").err
    program.expect(0, "stop")
    assert program.status()["state"] == "stopped"


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def test_lines_of_several_streams_come_in_order_with_their_times(program: Program) -> None:
    """Handed to and fro between two streams, one of them on a tty, through a kill of the host."""
    wait = "while ! test -e ../{}; do sleep 0.02; done; "
    pause = "sleep 0.3; "  # longer than times are fine
    a = f"{pause}touch ../1; {wait.format(2)}echo ERROR three; printf '  more'"
    b = f"{wait.format(1)}echo two; {pause}touch ../2"
    program.plan({"a": f"echo one; {a}", "b": {"command": b, "tty": True}})
    before = time.time()
    running = program.begin("run", "--headless")
    program.await_log("a", "one")
    until((program.folder().attempts / "b.1" / "start").exists, "both have begun")
    running.kill()
    program.await_log("a", "  more")
    program.expect(0, "resume", "--headless")
    lines = program.expect(0, "logs", "b", "a", "-t", "--json").json_lines()
    assert [line["line"] for line in lines] == ["one", "two", "ERROR three", "  more"]
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in lines]
    assert times == sorted(times)
    assert before <= times[0] + lines[0]["within_seconds"]
    assert times[-1] <= time.time()
    level = program.expect(0, "logs", "--level", "error", "-t")
    assert [line[19:] for line in level.out.splitlines()] == [" a | ERROR three", " a |   more"]
    assert "not shown: 2 lines without a level" in level.err
    follow = program.expect(0, "logs", "a", "b", "-f", "-n", "1").out
    assert follow == "b | two\na |   more\n"
    program.folder().log(StreamId("b"), 1).with_suffix(".times").unlink()
    assert program.expect(0, "logs", "b", "-t").out == f"{' ' * 19} two\n"
