"""The figure of changed files: what a capture finds, or marked as an estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream, Workspace
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.change_counter import ChangeCounter
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.engine.workspaces import PreparedWorkspace, count_changes
from anabranch.engine.workspaces.repository import run_folder
from anabranch.testing import stream as stream_plan
from tests.core.given import given
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

S = StreamId("one")
KINDS: tuple[WorkspaceKind, ...] = ("isolated", "clone")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    files: dict[str, str | bytes | None] = {"a": "a\n", "b": "b\n", "d/c": "c\n"}
    files[".gitignore"] = "*.o\nbuild/\n"
    return open_project(make_repository(tmp_path / "user", files), tmp_path / "out")


def nothing(place: Path) -> None:
    pass


def some_of_all(place: Path) -> None:
    write(place, {"a": "changed\n", "b": None, "new": "n\n", "x.o": "o\n", "build/y": "y\n"})


def put_back(place: Path) -> None:
    write(place, {"a": "changed\n", "t": "t\n"})
    write(place, {"a": "a\n", "t": None})


def committed(place: Path) -> None:
    write(place, {"a": "changed\n", "new": "n\n"})
    git(place, "add", "-A")
    git(place, "commit", "-qm", "own")
    write(place, {"b": "changed\n"})


def staged(place: Path) -> None:
    write(place, {"a": "staged\n", "x.o": "o\n"})
    git(place, "add", "-f", "a", "x.o")
    write(place, {"a": "a\n"})


def untracked(place: Path) -> None:
    write(place, {".gitignore": "*.o\nbuild/\na\n"})
    git(place, "rm", "-q", "--cached", "a", "b")


def hidden(place: Path) -> None:
    git(place, "update-index", "--assume-unchanged", "a")
    git(place, "update-index", "--skip-worktree", "b")
    write(place, {"a": "hidden\n", "b": "hidden\n"})


def renamed(place: Path) -> None:
    git(place, "mv", "a", "moved")


def folder_for_file(place: Path) -> None:
    write(place, {"b": None})
    write(place, {"b/inside": "x\n"})


def mode_only(place: Path) -> None:
    (place / "a").chmod(0o755)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("work", "files"),
    [
        *((nothing, 0), (some_of_all, 3), (put_back, 0), (committed, 3), (staged, 1)),
        *((untracked, 2), (hidden, 2)),
        *((renamed, 2), (folder_for_file, 2), (mode_only, 1)),
    ],
)
def test_what_is_counted_is_what_a_capture_finds(
    work: Callable[[Path], None], files: int, kind: WorkspaceKind, project: Project
) -> None:
    """Before and after a capture; and counting leaves the capture what it would have been."""
    workspace = project.workspace("one", kind=kind)
    work(workspace.path)
    counts = [count_changes(project.repo, RUN, S, 1) for _ in range(2)]
    result = project.capture(workspace)
    assert [*counts, result.files_changed] == [files] * 3
    assert count_changes(project.repo, RUN, S, 1) == files


@pytest.fixture
def watcher() -> Iterator[WorkspaceWatcher]:
    watcher = WorkspaceWatcher()
    yield watcher
    watcher.close()


def running(workspace: PreparedWorkspace) -> State:
    """A state in which the stream of a workspace runs."""
    run = given(stream_plan(S))
    run.run(S)
    known = Workspace(str(workspace.path), workspace.start_commit, workspace.start_tree)
    stream: Stream = replace(run.state.streams[S], workspace=known)
    assert stream.phase is Phase.RUNNING
    return replace(run.state, run=RUN, streams=run.state.streams.insert(S, stream))


def test_a_figure_is_an_estimate_until_git_has_counted(
    project: Project, watcher: WorkspaceWatcher
) -> None:
    """Also for what was written before anybody watched."""
    workspace = project.workspace("one")
    some_of_all(workspace.path)
    counter = ChangeCounter(project.repo, watcher, round_seconds=3600.0)
    watcher.watch(S, workspace.path)
    assert counter.files_changed(S, 1) == (0, True)
    counter._state, counter._due = running(workspace), {S: (1, watcher.change_stamp(S))}
    counter.round()
    assert counter.files_changed(S, 1) == (3, False)
    assert counter.files_changed(S, 2)[1], "another attempt has another workspace"
    counter.close()
    assert not list((run_folder(project.repo, RUN) / "index").glob("*.count-*"))
