"""Handlers of a program that is a stream: accounted for, and done once, as those of commands."""

from __future__ import annotations

import json
import shlex
import sys

from tests.e2e.program import Program, until
from tests.e2e.test_run import content, converged
from tests.engine.repositories import git, write

JOB = """
import asyncio, os, anabranch

async def handle(name):
    print("handling", name)
    if name == "b" and not os.path.exists("../again"):
        open("../again", "w")
        raise ConnectionError("away")
    with open("done", "a") as file:
        file.write(name)
    return name.upper()

async def main():
    try:
        print(await anabranch.map_handlers(handle, "abc", run="letters"))
    except anabranch.HandlersFailed as error:
        raise SystemExit(error.message)

asyncio.run(main())
"""

WAITING = """
import asyncio, anabranch

async def handle(number):
    print("at work on", number)
    await asyncio.Event().wait()

asyncio.run(anabranch.map_handlers(handle, range(40), max_parallel=2))
"""


def plan(program: Program, job: str, **more: object) -> None:
    write(program.project, {"job.py": job})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "a job")
    command = f"{shlex.quote(sys.executable)} job.py"
    program.plan({"job": {"command": command, **more}})


def test_a_retry_of_the_stream_does_only_what_is_not_proven_done(program: Program) -> None:
    """It works where the attempt before it did, so that what is done is there."""
    plan(program, JOB)
    commit = converged(program)
    assert sorted(content(program, commit, "done")) == ["a", "b", "c"]
    assert "['A', 'B', 'C']" in program.log("job", 2)
    assert program.log("job", 2).count("handling") == 1
    (stream,) = program.expect(0, "status", "--json").json()["streams"]
    assert stream["handlers"] == {
        "total": 3,
        "succeeded": 3,
        "failed": 0,
        "running": 0,
        "not_tried_again": 0,
    }


def test_its_results_are_read_by_dependents_and_in_the_shared_state(program: Program) -> None:
    """As those of commands, over all attempts, in the order of the items."""
    write(program.project, {"job.py": JOB})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "a job")
    command = f"{shlex.quote(sys.executable)} job.py"
    reads = {"command": "cp $ANABRANCH_RESULTS found", "depends_on": ["job"]}
    program.plan({"job": command, "reads": reads})
    lines = content(program, converged(program), "found").splitlines()
    expected = [{"index": n, "result": letter} for n, letter in enumerate("ABC")]
    assert [json.loads(line) for line in lines] == expected
    assert program.asked(0, "state", "get", "results/job", "--json").json()["value"] == expected


def test_a_handler_that_failed_says_why(program: Program) -> None:
    plan(program, JOB, retries=0)
    printed = program.expect(1, "run", "--headless")
    assert "2 of 3" in printed.err
    trace = program.run("logs", "job", "--handler", "1").out
    assert trace.startswith("Traceback")
    assert trace.count("File ") == 1
    assert "line 8, in handle" in trace
    assert "ConnectionError: away" in trace
    assert program.expect(0, "logs", "job", "--handler", "0").out == ""
    program.expect(2, "logs", "job", "--handler", "3")


def test_status_counts_them_while_they_run(program: Program) -> None:
    plan(program, WAITING)
    host = program.begin("run", "--headless")
    counts = {"total": 40, "succeeded": 0, "failed": 0, "running": 2, "not_tried_again": 0}

    def is_counted() -> bool:
        found = program.run("status", "--json")
        if found.code:
            return False
        (stream,) = found.json()["streams"]
        return bool(stream.get("handlers") == counts)

    until(is_counted, "two of forty are at work")
    program.expect(0, "stop")
    host.wait()
