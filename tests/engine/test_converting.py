"""Line ends that git changes by itself are nobody's work; what a stream changed is its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces import count_changes, merge_trees
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, pairs, write

CRLF = "".join(f"line {n}\r\n" for n in range(20))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A file with CRLF was committed before the attribute that takes it out."""
    user = make_repository(tmp_path / "user", {"w.txt": CRLF, "plain": "x\r\n"})
    write(user, {".gitattributes": "*.txt text\n"})
    git(user, "add", ".gitattributes")
    git(user, "commit", "-qm", "attributes")
    return open_project(user, tmp_path / "out")


def nothing(place: Path) -> None:
    pass


def touched(place: Path) -> None:
    os.utime(place / "w.txt", (1, 1))


def written_back(place: Path) -> None:
    write(place, {"w.txt": CRLF})


def with_lf(place: Path) -> None:
    write(place, {"w.txt": CRLF.replace("\r", "")})


@pytest.mark.parametrize("work", [nothing, touched, written_back, with_lf])
def test_what_git_alone_changes_is_no_work(work: Callable[[Path], None], project: Project) -> None:
    """Neither in the result nor in the figure; and it stands in nobody's way."""
    workspace = project.workspace("idle")
    work(workspace.path)
    assert count_changes(project.repo, RUN, StreamId("idle"), 1) == 0
    idle = project.capture(workspace)
    assert (idle.files_changed, idle.tree) == (0, project.base.tree)
    editor = project.result("editor", {"w.txt": CRLF.replace("line 5", "five"), "new": "n\n"})
    assert editor.files_changed == 2
    outcome = merge_trees(
        project.repo, RUN, project.base, pairs(idle, editor), message="m", stop_early=True
    )
    assert not outcome.conflicts
    assert "five" in project.content(outcome.commit, "w.txt")


def test_what_a_stream_has_committed_is_its_work(project: Project) -> None:
    """To mend the line ends can be what it was there for."""
    workspace = project.workspace("mender")
    git(workspace.path, "add", "--renormalize", ".")
    git(workspace.path, "commit", "-qm", "line ends")
    result = project.capture(workspace)
    assert project.content(result.commit, "w.txt") == CRLF.replace("\r", "")


def test_another_mode_is_work(project: Project) -> None:
    workspace = project.workspace("one")
    (workspace.path / "w.txt").chmod(0o755)
    result = project.capture(workspace)
    assert result.files_changed == 1
    before = project.files_of(project.base.commit)["w.txt"]
    assert project.files_of(result.commit)["w.txt"] == before.replace("100644", "100755")


def test_such_files_are_named_when_a_workspace_is_made(project: Project) -> None:
    """And only where git would really change them."""
    text = " ".join(project.workspace("one").warnings)
    assert "line ends of files that nobody touches: w.txt" in text
    assert "plain" not in text
