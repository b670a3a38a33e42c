"""What a stream asks reaches a person, and the answer reaches the stream, whoever is killed."""

from __future__ import annotations

import json
import signal

from tests.e2e.program import Program, until


def test_a_question_outlives_the_console_and_its_answer_too(program: Program) -> None:
    """Asked from a shell and over the spool; the console is killed before the answer and after."""
    script = """
    echo asking
    ab-stream ask 'Drop the table?' --choice keep --choice drop --wait 60
    ANABRANCH_SOCKET= ab-stream ask 'And now?'; echo rc=$?
    until test -e $GATE; do sleep 0.05; done
    ab-stream ask 'And now?' --wait 20; echo rc=$?
    """
    gate = program.scratch / "gate"
    program.plan({"one": {"command": script, "env": {"GATE": str(gate)}}})
    host = program.begin("run", "--headless")
    program.await_log("one", "asking")
    until(lambda: asks(program) == ["Drop the table?"], "the question")
    host.send(signal.SIGKILL)
    host.wait()
    host = program.begin("resume", "--headless")
    until(lambda: program.status()["state"] == "running", "somebody hosts it again")
    answer = program.asked(2, "answer", "one", "--yes", "--json").json()
    assert "`keep`" in answer["error"]["hint"]
    assert program.asked(0, "answer", "one", "dr", "--json").json()["answer"] == "drop"
    until(lambda: asks(program) == ["And now?"], "the second question")
    program.expect(0, "answer", "one", "--no")
    host.send(signal.SIGKILL)
    host.wait()
    gate.touch()
    assert program.begin("resume", "--headless").wait().code == 0
    lines = [json.loads(x) for x in program.log("one").splitlines() if x.startswith("{")]
    assert [line.get("answer") for line in lines] == ["drop", None, "no"]
    assert [x for x in program.log("one").splitlines() if x.startswith("rc=")] == ["rc=75", "rc=0"]


def test_who_answers_where_nobody_hosts_the_run_hears_when_the_stream_will(
    program: Program,
) -> None:
    """The answer is kept, and is the stream's once somebody hosts the run."""
    host = program.begin("add", "--name", "one", "--", "ab-stream ask 'Now?' --wait 60")
    until(lambda: program.run_folders() and asks(program) == ["Now?"], "the question")
    host.kill()
    program.expect(0, "run", "--headless", "--", "true")
    answered = program.expect(0, "answer", "one", "--yes").err
    assert "nobody hosts the run; it hears of it with: anabranch resume" in answered


def asks(program: Program) -> list[str]:
    """Return what the stream asks now, as a script sees it."""
    listed = program.ask("answer", "one", "--json")  # the run is not there yet at the beginning
    return [question["question"] for question in listed.json().get("questions", ())]
