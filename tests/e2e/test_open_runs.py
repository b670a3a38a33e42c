"""Open runs: streams are added one by one, beside whoever hosts the run, and it ends when told."""

from __future__ import annotations

import json
import signal

from tests.e2e.program import Program, Running, until
from tests.e2e.terminals import OnTerminal
from tests.engine.repositories import git


def gated(program: Program, then: str) -> str:
    """Return a command that says ``ready`` and waits until the test opens the gate."""
    return f"echo ready; until test -e {program.scratch / 'gate'}; do sleep 0.02; done; {then}"


def begun(program: Program) -> Running:
    """Have an open run begin with a stream that waits at the gate."""
    host = program.begin("add", "--name", "first", "--", gated(program, "echo 1 > 1.txt"))
    program.await_log("first", "ready")
    return host


def test_streams_are_added_to_an_open_run_until_it_is_closed_and_taken(program: Program) -> None:
    """With a host and without one, each behind others; what fails fails alone."""
    host = begun(program)
    types = [event["type"] for event in program.events()]
    assert types[:2] == ["run_started", "stream_registered"]  # no kill can part them
    assert "stream_added" not in types
    made = ("--template", "shell", "--prompt", "cat 1.txt")
    beside = program.asked(0, "add", "--name", "second", "--after", "first", *made)
    assert "added second" in beside.err
    (program.scratch / "gate").touch()
    answer = host.wait()
    assert answer.code == 0
    assert "anabranch close ends it" in answer.err
    told = program.asked(0, "runs").out + program.asked(0, "status").out.splitlines()[0]
    assert ("interrupted" in told, told.count(" open ")) == (False, 2)
    assert program.streams()["second"]["state"] == "succeeded"
    program.expect(1, "add", "--name", "bad", "--", "sh", "-c", "cat 1.txt > bad.txt; exit 3")
    assert program.status()["is_open"]
    assert " open · run " in program.asked(0, "status").out
    program.expect(0, "close")
    assert program.status()["state"] == "converged"
    program.asked(0, "approve")
    assert git(program.project, "ls-files", "1.txt", "bad.txt").split() == ["1.txt"]


def test_a_host_that_is_killed_is_followed_by_the_next_who_adds(program: Program) -> None:
    """The stream runs on as the same process, once, and what is added comes after it."""
    host = begun(program)
    host.send(signal.SIGKILL)
    host.wait()
    after = program.begin("add", "--name", "second", "--after", "first", "--", "cat 1.txt")
    until(lambda: "second" in program.streams(), "it is added")
    closing = program.begin("close")
    until(lambda: "this waits for first, second to end" in closing.err, "it says what it waits for")
    (program.scratch / "gate").touch()
    assert (after.wait().code, closing.wait().code) == (0, 0)
    first = program.streams()["first"]
    assert (first["attempt"], first["state"]) == (1, "succeeded")
    assert program.log("first") == "ready\n"
    assert program.log("second") == "1\n"


def test_a_plan_that_runs_takes_one_more(program: Program) -> None:
    program.plan({"first": gated(program, "echo 1 > 1.txt")})
    host = program.begin("run", "--headless", "--json")
    program.await_log("first", "ready")
    program.asked(0, "add", "--name", "more", "--after", "first", "--", "grep -q 1 1.txt")
    (program.scratch / "gate").touch()
    assert host.wait().code == 0
    assert program.streams()["more"]["state"] == "succeeded"
    (program.project / "anabranch.toml").write_text(program.asked(0, "plan").out)
    told = json.loads(program.asked(0, "check", "--json").out)
    assert told["waves"] == [["first"], ["more"]]


def test_what_cannot_be_added_is_refused_and_changes_nothing(program: Program) -> None:
    host = begun(program)
    before = program.events()
    for arguments, why in (
        (("--name", "first", "--", "true"), "there is a stream 'first' in this run already"),
        (("--after", "nobody", "--", "true"), "there is no stream 'nobody' to wait for"),
        (("--point", "nowhere", "--", "true"), "there is no convergence point 'nowhere'"),
        (("--name", "../x", "--", "true"), "cannot name a stream"),
        (("--template", "shel", "--prompt", "x"), "there is no template 'shel'"),
        (("--template", "shell"), "asks for {prompt}"),
        (("--template", "shell", "--value", "x"), "is not NAME=TEXT"),
        ((), "give a command after --, or a template"),
        (("--", ""), "the command after -- is empty"),
    ):
        assert why in program.asked(2, "add", *arguments).err
    assert program.events() == before
    told = json.loads(program.asked(0, "status", "--json").out)
    assert told["is_open"]
    (program.scratch / "gate").touch()
    host.wait()


def test_work_in_an_open_run_is_reviewed_where_nobody_hosts_it(program: Program) -> None:
    """Each command hosts it until nothing is left to do; handed back, it goes on with the note."""
    work = 'echo 1 > 1.txt; test -z "$ANABRANCH_REVIEW" || cp "$ANABRANCH_REVIEW" notes.txt'
    program.expect(0, "add", "--review", "--name", "work", "--", work)
    assert program.streams()["work"]["attention"]["why"].startswith(
        "its work waits for your review"
    )
    program.expect(0, "review", "work", "--hand-back", "-m", "more of it")
    assert "+more of it" in program.asked(0, "diff", "work").out
    program.expect(0, "review", "work", "--take")
    program.expect(0, "close")
    program.asked(0, "approve")
    assert (program.project / "notes.txt").read_text() == "more of it\n"


def test_a_command_of_several_lines_is_written_in_an_editor(program: Program) -> None:
    """From the start screen, in one burst; the editor has the terminal, and gives it back."""
    editor = program.scratch / "editor"
    editor.write_text("#!/bin/sh\nprintf 'echo 1 > 1.txt\\n# and\\ncat 1.txt\\n' > $1\n")
    editor.chmod(0o700)
    console = OnTerminal(program, "console", EDITOR=str(editor), VISUAL="")
    try:
        console.until(b"New stream")
        console.types(b"n\x07\town")
        console.until(b"runs ", b"own")
        console.types(b"\r")
        console.until(b"own", b"succeeded")
    finally:
        console.close()
    assert program.log("own") == "1\n"
    assert r'"echo 1 > 1.txt\n# and\ncat 1.txt"' in program.asked(0, "plan").out
