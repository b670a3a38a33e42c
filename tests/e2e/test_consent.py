"""Commands of a project's plan that nobody has asked for are not run before somebody agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.e2e.terminals import OnTerminal
from tests.engine.repositories import git


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Give the program in a small repository."""
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    git(project, "commit", "-q", "--allow-empty", "-m", "one")
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def plan_with(verify: str, **streams: str) -> str:
    """Return a plan's text with a check of its result."""
    lines = ["version = 1", "[convergence.final]", f"verify = {json.dumps(verify)}", "[streams]"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(text)}" for name, text in streams.items())])


def test_an_open_run_asks_for_the_commands_of_the_plan_that_lies_there(program: Program) -> None:
    """Without anybody to ask it does nothing; agreed to once it is not asked again."""
    check = f"touch {program.scratch / 'checked'}; test -e 1.txt"
    (program.project / "anabranch.toml").write_text(plan_with(check, s="true"))
    refused = program.asked(2, "add", "--", "echo 1 > 1.txt")
    assert f"verify of convergence.final:\n      {check}" in refused.err
    assert "--trust agrees" in refused.err
    assert program.run_folders() == []
    assert "--trust" in program.asked(2, "race", "2", "--headless", "--", "true").err
    terminal = OnTerminal(program, "add", "--name", "no", "--", "echo 1 > 1.txt")
    terminal.until(b"run them? [y/N]", check.encode())
    terminal.types(b"\r")
    assert terminal.code() == 2
    terminal.close()
    program.expect(0, "add", "--trust", "--name", "first", "--", "echo 1 > 1.txt")
    program.expect(0, "add", "--name", "second", "--", "echo 2 > 2.txt")
    program.expect(0, "close")
    assert program.status()["state"] == "converged"
    assert (program.scratch / "checked").exists()


def test_a_plan_that_merged_work_has_changed_is_asked_about_before_it_is_run_again(
    program: Program,
) -> None:
    """The first time it is the user's word, and what they change themselves is, too."""
    plan = program.project / "anabranch.toml"
    other = plan_with("test -e planted.txt", s="echo 2 > planted.txt")
    (program.scratch / "other").write_text(other)
    by = "git add .; git -c user.email=a@b -c user.name=a commit -qm mine"  # of its own name
    work = f"cp {program.scratch / 'other'} anabranch.toml; {by}"
    plan.write_text(plan_with("true", s=work))
    git(program.project, "add", ".")
    git(program.project, "commit", "-q", "-m", "a plan")
    program.expect(0, "run", "--headless", "--approve", "--allow-sensitive")
    assert plan.read_text() == other
    refused = program.asked(2, "run", "--headless", "--json").json()["error"]
    assert refused["code"] == "consent"
    assert "merged work has changed this plan" in refused["message"]
    assert "test -e planted.txt" in refused["message"]
    assert (
        "merged work has changed" in program.asked(2, "drill", "--json").json()["error"]["message"]
    )
    program.expect(0, "run", "--headless", "--trust")
    plan.write_text(plan_with("test ! -e 3.txt", s="true"))
    program.expect(0, "run", "--headless")
