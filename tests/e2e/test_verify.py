"""``verify`` on real merges: what does not pass is found, left out and kept; the rest counts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, until
from tests.engine.repositories import git

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Give the program in a small repository."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "base.txt").write_text("base\n")
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "one")
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def plan(program: Program, verify: str, **point: Any) -> None:
    """Write a plan of eight streams, one file each, that are checked together."""
    program.plan(
        {name: f"echo {name} > {name}.txt" for name in NAMES},
        max_parallel=4,
        convergence={"final": {"verify": verify, **point}},
    )


def test_the_result_is_checked_before_it_counts(program: Program) -> None:
    """The check sees the merged files, and the branch moves only after it has passed."""
    branches = "git -C '{}' for-each-ref --format='%(refname)' refs/heads > '{}'"
    seen = program.scratch / "branches"
    look = branches.format(program.project, seen)
    plan(program, f"test $(cat ?.txt | wc -l) = 8 && {look}")
    program.expect(0, "run", "--headless")
    assert seen.read_text().split() == ["refs/heads/main"]
    passed = [e for e in program.events() if e["type"] == "verify_passed"]
    assert [len(e["streams"]) for e in passed] == [8]
    result = git(program.project, "ls-tree", "--name-only", program.status()["branch"]).split()
    assert len(result) == 9


def test_the_guilty_stream_is_left_out_and_its_work_is_kept(program: Program) -> None:
    """Found in few runs; the others are the result, and the run says whose work fails and why."""
    plan(program, "! test -e f.txt")
    answer = program.expect(1, "run", "--headless")
    assert "verify fails with f" in answer.out + answer.err
    streams = program.streams()
    assert [n for n in NAMES if streams[n]["state"] == "quarantined"] == ["f"]
    (point,) = program.status()["convergence"]
    assert set(point["merged"]) == set(NAMES) - {"f"}
    assert point["quarantined"] == ["f"]
    made = streams["f"]["commit"]
    assert git(program.project, "show", "--name-only", "--format=", made).split() == ["f.txt"]
    for form in ("text", "junit"):  # whoever reads of it finds what it made
        assert f"commit {made[:10]}" in program.expect(0, "report", "--format", form).out
    files = git(program.project, "ls-tree", "--name-only", program.status()["branch"]).split()
    assert "f.txt" not in files
    assert len(files) == 8
    kept = git(program.project, "for-each-ref", "--format=%(refname)", "refs/anabranch").split()
    assert any(
        "/f" in ref and git(program.project, "show", f"{ref}:f.txt") == "f\n" for ref in kept
    )
    (found,) = [e for e in program.events() if e["type"] == "guilty_found"]
    assert found["runs"] <= 8, "5 + log2 of eight: two runs only see again what they accuse for"


def test_a_pair_that_fails_only_together_is_named(program: Program) -> None:
    """The later of the two is left out."""
    plan(program, "! { test -e b.txt && test -e g.txt; }")
    program.expect(1, "run", "--headless")
    (found,) = [e for e in program.events() if e["type"] == "guilty_found"]
    assert set(found["streams"]) == {"b", "g"}
    assert program.streams()[found["streams"][-1]]["state"] == "quarantined"


def test_a_plan_can_stop_instead_and_a_bad_command_blames_nobody(program: Program) -> None:
    """Exit 1 with everything kept; a command that fails on the base needs a person, exit 4."""
    plan(program, "! test -e f.txt", on_failure="stop")
    answer = program.expect(1, "run", "--headless")
    assert "verify fails with f" in answer.out + answer.err
    assert program.streams()["f"]["state"] == "succeeded"
    plan(program, "./no-such-command")
    answer = program.expect(4, "run", "--headless")
    assert "nobody is to blame" in answer.out + answer.err
    plan(program, "no-such-command")
    answer = program.expect(2, "run", "--headless")
    assert "there is no program `no-such-command`" in answer.err


def test_a_killed_console_checks_again_and_nothing_twice(program: Program) -> None:
    """Killed in the middle of a check: the next host runs it once more, and what is known stays."""
    gate, begun = program.scratch / "gate", program.scratch / "begun"
    plan(program, f"touch {begun}; until test -e {gate}; do sleep 0.05; done; ! test -e f.txt")
    running = program.begin("run", "--headless")
    until(begun.exists, "the result is being checked")
    running.send(signal.SIGKILL)
    running.wait()
    gate.write_text("")
    program.expect(1, "resume", "--headless")
    assert program.streams()["f"]["state"] == "quarantined"
    looks: list[tuple[str, bool]] = []
    is_again = False
    for event in program.events():
        if event["type"] == "verify_started":
            is_again = event["is_again"]
        elif event["type"] in ("verify_passed", "verify_failed") and not event["is_remembered"]:
            looks.append((event["tree"], is_again))
    assert len(looks) == len(set(looks)), "a second look is one of its own"
