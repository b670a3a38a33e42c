"""Whether a run's result is still there, however the project has changed since."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.engine.git import Git
from anabranch.engine.result_presence import result_is_missing
from tests.engine.repositories import make_repository


def a_run_with_result(project: Path, commit: str, branch: str | None = "refs/heads/main") -> State:
    final = SimpleNamespace(commit=commit)
    base = SimpleNamespace(head=None, branch=branch)
    state: Any = SimpleNamespace(points={FINAL_POINT: final}, project=str(project), base=base)
    return cast(State, state)


def test_it_is_there_until_the_repository_is_another_one(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    there = Git(cwd=project).run("rev-parse", "HEAD").text
    assert not result_is_missing(a_run_with_result(project, there))
    assert not result_is_missing(a_run_with_result(project, ""))
    assert result_is_missing(a_run_with_result(project, "1" * len(there)))


def test_a_folder_that_became_a_repository_has_its_result_where_it_was(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    assert not result_is_missing(a_run_with_result(project, "1" * 40, branch=None))


@pytest.mark.parametrize("how", ["gone", "file", "plain", "loop", "long"])
def test_of_a_project_that_cannot_be_asked_nothing_is_known(tmp_path: Path, how: str) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    shutil.rmtree(project)
    if how == "file":
        project.touch()
    elif how == "plain":
        project.mkdir()
    elif how == "loop":
        project.symlink_to(project)
    elif how == "long":
        project = tmp_path / ("x" * 300)
    assert not result_is_missing(a_run_with_result(project, "1" * 40))
