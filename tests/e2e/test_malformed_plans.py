"""Malformed plans through the command line: where, what and what to do; and nothing is created."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program

PLANS = sorted((Path(__file__).parents[1] / "fixtures" / "malformed_plans").glob("*.toml"))
BY_PROCESS = PLANS[:: max(1, len(PLANS) // 5)][:5]
ERROR_KEYS = {"file", "line", "key", "message", "hint"}


def put(program: Program, plan: Path) -> Path:
    """Make a malformed plan the project's own."""
    return Path(shutil.copy(plan, program.project / "anabranch.toml"))


def everything(program: Program) -> list[Path]:
    """Return every path in the project, and any under the state folder."""
    return sorted([*program.project.rglob("*"), *program.state_home.rglob("*")])


def assert_position(text: str) -> None:
    """Check that each error names file, line and column, and that a hint or cause follows."""
    assert re.search(r"anabranch\.toml:\d+:\d+: \S", text), text
    assert re.search(r"^\d+ errors?$", text, re.MULTILINE), text


def assert_errors(found: dict[str, Any]) -> None:
    """Check that the errors are in the contract's shape."""
    assert found["schema"] == 1
    assert found["errors"]
    for error in found["errors"]:
        assert error.keys() >= ERROR_KEYS
        assert isinstance(error["line"], int)
        assert error["line"] >= 1
        assert error["message"]


def test_there_are_enough_of_them() -> None:
    """Forty are promised."""
    assert len(PLANS) >= 40


@pytest.fixture
def folder(tmp_path: Path) -> Program:
    """Give the program in a folder that holds nothing; quicker to make than a repository."""
    (tmp_path / "project").mkdir()
    return Program(tmp_path / "project", tmp_path / "state", tmp_path / "scratch")


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_a_malformed_plan_is_explained_and_creates_nothing(folder: Program, plan: Path) -> None:
    """``run`` and ``check`` exit 2 and say where, to people and programs, and leave no trace."""
    put(folder, plan)
    before = everything(folder)
    for command in ("run", "check"):
        answer = folder.asked(2, command)
        assert answer.out == ""
        assert_position(answer.err)
        assert "\x1b" not in answer.err
        assert_errors(folder.asked(2, command, "--json").json())
    assert everything(folder) == before


@pytest.mark.parametrize("plan", BY_PROCESS, ids=lambda path: path.stem)
def test_the_real_program_says_the_same(program: Program, plan: Path) -> None:
    """As a process of its own: exit 2, position on stderr, nothing created."""
    put(program, plan)
    before = everything(program)
    answer = program.expect(2, "run", "--headless")
    assert_position(answer.err)
    assert answer.out == ""
    assert everything(program) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "anabranch.toml"),
        (["check", "nowhere.toml"], "nowhere.toml"),
        (["run", "."], "."),
        (["run", "--max-parallel", "0"], "max-parallel"),
        (["run", "--time-limit", "soon"], "duration"),
        (["run", "--time-limit", "0"], "longer than 0"),
        (["run", "anabranch.toml", "--", "true"], "not both"),
        (["run", "--"], "command"),
        (["run", "--", ""], ""),
        (["rnu"], "did you mean 'run'?"),
        (["status"], "no runs"),
        (["status", "nothing"], "no run 'nothing'"),
        (["resume"], "no runs"),
        (["stop"], "no runs"),
        (["report"], "no runs"),
        (["report", "--format", "xml"], "xml"),
        (["events"], "no runs"),
        (["-C", "/nowhere/at/all", "runs"], "/nowhere/at/all"),
        (["console"], "terminal"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_with_words(
    program: Program, arguments: list[str], words: str
) -> None:
    """Exit 2, a sentence on stderr, an object on stdout under ``--json``, and nothing created."""
    before = everything(program)
    answer = program.asked(2, *arguments)
    assert words in answer.err
    assert answer.out == ""
    assert everything(program) == before


def test_an_error_under_json_is_an_object(program: Program) -> None:
    """The contract's shape, for every command that takes ``--json``."""
    for command in ("status", "streams", "events", "report", "resume"):
        error = program.asked(2, command, "--json").json()["error"]
        assert error.keys() >= {"code", "message", "hint"}
        assert error["message"]
    put(program, BY_PROCESS[0])
    (line,) = program.asked(2, "run", "--json").json_lines()
    assert line["error"]["code"] == "plan"
    assert f"{line['errors'][0]['line']}: " in line["error"]["message"]
    usage = program.asked(2, "status", "--json", "--nonsense").json()["error"]
    assert usage["code"] == "usage"
