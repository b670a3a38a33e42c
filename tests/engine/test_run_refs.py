"""What of a run's work is kept by the person's own refs: the proof that lets a run go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.git import GitError
from anabranch.engine.workspaces import candidate_ref, keep_ref, partial_ref, result_branch
from anabranch.engine.workspaces.names import decision_ref, made_prefix
from anabranch.engine.workspaces.run_refs import (
    drop_refs,
    refs_of_run,
    unproven,
    where_checked_out,
)
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

ONE = StreamId("one")
OTHER = "20260202-000000-xyz"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = open_project(make_repository(tmp_path / "user", {"a": "a\n"}), tmp_path / "out")
    made.result("one", {"new": "n\n"})
    return made


def lost(project: Project) -> list[str]:
    refs = refs_of_run(project.repo, RUN)
    return [one.ref.rpartition("/")[2] for one in unproven(project.repo, RUN, refs)]


def result(project: Project) -> str:
    return refs_of_run(project.repo, RUN)[f"refs/anabranch/{RUN}/one"]


def commits_alike(project: Project) -> None:
    write(project.user, {"new": "n\n"})
    git(project.user, "add", "-A")
    git(project.user, "commit", "-qm", "the same files")


def commits_it_and_more(project: Project) -> None:
    write(project.user, {"new": "n\n", "more": "m\n"})
    git(project.user, "add", "-A")
    git(project.user, "commit", "-qm", "its file among others")


KEPT: dict[str, Callable[[Project], object]] = {
    "merged": lambda p: git(p.user, "merge", "-q", "--no-edit", result(p)),
    "a branch": lambda p: git(p.user, "branch", "mine", result(p)),
    "a tag": lambda p: git(p.user, "tag", "-m", "t", "mine", result(p)),
    "pushed": lambda p: git(p.user, "update-ref", "refs/remotes/o/main", result(p)),
    "the same files": commits_alike,
    "its files among others": commits_it_and_more,
    "one commit of it": lambda p: (
        git(p.user, "merge", "--squash", "-q", result(p)),
        git(p.user, "commit", "-qm", "squashed"),
    ),
}
NOT_KEPT: dict[str, Callable[[Project], object]] = {
    "nothing": lambda p: None,
    "the run's own branch": lambda p: keep_ref(p.repo, result_branch(RUN), result(p)),
    "another run's": lambda p: git(p.user, "branch", f"anabranch/{OTHER}", result(p)),
    "a detached HEAD": lambda p: git(p.user, "checkout", "-q", result(p)),
    "a stash": lambda p: git(p.user, "update-ref", "refs/stash", result(p)),
    "not committed": lambda p: (p.user / "new").write_text("n\n"),
    "changed since": lambda p: (
        (p.user / "new").write_text("other\n"),
        git(p.user, "add", "-A"),
        git(p.user, "commit", "-qm", "o"),
    ),
}


@pytest.mark.parametrize("way", KEPT)
def test_what_the_persons_refs_lead_to_is_kept(project: Project, way: str) -> None:
    KEPT[way](project)
    assert lost(project) == []


@pytest.mark.parametrize("way", NOT_KEPT)
def test_what_they_do_not_lead_to_would_be_lost(project: Project, way: str) -> None:
    NOT_KEPT[way](project)
    assert lost(project) == ["one"]


def test_every_kind_of_work_counts_and_what_is_derived_does_not(project: Project) -> None:
    """Partial work, a stream's own branches, what settled a conflict; starts and tips do not."""
    git(project.user, "merge", "-q", "--no-edit", result(project))
    workspace = project.workspace("two")
    write(workspace.path, {"half": "h\n"})
    partial = project.capture(workspace).commit
    assert partial is not None
    keep_ref(project.repo, f"refs/anabranch/start/{RUN}/two.1", partial)
    git(project.user, "update-ref", "-d", f"refs/anabranch/{RUN}/two")
    assert lost(project) == []
    keep_ref(project.repo, partial_ref(RUN, StreamId("two"), Attempt(1)), partial)
    keep_ref(project.repo, f"{made_prefix(RUN, ONE, 1)}heads/side", partial)
    write(project.outside, {"text": "settled\n"})
    text = git(project.user, "hash-object", "-w", str(project.outside / "text")).strip()
    keep_ref(project.repo, decision_ref(RUN, text), text)
    found = unproven(project.repo, RUN, refs_of_run(project.repo, RUN))
    assert sorted(one.object for one in found) == sorted({partial, text})


def test_files_that_only_earlier_commits_had_count(project: Project) -> None:
    """The files of a result may be in the history while those of a commit below it are not."""
    git(project.user, "update-ref", "-d", f"refs/anabranch/{RUN}/one")
    workspace = project.workspace("three")
    for content in ("only in between\n", "c\n"):
        write(workspace.path, {"c": content})
        git(workspace.path, "add", "-A")
        git(workspace.path, "commit", "-qm", "c")
    project.capture(workspace)
    write(project.user, {"c": "c\n", "d": "d\n"})
    git(project.user, "add", "-A")
    git(project.user, "commit", "-qm", "c and d")
    assert lost(project) == ["three"]


def test_merged_work_that_changed_the_plan_is_told(project: Project) -> None:
    """By its refs it is known that the plan's commands are not the person's own."""
    workspace = project.workspace("plans")
    write(workspace.path, {"anabranch.toml": "version = 1\n"})
    commit = project.capture(workspace).commit
    assert commit is not None
    keep_ref(project.repo, candidate_ref(RUN, "final"), commit)
    git(project.user, "merge", "-q", "--no-edit", commit)
    assert "final" in lost(project)


def test_a_branch_that_is_checked_out_is_found_anywhere(project: Project, tmp_path: Path) -> None:
    keep_ref(project.repo, result_branch(RUN), result(project))
    assert where_checked_out(project.repo, RUN) is None
    git(project.user, "worktree", "add", "-q", str(tmp_path / "beside"), f"anabranch/{RUN}")
    assert where_checked_out(project.repo, RUN) == str(tmp_path / "beside")


def test_a_ref_that_moved_since_stays_and_all_others_with_it(project: Project) -> None:
    refs = refs_of_run(project.repo, RUN)
    keep_ref(project.repo, f"refs/anabranch/{RUN}/one", project.base.commit)
    with pytest.raises(GitError):
        drop_refs(project.repo, refs)
    assert refs_of_run(project.repo, RUN).keys() == refs.keys()


def test_refs_of_others_are_not_taken_for_its_own(project: Project) -> None:
    """A stream of another run may be called as this run is."""
    keep_ref(project.repo, f"refs/anabranch/{OTHER}/{RUN}", project.base.commit)
    keep_ref(project.repo, f"refs/anabranch/partial/x/{RUN}", project.base.commit)
    git(project.user, "branch", f"anabranch/{RUN}x")
    found = refs_of_run(project.repo, RUN)
    assert not [ref for ref in found if OTHER in ref or "partial/x" in ref or ref.endswith("x")]
