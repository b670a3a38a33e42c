"""Caches grow old: what is unused goes, what a workspace stands on or may stand on stays."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.caches import LEAST_AGE_SECONDS, MARKED_FRESH_SECONDS, Aged
from anabranch.engine.workspaces.ageing import forget_old, why_kept
from anabranch.engine.workspaces.layers.bases import FrozenBase, frozen_base
from anabranch.engine.workspaces.reclaiming import reclaim_workspace
from anabranch.engine.workspaces.records import record_path
from tests.engine.conftest import methods_here
from tests.engine.repositories import RUN, Project, make_repository, open_project, write

DAY = 86_400.0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(make_repository(tmp_path / "user", {"a": "a\n"}), tmp_path / "out")


def base_of(project: Project) -> FrozenBase:
    made = frozen_base(project.repo, RUN, project.base.tree)
    assert made is not None
    return made


def frozen(project: Project, days: float = 20.0) -> Path:
    """A frozen checkout of the base that was used last so long ago."""
    folder = base_of(project).files.parent
    then = time.time() - days * DAY
    os.utime(folder, (then, then))
    return folder


def forgotten(project: Project, days: float = 14.0, *, is_rehearsal: bool = False) -> list[Aged]:
    return forget_old(project.repo.store, days * DAY, is_rehearsal=is_rehearsal)


def test_what_is_old_goes_and_is_made_again(project: Project) -> None:
    base = frozen(project)
    (found,) = forgotten(project, is_rehearsal=True)
    assert (found.outcome, found.kind, base.is_dir()) == ("found", "frozen checkouts", True)
    assert found.bytes > 0
    (gone,) = forgotten(project)
    assert (gone.outcome, base.exists(), forgotten(project)) == ("removed", False, [])
    assert (base_of(project).files / "a").read_text() == "a\n"


def test_what_was_used_of_late_stays_whatever_is_asked(project: Project) -> None:
    """It may be below a workspace that is being made; to use it is to make it young again."""
    frozen(project, days=5)
    (kept,) = forgotten(project)
    assert (kept.outcome, kept.reason) == ("kept", "used 5d ago")
    frozen_base(project.repo, RUN, project.base.tree)
    (kept,) = forgotten(project, days=0.0)
    assert (kept.outcome, kept.reason) == ("kept", "used 0s ago")
    assert MARKED_FRESH_SECONDS < LEAST_AGE_SECONDS  # else it could go between a look and its mark


@pytest.mark.parametrize("workspace_method", ["overlay"], indirect=True)
def test_what_a_workspace_stands_on_stays_until_that_is_gone(
    project: Project, workspace_method: WorkspaceMethod
) -> None:
    if workspace_method not in methods_here():
        pytest.skip("no layers here")
    workspace = project.workspace("one")
    write(workspace.path, {"new": "n\n"})
    base = frozen(project)
    (kept,) = forgotten(project)
    assert (kept.outcome, kept.reason) == ("kept", "a workspace stands on it")
    assert (workspace.path / "a").read_text() == "a\n"
    project.capture(workspace)
    reclaim_workspace(project.repo, RUN, workspace)
    assert [one.outcome for one in forgotten(project)] == ["removed"]
    assert not base.exists()


def test_what_a_run_that_goes_on_needs_stays(project: Project) -> None:
    base = frozen(project)
    (kept,) = forget_old(project.repo.store, 14 * DAY, {base.name})
    assert (kept.outcome, kept.reason) == ("kept", "a run that goes on needs it")


def test_what_is_being_made_stays_and_what_nobody_finished_goes(project: Project) -> None:
    """Results of setups are copied for minutes under another name, without the lock."""
    base = frozen(project)
    for name in (".made.1", ".left.2"):
        (base.with_name(name) / "tree").mkdir(parents=True)
    then = time.time() - 2 * DAY
    os.utime(base.with_name(".left.2"), (then, then))
    forgotten(project, is_rehearsal=True)
    assert base.with_name(".left.2").exists()
    forgotten(project)
    assert (base.with_name(".made.1").exists(), base.with_name(".left.2").exists()) == (True, False)


def test_nothing_goes_while_a_record_cannot_be_read(project: Project) -> None:
    frozen(project)
    workspace = project.workspace("one")
    note = record_path(project.repo, RUN, workspace.stream, workspace.attempt)
    note.write_bytes(b"{half")
    (kept,) = forgotten(project)
    assert kept.reason.startswith("what stands on it is not known: ")


def test_a_kill_in_between_leaves_no_half_checkout(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is half deleted has another name, and goes the next time."""
    base, whole = frozen(project), shutil.rmtree

    def killed(path: Path, **_: object) -> NoReturn:
        (path / "files" / "a").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        forgotten(project)
    monkeypatch.setattr(shutil, "rmtree", whole)
    assert (base_of(project).files / "a").is_file()
    forgotten(project)
    assert [path.name for path in base.parent.iterdir() if path.is_dir()] == [base.name]


names = st.text("ab", min_size=1, max_size=2)
ages = st.floats(0, 100 * DAY)


@given(names, ages, ages, st.frozensets(names))
def test_only_what_is_old_and_below_nothing_goes(
    name: str, idle: float, older_than: float, below: frozenset[str]
) -> None:
    def goes(unreadable: str) -> bool:
        return not why_kept(name, idle, older_than, below, unreadable)

    is_old = idle >= older_than and idle >= LEAST_AGE_SECONDS
    assert goes("") == (is_old and name not in below)
    assert not goes("a record")
