"""A workspace that one stream has left becomes the next one's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces import Standing, capture_result, reclaim_workspace, result_ref
from anabranch.engine.workspaces.direct.capture import capture_directly, captured_index
from anabranch.engine.workspaces.direct.folder_changes import umask
from anabranch.engine.workspaces.direct.taking_over import A_MOMENT_NS, take_over_workspace
from anabranch.engine.workspaces.records import read_record
from anabranch.engine.workspaces.values import Captured, PreparedWorkspace, Reclaimed
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", "d/gone.txt": "gone\n"}
CHANGES: dict[str, str | bytes | None] = {"a.txt": "A\n", "new/c.txt": "c\n", "d/gone.txt": None}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small repository, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def left_by_first(project: Project) -> tuple[PreparedWorkspace, Captured]:
    """What a first stream has left: its workspace, captured without git."""
    workspace = project.workspace("first")
    write(workspace.path, CHANGES)
    result = capture_directly(project.repo, workspace, "first", result_ref(RUN, workspace.stream))
    assert result is not None
    return workspace, result


def take(project: Project, result: Captured, start: Standing) -> PreparedWorkspace | None:
    folder = project.outside / "workspaces" / "second.1"
    left = (result.stream, 1, result.tree)
    return take_over_workspace(project.repo, RUN, StreamId("second"), 1, folder, start, left)


def files_in(folder: Path) -> dict[str, str]:
    paths = (p for p in folder.rglob("*") if p.is_file() and p.name != ".git")
    return {p.relative_to(folder).as_posix(): p.read_text() for p in paths}


def test_the_next_one_finds_what_the_one_before_has_done_and_git_says_nothing(
    project: Project,
) -> None:
    left, result = left_by_first(project)
    taken = take(project, result, result)
    assert taken is not None
    assert files_in(taken.path) == {"a.txt": "A\n", "d/b.txt": "b\n", "new/c.txt": "c\n"}
    assert git(taken.path, "status", "--porcelain") == ""
    assert git(taken.path, "rev-parse", "HEAD").strip() == result.commit
    assert not left.path.exists()
    assert read_record(project.repo, RUN, StreamId("first"), 1) is None
    assert read_record(project.repo, RUN, StreamId("second"), 1) == taken
    assert not captured_index(project.repo, left).exists()


def test_one_that_starts_alike_finds_nothing_of_it(project: Project) -> None:
    _, result = left_by_first(project)
    taken = take(project, result, project.base)
    assert taken is not None
    assert files_in(taken.path) == FILES
    assert git(taken.path, "status", "--porcelain") == ""


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "begins alike"])
def test_its_own_work_is_captured_as_from_a_workspace_of_its_own(
    project: Project, goes_on: bool
) -> None:
    _, result = left_by_first(project)
    start: Standing = result if goes_on else project.base
    taken = take(project, result, start)
    assert taken is not None
    write(taken.path, {"own.txt": "own\n", "d/b.txt": "B\n"})
    direct = capture_directly(project.repo, taken, "m", result_ref(RUN, taken.stream))
    by_git = capture_result(project.repo, RUN, taken.stream, 1, taken, "m", "refs/anabranch/x")
    assert direct is not None
    assert (direct.tree, direct.files_changed) == (by_git.tree, 2)
    assert direct.start_tree == start.tree
    assert reclaim_workspace(project.repo, RUN, taken) == Reclaimed()
    assert not taken.path.exists()


def writes(left: PreparedWorkspace) -> None:
    write(left.path, {"late.txt": "late\n"})


def commits(left: PreparedWorkspace) -> None:
    git(left.path, "add", "-A")
    git(left.path, "commit", "-qm", "late")


def replaces(left: PreparedWorkspace) -> None:
    if left.path.is_mount():
        pytest.skip("nobody can move a mount")
    left.path.rename(left.path.with_name("elsewhere"))
    left.path.mkdir()


def makes_a_link(left: PreparedWorkspace) -> None:
    if left.path.is_mount():
        pytest.skip("nobody can move a mount")
    left.path.rename(left.path.with_name("elsewhere"))
    left.path.symlink_to(left.path.with_name("elsewhere"))


@pytest.mark.parametrize("does", [writes, commits, replaces, makes_a_link])
def test_what_was_touched_since_stays_where_it_is(
    project: Project, does: Callable[[PreparedWorkspace], None]
) -> None:
    left, result = left_by_first(project)
    long_ago = time.time_ns() - 2 * A_MOMENT_NS
    for path in left.path.rglob("*"):
        os.utime(path, ns=(long_ago, long_ago), follow_symlinks=False)
    os.utime(captured_index(project.repo, left), ns=(long_ago, long_ago))
    does(left)
    assert take(project, result, result) is None
    assert read_record(project.repo, RUN, StreamId("first"), 1) == left
    assert os.path.lexists(left.path)


def links(folder: Path) -> None:
    os.link(folder / "a.txt", folder / "same")


def empties(folder: Path) -> None:
    for path in (folder / "d").iterdir():
        path.unlink()


def makes_a_folder(folder: Path) -> None:
    (folder / "none" / "deep").mkdir(parents=True)


def hides_a_file(folder: Path) -> None:
    (folder / "a.txt").chmod(0o600)


def hides_a_folder(folder: Path) -> None:
    (folder / "d").chmod(0o700)


def hides_all(folder: Path) -> None:
    folder.chmod(0o700)


def writes_what_all_may_write(folder: Path) -> None:
    (folder / "open.txt").write_text("open\n")
    (folder / "open.txt").chmod(0o666)


ODD = [links, empties, makes_a_folder, hides_a_file, hides_a_folder, hides_all,
       writes_what_all_may_write]  # fmt: skip


@pytest.mark.parametrize("does", ODD)
def test_what_no_checkout_makes_is_handed_to_nobody(
    project: Project, does: Callable[[Path], None]
) -> None:
    """A result does not hold it, so whoever goes on would find what is not in any result."""
    workspace = project.workspace("first")
    does(workspace.path)
    result = capture_directly(project.repo, workspace, "first", result_ref(RUN, workspace.stream))
    assert result is not None
    assert take(project, result, result) is None
    assert workspace.path.is_dir()


def test_what_it_calls_the_umask_is_that(project: Project) -> None:
    known = os.umask(0o022)
    os.umask(known)
    assert umask() == known


def test_where_something_stands_already_nothing_is_moved(project: Project) -> None:
    left, result = left_by_first(project)
    (project.outside / "workspaces" / "second.1").mkdir()
    assert take(project, result, result) is None
    assert left.path.is_dir()


def test_one_that_starts_from_something_else_gets_its_own(project: Project) -> None:
    left, result = left_by_first(project)
    other = project.result("other", {"o": "o\n"})
    assert take(project, result, other) is None
    assert left.path.is_dir()


def test_a_capture_by_git_leaves_nothing_to_be_taken_over(project: Project) -> None:
    result = project.result("first", CHANGES)
    assert take(project, result, result) is None
