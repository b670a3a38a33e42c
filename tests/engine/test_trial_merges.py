"""Merging on trial: what running streams have written, merged into nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream, Workspace
from anabranch.engine.workspaces import Captured, PreparedWorkspace
from anabranch.engine.workspaces.trial import Side, Trial, Trials
from tests.engine.repositories import (
    FAR_LINES,
    RUN,
    Project,
    git,
    make_repository,
    open_project,
    write,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a file of many lines and a few others."""
    user = make_repository(
        tmp_path / "user", {"a.txt": FAR_LINES, "b.txt": "b\n", "d/c.txt": "c\n"}
    )
    return open_project(user, tmp_path / "outside")


@pytest.fixture
def trials(project: Project) -> Iterator[Trials]:
    """Trials in the project's run."""
    trials = Trials(project.repo, RUN)
    yield trials
    trials.close()


def running(workspace: PreparedWorkspace) -> Stream:
    """Return a stream that runs in a workspace."""
    at = Workspace(str(workspace.path), workspace.start_commit, workspace.start_tree)
    return Stream(
        workspace.stream, Phase.RUNNING, 0.0, 1, "runs", attempt=workspace.attempt, workspace=at
    )


def side(trials: Trials, workspace: PreparedWorkspace) -> Side:
    found = trials.side_of(running(workspace))
    assert found is not None
    return found


def of_result(result: Captured) -> Side:
    return Side(result.stream, result.tree, result.start_commit, result.start_tree)


def test_work_that_nobody_has_committed_is_compared(project: Project, trials: Trials) -> None:
    """The same line is a conflict with its blobs; far lines and the undone change are none."""
    one, two = project.workspace("one"), project.workspace("two")
    write(one.path, {"a.txt": FAR_LINES.replace("line 3\n", "by one\n")})
    write(two.path, {"a.txt": FAR_LINES.replace("line 3\n", "by two\n")})
    found = trials.merge(side(trials, one), side(trials, two))
    assert not isinstance(found, Trial)
    (path,) = found
    assert (path.path, path.kind) == ("a.txt", "contents")
    write(two.path, {"a.txt": FAR_LINES.replace("line 30\n", "by two\n")})
    assert trials.merge(side(trials, one), side(trials, two)) is Trial.CLEAN
    write(two.path, {"a.txt": FAR_LINES})
    assert trials.merge(side(trials, one), side(trials, two)) is Trial.CLEAN


@pytest.mark.parametrize("kind", ["isolated", "clone"])
def test_a_trial_leaves_nothing_and_a_capture_after_it_is_whole(
    project: Project, trials: Trials, kind: str
) -> None:
    """No object, index or ref of the repository's; what a capture needs is written by it."""
    one = project.workspace("one", kind="clone" if kind == "clone" else "isolated")
    two = project.workspace("two")
    objects = git(project.user, "count-objects", "-v")
    refs = git(project.user, "for-each-ref")
    index = (one.git_dir or Path()).joinpath("index").read_bytes()
    write(one.path, {"new.txt": "only here\n", "a.txt": "1\n"})
    write(two.path, {"a.txt": "2\n"})
    assert not isinstance(trials.merge(side(trials, one), side(trials, two)), Trial)
    assert git(project.user, "count-objects", "-v") == objects
    assert git(project.user, "for-each-ref") == refs
    assert (one.git_dir or Path()).joinpath("index").read_bytes() == index
    captured = project.capture(one)
    trials.close()
    assert project.content(captured.commit, "new.txt") == "only here\n"
    git(project.user, "fsck", "--strict", "--connectivity-only", captured.commit)


def test_what_a_clone_has_committed_is_compared_too(project: Project, trials: Trials) -> None:
    """Its objects lie in a store of its own, and stay there."""
    one, two = project.workspace("one", kind="clone"), project.workspace("two", kind="clone")
    for workspace, text in ((one, "1\n"), (two, "2\n")):
        write(workspace.path, {"a.txt": text, f"{text.strip()}.txt": "committed\n"})
        git(workspace.path, "add", "-A")
        git(workspace.path, "commit", "-q", "-m", "own")
    objects = git(project.user, "count-objects", "-v")
    sides = side(trials, one), side(trials, two)
    assert set(trials.paths(sides[0])) == {"a.txt", "1.txt"}
    found = trials.merge(*sides)
    assert not isinstance(found, Trial)
    assert [p.path for p in found] == ["a.txt"]
    assert git(project.user, "count-objects", "-v") == objects


def test_streams_that_start_from_different_trees_are_compared_fairly(
    project: Project, trials: Trials
) -> None:
    """What a third stream brought is neither one's change, nor missing on the other side."""
    third = project.result("third", {"b.txt": "third\n", "d/c.txt": "third\n"})
    one = project.result("one", {"a.txt": "one\n"})
    built = project.result("built", {"b.txt": "built on third\n"}, third)
    clash = project.result("clash", {"a.txt": "clash\n"}, third)
    assert trials.merge(of_result(one), of_result(built)) is Trial.CLEAN
    assert trials.merge(of_result(built), of_result(one)) is Trial.CLEAN
    found = trials.merge(of_result(one), of_result(clash))
    assert not isinstance(found, Trial)
    assert [p.path for p in found] == ["a.txt"]


def test_what_is_in_the_way_of_a_third_stream_is_not_said_of_the_second(
    project: Project, trials: Trials
) -> None:
    """Only the other's own change counts; where it cannot be told apart, nothing is said."""
    third = project.result("third", {"a.txt": "third\n", "b.txt": "third\n"})
    one = project.result("one", {"a.txt": "one\n"})
    built = project.result("built", {"new.txt": "built on third\n"}, third)
    assert trials.merge(of_result(one), of_result(built)) is Trial.CLEAN
    upon = project.result("upon", {"b.txt": "upon what third wrote\n"}, third)
    assert trials.merge(of_result(one), of_result(upon)) is Trial.NOT_POSSIBLE


def test_a_workspace_that_cannot_be_read_says_nothing(project: Project, trials: Trials) -> None:
    """It is no conflict, and no agreement either."""
    one = project.workspace("one")
    gone = running(one)
    git_dir = one.git_dir
    assert git_dir is not None
    git_dir.rename(git_dir.with_name("moved"))
    assert trials.side_of(gone) is None
    nobody = Stream(StreamId("nobody"), Phase.RUNNING, 0.0, 1, "runs", attempt=1)
    assert trials.side_of(nobody) is None
    missing = Side(StreamId("x"), "1" * 40, project.base.commit, project.base.tree)
    other = Side(StreamId("y"), "2" * 40, project.base.commit, project.base.tree)
    assert trials.merge(missing, other) is Trial.NOT_POSSIBLE
