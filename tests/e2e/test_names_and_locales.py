"""Names and signs of every kind, where they leave and where they enter."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.engine.repositories import git, make_repository

PLAN = {
    "s": {
        "command": "echo 'é → 中' | tee '中 é.txt'; ab-stream state set k '\"中\"'",
        "writes": ["中*"],
    }
}
LATIN = "en_US.ISO-8859-1"


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Give a maker of programs in a project of a given name."""
    made: list[Program] = []

    def make(name: str) -> Program:
        project = make_repository(tmp_path / name, {"a.txt": "a\n"})
        made.append(Program(project, tmp_path / "state", tmp_path / "scratch"))
        return made[-1]

    yield make
    for program in made:
        program.end_everything()


def locale_settings(folder: Path, name: str) -> dict[str, str]:
    """Return the variables for a locale; one that this machine lacks is made in a folder."""
    if name != LATIN:
        return {"LC_ALL": name, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here")
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / LATIN)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("this machine has no sources of locales")
    return {"LC_ALL": LATIN, "LOCPATH": str(folder)}


@pytest.mark.parametrize("name", ["line\nbreak", "ends in one\n", " -é中\t'\""])
def test_a_project_of_any_name_that_is_text(in_folder: Callable[[str], Program], name: str) -> None:
    """From its start to its result and the clean-up."""
    program = in_folder(name)
    program.plan(PLAN)
    program.expect(0, "run", "--headless", "--approve")
    assert "中 é.txt" in os.listdir(program.project)
    assert program.status()["state"] == "converged"
    program.expect(0, "gc")


def test_a_project_whose_name_is_no_text_is_refused_and_nothing_is_made(
    in_folder: Callable[[str], Program],
) -> None:
    program = in_folder(os.fsdecode(b"caf\xe9"))
    answer = program.expect(2, "run", "--headless", "--", "true")
    assert "caf\\xe9 is not UTF-8" in answer.err
    assert not program.run_folders()


@pytest.mark.parametrize("name", ["C", LATIN])
def test_names_are_the_same_files_in_every_locale(
    in_folder: Callable[[str], Program], tmp_path: Path, name: str
) -> None:
    """What is printed has the locale's signs; files, state and streams' settings do not change."""
    program = in_folder("project")
    program.plan(PLAN, name="é → plan")
    settings = locale_settings(tmp_path, name)
    for arguments in (["run", "--headless", "--approve"], ["events"], ["logs"]):
        answer = program.begin(*arguments, **settings).wait()
        assert answer.code == 0, (arguments, answer)
        assert "Traceback" not in answer.err
    listed = git(program.project, "-c", "core.quotePath=false", "ls-files")
    assert "中 é.txt" in listed.split("\n")
    assert program.expect(0, "state", "get", "k").out == '"中"\n'


def test_a_file_whose_name_is_no_text_is_shown_and_kept(program: Program) -> None:
    """Its conflict is told with visible bytes, in text, JSON and JUnit."""
    write = 'echo $ANABRANCH_STREAM > "$(printf "n\\376")"'
    program.plan({"a": write, "b": write})
    program.expect(4, "run", "--headless")
    assert "n\\xfe" in program.asked(0, "conflicts").out
    (conflict,) = program.asked(0, "conflicts", "--json").json()["conflicts"]
    assert conflict["paths"][0]["path"] == "n\\xfe"
    assert "conflicts: n\\xfe" in program.asked(0, "report", "--format", "junit").out
