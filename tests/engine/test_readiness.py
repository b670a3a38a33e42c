"""What would stand in the way of a result is seen before a run begins, and nothing is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.ids import RunId, StreamId
from anabranch.core.plans.plan import Dependency, Plan, PointPlan, StreamPlan
from anabranch.engine.preflight import look_around, require_ready
from anabranch.engine.workspaces import look_ahead, readiness, why_not_approve, why_not_begin
from anabranch.errors import DiskFull, LossRefused, UsageError
from tests.e2e.checkouts import likeness
from tests.engine.repositories import Project, git, make_repository, open_project, write

NEXT = RunId("20260102-000000-abc")


def plan(working_dir: str = ".", include_uncommitted: bool = False, **facts: Any) -> Plan:
    stream = StreamPlan(StreamId("one"), ("true",), "true", working_dir=working_dir, **facts)
    points = (PointPlan("final", streams=(stream.id,)),)  # type: ignore[arg-type]
    return Plan("plan", (stream,), points, 1, include_uncommitted=include_uncommitted)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository, opened."""
    return open_project(make_repository(tmp_path / "user", {"a.txt": "a\n"}), tmp_path / "out")


def test_a_project_that_is_ready_is_left_as_it_was(project: Project) -> None:
    """Nothing to tell, nothing refused, and no byte of the checkout or of .git is other."""
    write(project.user, {"untracked": "x\n"})
    before = likeness(project.user)
    outlook = look_ahead(project.repo, NEXT)
    assert outlook.is_clear
    assert list(why_not_begin(project.repo, NEXT, outlook)) == []
    assert list(why_not_approve(project.repo, False, outlook)) == []
    assert require_ready(project.repo, NEXT, plan(), False) == ()
    assert likeness(project.user) == before


def test_a_repository_without_any_commit_is_ready(tmp_path: Path) -> None:
    """No branch can be tried there, and none stands in the way."""
    (tmp_path / "user").mkdir()
    git(tmp_path / "user", "init", "-q", "-b", "main")
    repo = open_project(tmp_path / "user", tmp_path / "out").repo
    require_ready(repo, NEXT, plan(), True)


def branch_of_that_name(user: Path) -> None:
    git(user, "branch", "anabranch")


def lock_on_the_results_branch(user: Path) -> None:
    write(user, {f".git/refs/heads/anabranch/{NEXT}.lock": ""})


def lock_on_the_base(user: Path) -> None:
    write(user, {f".git/refs/anabranch/base/{NEXT}.lock": ""})


def ref_in_the_way(user: Path) -> None:
    git(user, "update-ref", "refs/anabranch", "HEAD")


@pytest.mark.parametrize(
    "spoil", [branch_of_that_name, lock_on_the_results_branch, lock_on_the_base, ref_in_the_way]
)
def test_what_keeps_a_result_from_standing_is_refused_at_once(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    """With and without an approval, and with the way out."""
    user = make_repository(tmp_path / "user", {"a.txt": "a\n"})
    project = open_project(user, tmp_path / "out")
    for ref in git(user, "for-each-ref", "--format=%(refname)", "refs/anabranch").split():
        git(user, "update-ref", "-d", ref)
    spoil(user)
    with pytest.raises(UsageError) as caught:
        require_ready(project.repo, NEXT, plan(), False)
    assert caught.value.hint


def detached(user: Path) -> None:
    git(user, "switch", "-q", "--detach")


def test_a_detached_head_is_told_where_it_matters(project: Project) -> None:
    """The result stands on its own branch, so the run is not in vain: it is told, not refused."""
    detached(project.user)
    assert require_ready(project.repo, NEXT, plan(), False) == ()
    (found,) = require_ready(project.repo, NEXT, plan(), True)
    assert "HEAD is detached" in found


def elsewhere(user: Path) -> None:
    git(user, "worktree", "add", "-q", "-f", str(user.parent / "other"), "main")


def locked_index(user: Path) -> None:
    write(user, {".git/index.lock": ""})


def locked_branch(user: Path) -> None:
    write(user, {".git/refs/heads/main.lock": ""})


def in_a_merge(user: Path) -> None:
    git(user, "switch", "-q", "-c", "side")
    write(user, {"a.txt": "side\n"})
    git(user, "commit", "-qam", "side")
    git(user, "switch", "-q", "main")
    write(user, {"a.txt": "main\n"})
    git(user, "commit", "-qam", "main")
    git(user, "merge", "side", check=False)


def unmerged_only(user: Path) -> None:
    in_a_merge(user)
    for name in ("MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE"):
        (user / ".git" / name).unlink(missing_ok=True)


def uncommitted(user: Path) -> None:
    write(user, {"a.txt": "mine\n"})


def staged(user: Path) -> None:
    write(user, {"a.txt": "mine\n"})
    git(user, "add", "-A")


HINDRANCES: dict[Callable[[Path], None], str] = {
    elsewhere: "is checked out in",
    locked_index: "index.lock exists",
    locked_branch: "main cannot be moved",
    in_a_merge: "a merge is in progress",
    unmerged_only: "unresolved conflicts: a.txt",
    uncommitted: "uncommitted changes: a.txt",
    staged: "uncommitted changes: a.txt",
}


@pytest.mark.parametrize("spoil", HINDRANCES, ids=lambda spoil: spoil.__name__)
def test_what_an_approval_would_fail_of_is_seen_before_anything_runs(
    spoil: Callable[[Path], None], project: Project
) -> None:
    """With --approve it is refused; without, a run may begin, and is told of it."""
    words = HINDRANCES[spoil]
    spoil(project.user)
    before = likeness(project.user)
    with pytest.raises(LossRefused) as caught:
        require_ready(project.repo, NEXT, plan(), True)
    assert words in caught.value.message
    assert caught.value.hint
    text = " ".join(require_ready(project.repo, NEXT, plan(), False))
    assert (words in text) is ("uncommitted" not in words)
    assert likeness(project.user) == before


def test_uncommitted_work_that_is_part_of_the_run_is_no_hindrance(project: Project) -> None:
    uncommitted(project.user)
    require_ready(project.repo, NEXT, plan(include_uncommitted=True), True)


@pytest.mark.parametrize("prefix", ["", "new"])
def test_a_folder_that_is_not_committed_is_named_with_the_way_out(
    prefix: str, project: Project, tmp_path: Path
) -> None:
    """The plan's own folder, or one that a stream works in: no workspace would have it."""
    write(project.user, {"new/x": "x\n"})
    repo = open_project(project.user / prefix, tmp_path / "out").repo
    found = [f.code for f in look_around(repo, plan("." if prefix else "new"), {})]
    assert found == ["cannot-begin"]
    with pytest.raises(UsageError) as caught:
        require_ready(repo, NEXT, plan("." if prefix else "new"), False)
    assert "include_uncommitted" in caught.value.hint
    require_ready(repo, NEXT, plan("." if prefix else "new", include_uncommitted=True), False)


def test_a_folder_that_nobody_has_is_refused_unless_somebody_may_make_it(project: Project) -> None:
    """It would be found out when the stream is to start, after the others have worked."""
    with pytest.raises(UsageError, match="there is no folder made-by-nobody"):
        require_ready(project.repo, NEXT, plan("made-by-nobody"), False)
    with pytest.raises(UsageError, match=r"there is no folder a\.txt"):
        require_ready(project.repo, NEXT, plan("a.txt"), False)
    before = (Dependency(StreamId("before"), "succeeded"),)
    require_ready(project.repo, NEXT, plan("made-before", depends_on=before), False)
    require_ready(project.repo, NEXT, plan("made-by-nobody", optional=True), False)


def test_a_folder_that_git_ignores_is_in_no_workspace(project: Project) -> None:
    """Whatever of the checkout is in the run besides."""
    write(project.user, {".gitignore": "out/\n", "out/x": "x\n", "new/x": "x\n"})
    require_ready(project.repo, NEXT, plan("new", include_uncommitted=True), False)
    with pytest.raises(UsageError, match="git does not ignore"):
        require_ready(project.repo, NEXT, plan("out", include_uncommitted=True), False)


@pytest.mark.parametrize("include_uncommitted", [False, True])
def test_a_folder_behind_a_link_or_in_a_submodule_is_one(
    include_uncommitted: bool, project: Project, tmp_path: Path
) -> None:
    """It is there in the workspace as it is in the checkout."""
    user = project.user
    write(user, {"deep/er/x": "x\n"})
    (user / "link").symlink_to("deep")
    (user / "deep" / "self").symlink_to("../deep")
    other = make_repository(tmp_path / "other", {"in/s.txt": "s\n"})
    git(user, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    git(user, "add", "-A")
    git(user, "commit", "-q", "-m", "all of it")
    for folder in ("deep", "link", "link/er", "deep/self/self/er", "sub", "sub/in"):
        require_ready(project.repo, NEXT, plan(folder, include_uncommitted), False)


def test_a_disk_without_room_for_one_workspace_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PLENTY_BYTES", 1 << 60)
    monkeypatch.setattr(readiness, "SPARE_BYTES", 1 << 59)
    with pytest.raises(DiskFull) as caught:
        require_ready(project.repo, NEXT, plan(), False)
    assert "MB are left" in caught.value.message
