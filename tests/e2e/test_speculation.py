"""Speculation with real processes: a straggler, its copy, and one result of both."""

from __future__ import annotations

from typing import Any

from anabranch.core.plans.estimates import FEWEST_FOR_A_TAIL, Sample
from anabranch.core.plans.plan import Work
from anabranch.engine.durations import learn
from tests.e2e.program import Program, until
from tests.engine.repositories import git

USUAL_SECONDS = 0.5


def write_plan(program: Program, first: str, copy: str) -> None:
    """Write a plan whose ``work`` does one thing in its first incarnation, and another later."""
    begun = program.scratch / "begun"
    script = f"echo began; if mkdir {begun} 2>/dev/null; then {first}; else {copy}; fi"
    plan: dict[str, Any] = {"work": {"command": script, "repeatable": True}, "other": "true"}
    program.plan(plan, max_parallel=2, speculation=True)


def teach(program: Program) -> None:
    """Have the project know how long ``work`` takes, as several runs would have taught it."""
    (program.scratch / "begun").mkdir()
    program.expect(0, "run", "--headless")
    (program.scratch / "begun").rmdir()
    state = program.state()
    work = Work(state.plan.name, "work", state.topology.streams["work"].command_text)  # type: ignore[index]
    for number in range(FEWEST_FOR_A_TAIL):
        learn(program.folder().project, {work: Sample(f"before-{number}", USUAL_SECONDS, 1.0)})


def of_kind(program: Program, kind: str) -> list[dict[str, Any]]:
    return [event for event in program.events() if event["type"] == kind]


def tree(program: Program) -> set[str]:
    """Return the files of the latest run's result."""
    branch = f"anabranch/{program.folder().run}"
    return set(git(program.project, "ls-tree", "-r", "--name-only", branch).split())


STANDS_STILL = "echo half > half.txt; while :; do sleep 0.05; done"


def test_the_copy_of_a_straggler_wins_and_the_straggler_is_fenced(program: Program) -> None:
    write_plan(program, STANDS_STILL, "echo whole > whole.txt")
    teach(program)
    answer = program.expect(0, "run", "--headless")
    assert "attempt 2 begins beside attempt 1" in answer.err
    assert "1 copy, 1 of them first" in answer.out
    (copied,) = of_kind(program, "stream_copied")
    assert copied["elapsed_seconds"] >= copied["long_seconds"] >= USUAL_SECONDS
    (granted,) = of_kind(program, "commit_granted")
    assert (granted["attempt"], granted["over"]) == (2, 1)
    assert not of_kind(program, "retry_scheduled") + of_kind(program, "stream_failed")
    work = program.streams()["work"]
    assert (work["state"], work["attempt"]) == ("succeeded", 2)
    files = tree(program)
    assert "whole.txt" in files
    assert "half.txt" not in files
    (kept,) = work["partial"]
    assert "half.txt" in git(program.project, "ls-tree", "--name-only", kept), "nothing is lost"
    report = program.expect(0, "report", "--format", "json").json()["speculation"]
    assert (report["copies"], report["won"], report["fenced"]) == (1, 1, 1)
    assert report["seconds_saved"] > 0
    learned = program.expect(0, "check", "--json").json()["estimates"]
    assert all(e["seconds"] < 5.0 for e in learned), "the straggler teaches nothing"
    program.await_quiet()


def test_the_original_wins_if_it_is_first(program: Program) -> None:
    gate = program.scratch / "gate"
    waits = f"until test -e {gate}; do sleep 0.02; done; echo whole > whole.txt"
    write_plan(program, waits, f"test -e {gate} || {{ echo stands; {STANDS_STILL}; }}")
    gate.touch()
    teach(program)
    gate.unlink()
    host = program.begin("run", "--headless")
    program.await_log("work", "stands", attempt=2)
    gate.touch()
    assert host.wait().code == 0
    (granted,) = of_kind(program, "commit_granted")
    assert (granted["attempt"], granted["over"]) == (1, 2)
    assert program.streams()["work"]["attempt"] == 1
    assert "whole.txt" in tree(program)
    report = program.expect(0, "report", "--format", "json").json()["speculation"]
    assert (report["copies"], report["won"], report["fenced"]) == (1, 0, 1)
    assert report["seconds_saved"] == 0.0
    program.await_quiet()


def test_a_console_that_is_killed_beside_both_grants_the_right_once(program: Program) -> None:
    gate = program.scratch / "gate"
    waits = f"until test -e {gate}; do sleep 0.02; done; echo whole > whole.txt"
    write_plan(program, STANDS_STILL, waits)
    gate.touch()
    teach(program)
    gate.unlink()
    host = program.begin("run", "--headless")
    program.await_log("work", "began", attempt=2)
    until(lambda: "work" in program.state().copies and _copy_runs(program), "the copy runs")
    host.kill()
    gate.touch()
    program.expect(0, "resume", "--headless")
    assert len(of_kind(program, "commit_granted")) == 1
    assert len(of_kind(program, "stream_copied")) == 1
    assert program.streams()["work"]["attempt"] == 2
    assert "whole.txt" in tree(program)
    program.await_quiet()


def _copy_runs(program: Program) -> bool:
    return any(copy.run.pid is not None for copy in program.state().copies.values())


def test_the_first_that_others_would_notice_has_the_right_and_the_other_is_refused(
    program: Program,
) -> None:
    """Until then each reads, and each may say that it lives."""
    said = program.scratch / "late"
    late = f"trap 'ab-stream state set k 2 >{said} 2>&1; echo $? >>{said}; exit 0' TERM"
    first = f"{late}; ab-stream heartbeat --status half; while :; do sleep 0.05; done"
    reads = "ab-stream heartbeat --status quick && ab-stream streams >/dev/null"
    copy = f"{reads} && ab-stream state set k 1"
    write_plan(program, first, copy)
    teach(program)
    program.expect(0, "run", "--headless")
    (granted,) = of_kind(program, "commit_granted")
    assert granted["attempt"] == 2
    assert "state_set" in granted["reason"]
    assert "fenced" in said.read_text()
    assert not said.read_text().endswith("\n0\n")
    changes = program.expect(0, "state", "log", "--json").json()["changes"]
    assert [c["after"] for c in changes] == [1]


def test_check_says_which_streams_are_never_copied_and_why(program: Program) -> None:
    program.plan({"a": "true"}, speculation=True)
    warnings = program.asked(0, "check", "--json").json()["warnings"]
    assert [w["code"] for w in warnings] == ["nothing-repeatable"]
    shared = {"workspace": "shared"}
    program.plan({"a": {"command": "true", "repeatable": True}}, speculation=True, isolation=shared)
    (warning,) = program.asked(0, "check", "--json").json()["warnings"]
    assert (warning["code"], warning["stream"]) == ("never-copied", "a")
    assert "your own folder" in warning["message"]
