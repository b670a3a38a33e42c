"""What a person has agreed to is kept, and it is known whether merged work has changed a plan."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from anabranch.core.plans.consent import PlanCommand
from anabranch.engine.trusting import OURS, Trust
from tests.engine.repositories import git

CHECK, OTHER = (PlanCommand("verify", "convergence.final", text) for text in ("make", "rm -rf /"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "anabranch.toml", "one")
    return folder


def commit(folder: Path, name: str, text: str, email: str = "me@here") -> None:
    """Commit a file as somebody."""
    (folder / name).write_text(text)
    git(folder, "add", ".")
    by(email, folder, "commit", "-q", "-m", text)


def by(email: str, folder: Path, *arguments: str) -> None:
    """Have git do something as somebody."""
    names = {"GIT_COMMITTER_EMAIL": email, "GIT_COMMITTER_NAME": "x"}
    names |= {"GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_NAME": "x"}
    subprocess.run(["git", *arguments], cwd=folder, env=os.environ | names, check=True)


def test_what_was_agreed_to_is_known_to_the_next_process(project: Path) -> None:
    assert Trust(project).unknown([CHECK, OTHER]) == (CHECK, OTHER)
    Trust(project).allow([CHECK])
    assert Trust(project).unknown([CHECK, OTHER]) == (OTHER,)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"commands": [1]}', b"\xff" * 10])
def test_a_file_that_cannot_be_read_trusts_nothing_and_says_so(
    project: Path, content: bytes
) -> None:
    """And is mended by the next yes."""
    trust = Trust(project)
    trust.allow([CHECK])
    trust._path.write_bytes(content)
    broken = Trust(project)
    assert broken.unknown([CHECK]) == (CHECK,)
    assert "nothing is trusted" in broken.problem
    broken.allow([CHECK])
    assert Trust(project).unknown([CHECK]) == ()
    assert not Trust(project).problem


def test_a_plan_is_asked_about_when_merged_work_has_changed_it(project: Path) -> None:
    """What a person changes in it they have asked for, also after somebody else's changes."""
    plan = project / "anabranch.toml"
    trust = Trust(project)
    assert trust.brought_by_merged_work(plan, [OTHER]) == ()  # it was never run
    trust.allow([CHECK], plan)
    commit(project, "anabranch.toml", "by a person")
    commit(project, "another", "by a stream", OURS)
    assert trust.brought_by_merged_work(plan, [CHECK, OTHER]) == ()
    commit(project, "anabranch.toml", "by a stream", OURS)
    assert trust.brought_by_merged_work(plan, [CHECK, OTHER]) == (OTHER,)
    assert trust.brought_by_merged_work(plan, [CHECK]) == ()
    trust.allow([], plan)
    assert trust.brought_by_merged_work(plan, [OTHER]) == ()


def test_a_merge_of_what_a_stream_has_committed_by_itself_counts(project: Path) -> None:
    plan = project / "anabranch.toml"
    Trust(project).allow([CHECK], plan)
    git(project, "checkout", "-q", "-b", "side")
    commit(project, "anabranch.toml", "two", "agent@there")
    git(project, "checkout", "-q", "main")
    commit(project, "another", "x")
    by(OURS, project, "merge", "-q", "--no-ff", "-m", "x", "side")
    assert Trust(project).brought_by_merged_work(plan, [OTHER]) == (OTHER,)


def test_in_a_folder_without_git_every_change_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    plan = tmp_path / "anabranch.toml"
    Trust(tmp_path).allow([CHECK], plan)
    assert Trust(tmp_path).brought_by_merged_work(plan, [CHECK, OTHER]) == (OTHER,)
