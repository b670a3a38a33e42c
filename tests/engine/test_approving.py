"""Approval: the user's branch and files move as one, or nothing does and the reason is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.model.outcome import Refusal
from anabranch.engine.workspaces import (
    Approved,
    FilesInTheWay,
    approve,
    result_branch,
    uncommitted_files,
)
from tests.engine.repositories import (
    RUN,
    Project,
    git,
    make_repository,
    merge_results,
    open_project,
    write,
)

FILES: dict[str, str | bytes | None] = {
    "a.txt": "a\n",
    "b.txt": "b\n",
    "d/c.txt": "c\n",
    "gone.txt": "gone\n",
    "f": "file\n",
    ".gitignore": "*.o\n",
}
Step = Callable[[Path], object]


def approve_run(project: Project) -> Approved | Refusal:
    """Approves what one stream did: an edit, an addition, a deletion, a file made a folder."""
    return approve(project.repo, RUN, project.base, finished(project))


def finished(project: Project) -> str:
    """The result of a run of one stream."""
    workspace = project.workspace("one")
    write(workspace.path, {"gone.txt": None, "f": None})
    write(workspace.path, {"a.txt": "new a\n", "n/new.txt": "new\n", "f/inside": "x\n"})
    (workspace.path / "run.sh").write_text("#!/bin/sh\n")
    (workspace.path / "run.sh").chmod(0o755)
    (workspace.path / "link").symlink_to("a.txt")
    outcome = merge_results(
        project.repo, RUN, project.base, [project.capture(workspace)], message="Merge",
        ref=result_branch(RUN), expected=None,
    )  # fmt: skip
    return outcome.commit


def files_below(folder: Path) -> dict[str, bytes | str]:
    """Every file and link of a folder but git's own."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_file() or path.is_symlink()) and ".git" not in path.relative_to(folder).parts
    }


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def assert_has_result(folder: Path) -> None:
    """The folder has what the stream did."""
    files = files_below(folder)
    assert files["a.txt"] == b"new a\n"
    assert files["n/new.txt"] == b"new\n"
    assert files["f/inside"] == b"x\n"
    assert files["link"] == "a.txt"
    assert "gone.txt" not in files
    assert (folder / "run.sh").stat().st_mode & 0o111


def test_branch_and_clean_checkout_move_together(project: Project) -> None:
    """After approval the checkout is clean at the result; asking again changes nothing."""
    outcome = approve_run(project)
    assert isinstance(outcome, Approved)
    assert git(project.user, "rev-parse", "main").strip() == outcome.commit
    assert git(project.user, "status", "--porcelain") == ""
    assert_has_result(project.user)
    assert approve(project.repo, RUN, project.base, outcome.commit) == outcome


def sub_repository(folder: Path) -> Path:
    """A submodule on branch main: its git directory lies in the superproject's."""
    origin = make_repository(folder / "origin", FILES)
    user = make_repository(folder / "super", {"top": "x\n"})
    git(user, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "sub")
    git(user / "sub", "switch", "-q", "main")
    return user / "sub"


def separate_git_dir(folder: Path) -> Path:
    return make_repository(folder / "user", FILES, "--separate-git-dir", str(folder / "apart"))


def deleted_checkout(folder: Path) -> Path:
    """Another checkout of main was deleted, and git still lists it."""
    user = make_repository(folder / "user", FILES)
    git(user, "worktree", "add", "-q", "-f", str(folder / "other"), "main")
    shutil.rmtree(folder / "other")
    return user


def linked_worktree(folder: Path) -> Path:
    user = make_repository(folder / "user", FILES)
    git(user, "worktree", "add", "-q", "-b", "feature", str(folder / "linked"))
    return folder / "linked"


@pytest.mark.parametrize(
    "make", [sub_repository, separate_git_dir, deleted_checkout, linked_worktree]
)
def test_whatever_git_lists_as_checkouts_the_users_own_is_known(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    """A git directory that lies elsewhere is not another checkout, and one that is gone is none."""
    project = open_project(make(tmp_path), tmp_path / "out")
    outcome = approve_run(project)
    assert isinstance(outcome, Approved), outcome
    assert_has_result(project.user)
    assert git(project.user, "status", "--porcelain") == ""


def test_a_checkout_that_stands_on_the_branch_too_is_not_left_behind(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", FILES)
    git(user, "worktree", "add", "-q", "-f", str(tmp_path / "other"), "main")
    outcome = approve_run(open_project(user, tmp_path / "out"))
    assert isinstance(outcome, Refusal)
    assert str(tmp_path / "other") in outcome.reason


def test_a_link_to_a_folder_becomes_a_folder_as_git_makes_it_one(tmp_path: Path) -> None:
    """What the link led to lies elsewhere, and is in nobody's way."""
    user = make_repository(tmp_path / "user", {"real/x": "x\n", "a.txt": "a\n"})
    (user / "link").symlink_to("real")
    git(user, "add", "-A")
    git(user, "commit", "-qm", "link")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    (workspace.path / "link").unlink()
    write(workspace.path, {"link/x": "mine\n", "link/deep/y": "y\n"})
    outcome = approve(project.repo, RUN, project.base, project.capture(workspace).commit)
    assert isinstance(outcome, Approved), outcome
    assert not (user / "link").is_symlink()
    assert (user / "link/x").read_text() == "mine\n"
    assert (user / "real/x").read_text() == "x\n"
    assert git(user, "status", "--porcelain") == ""


def test_uncommitted_work_without_any_commit_comes_along(tmp_path: Path) -> None:
    """The first commits are that work, and the result on top; what changed since is no victim."""
    user = tmp_path / "user"
    user.mkdir()
    git(user, "init", "-q", "-b", "main")
    write(user, FILES)
    project = open_project(user, tmp_path / "out", include_uncommitted=True)
    commit = finished(project)
    write(user, {"b.txt": "written meanwhile\n"})
    refused = approve(project.repo, RUN, project.base, commit)
    assert isinstance(refused, FilesInTheWay)
    assert (refused.paths, (user / "b.txt").read_text()) == (("b.txt",), "written meanwhile\n")
    write(user, {"b.txt": "b\n"})
    outcome = approve(project.repo, RUN, project.base, commit)
    assert isinstance(outcome, Approved), outcome
    assert_has_result(user)
    assert git(user, "status", "--porcelain") == ""


def test_untracked_files_stay_where_they_are(project: Project) -> None:
    """Files that git does not track and the result does not touch are no obstacle."""
    write(project.user, {"mine": "m\n", "x.o": "o\n", "n/mine": "m\n"})
    assert isinstance(approve_run(project), Approved)
    assert (project.user / "n" / "mine").read_text() == "m\n"
    assert_has_result(project.user)


def test_unborn_branch_is_born_with_the_result(tmp_path: Path) -> None:
    """A repository without commits gets its first ones."""
    user = tmp_path / "user"
    user.mkdir()
    git(user, "init", "-q", "-b", "main")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    write(workspace.path, {"a.txt": "a\n"})
    result = project.capture(workspace)
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    assert (user / "a.txt").read_text() == "a\n"
    assert git(user, "status", "--porcelain") == ""


def test_uncommitted_base_comes_along(tmp_path: Path) -> None:
    """With the checkout as base, approval commits that work with the result."""
    user = make_repository(tmp_path / "user", FILES)
    write(user, {"b.txt": "unstaged\n", "untracked": "u\n", "d/c.txt": "staged\n"})
    git(user, "add", "d/c.txt")
    project = open_project(user, tmp_path / "out", include_uncommitted=True)
    assert isinstance(approve_run(project), Approved)
    assert git(user, "status", "--porcelain") == ""
    assert (user / "b.txt").read_text() == "unstaged\n"
    assert_has_result(user)


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_what_the_user_hides_from_git_is_no_part_of_an_uncommitted_base(
    flag: str, tmp_path: Path
) -> None:
    """It is committed by nobody, counted by nobody, and in nobody's way."""
    user = make_repository(tmp_path / "user", {**FILES, "local.conf": "shared\n"})
    write(user, {"local.conf": "my own\n", "b.txt": "unstaged\n"})
    git(user, "update-index", flag, "local.conf")
    project = open_project(user, tmp_path / "out", include_uncommitted=True)
    assert uncommitted_files(project.repo, RUN, project.base.head) == 1
    assert isinstance(approve_run(project), Approved)
    assert git(user, "show", "HEAD:local.conf") == "shared\n"
    assert git(user, "show", "HEAD:b.txt") == "unstaged\n"
    assert (user / "local.conf").read_text() == "my own\n"


def test_branch_that_is_not_checked_out_moves_alone(project: Project) -> None:
    """When the user went to another branch, its files stay."""
    git(project.user, "switch", "-qc", "elsewhere")
    before = files_below(project.user)
    outcome = approve_run(project)
    assert isinstance(outcome, Approved)
    assert git(project.user, "rev-parse", "main").strip() == outcome.commit
    assert files_below(project.user) == before
    assert git(project.user, "status", "--porcelain") == ""


def test_sparse_checkout_stays_clean(project: Project) -> None:
    """Files that the user does not have checked out are changed all the same, in the commit."""
    git(project.user, "sparse-checkout", "set", "n")
    workspace = project.workspace("one")
    write(workspace.path, {"d/c.txt": "new c\n", "a.txt": "new a\n"})
    result = project.capture(workspace)
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    assert git(project.user, "status", "--porcelain") == ""
    assert git(project.user, "show", "HEAD:d/c.txt") == "new c\n"


def test_split_index_comes_along(project: Project) -> None:
    """An index in two parts is no obstacle."""
    git(project.user, "update-index", "--split-index")
    assert isinstance(approve_run(project), Approved)
    assert git(project.user, "status", "--porcelain") == ""


def commits_more(user: Path) -> None:
    git(user, "commit", "-q", "--allow-empty", "-m", "more")


def detaches_before(user: Path) -> None:
    git(user, "checkout", "-q", "--detach")


def checks_out_twice(user: Path) -> None:
    git(user, "worktree", "add", "-q", "-f", str(user.with_name("second")), "main")


def merges(user: Path) -> None:
    (user / ".git" / "MERGE_HEAD").write_text(git(user, "rev-parse", "HEAD"))


def holds_index_lock(user: Path) -> None:
    (user / ".git" / "index.lock").touch()


def stages(user: Path) -> None:
    write(user, {"s": "s\n"})
    git(user, "add", "s")


def ignores(user: Path) -> None:
    write(user, {"run.sh": "mine\n", ".git/info/exclude": "run.sh\n"})


def assumes_unchanged(user: Path) -> None:
    git(user, "update-index", "--assume-unchanged", "a.txt")
    write(user, {"a.txt": "mine\n"})


REFUSED: dict[str, tuple[Step, str]] = {
    "moved": (commits_more, "moved since"),
    "dirty": (lambda user: write(user, {"b.txt": "mine\n"}), "uncommitted changes: b.txt"),
    "staged": (stages, "uncommitted changes: s"),
    "untracked in the way": (lambda user: write(user, {"n/new.txt": "mine\n"}), "in the way"),
    "ignored in the way": (ignores, "in the way: run.sh"),
    "file where a folder goes": (lambda user: write(user, {"n": "mine\n"}), "in the way: n"),
    "checked out twice": (checks_out_twice, "checked out in"),
    "merge in progress": (merges, "a merge is in progress"),
    "index lock": (holds_index_lock, "index.lock"),
    "hidden edit": (assumes_unchanged, "a.txt"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_approval_changes_nothing(case: str, project: Project) -> None:
    """Each obstacle is named with the next step; branch, index and files stay as they were."""
    step, words = REFUSED[case]
    commit = finished(project)
    step(project.user)
    index = (project.user / ".git" / "index").read_bytes()
    before = files_below(project.user), git(project.user, "rev-parse", "main")
    outcome = approve(project.repo, RUN, project.base, commit)
    assert isinstance(outcome, Refusal)
    assert words in outcome.reason
    assert outcome.hint
    assert (files_below(project.user), git(project.user, "rev-parse", "main")) == before
    assert (project.user / ".git" / "index").read_bytes() == index
    assert (project.user / ".git" / "index.lock").exists() is (case == "index lock")


def test_detached_head_is_refused(tmp_path: Path) -> None:
    """Without a branch there is nothing to move; the hint says how to take the result."""
    user = make_repository(tmp_path / "user", FILES)
    detaches_before(user)
    outcome = approve_run(open_project(user, tmp_path / "out"))
    assert isinstance(outcome, Refusal)
    assert f"git merge anabranch/{RUN}" in outcome.hint


def test_files_go_back_when_the_branch_cannot_move(project: Project) -> None:
    """A branch that is locked at the last moment leaves the checkout as it was."""
    commit = finished(project)
    before = files_below(project.user)
    (project.user / ".git" / "refs" / "heads" / "main.lock").touch()
    outcome = approve(project.repo, RUN, project.base, commit)
    assert isinstance(outcome, Refusal)
    assert files_below(project.user) == before
    (project.user / ".git" / "refs" / "heads" / "main.lock").unlink()
    assert git(project.user, "status", "--porcelain") == ""
    assert isinstance(approve(project.repo, RUN, project.base, commit), Approved)


def test_approval_cut_off_before_the_branch_is_finished(project: Project) -> None:
    """Files and index already at the result: only the branch is left to move."""
    commit = finished(project)
    git(project.user, "read-tree", "-m", "-u", "HEAD", commit)
    assert isinstance(approve(project.repo, RUN, project.base, commit), Approved)
    assert git(project.user, "status", "--porcelain") == ""


def test_streams_hooks_and_filters_do_not_run_on_approval(project: Project) -> None:
    """Approval is where the user's checkout is written: with the user's settings, no others."""
    mark = project.outside / "ran"
    workspace = project.workspace("evil")
    write(workspace.path, {".gitattributes": "* filter=evil\n", "b.txt": "2\n"})
    result = project.capture(workspace)
    git(workspace.path, "config", "filter.evil.smudge", f"touch {mark}; cat")
    git(workspace.path, "config", "filter.evil.clean", f"touch {mark}; cat")
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    assert not mark.exists()


@pytest.fixture
def plain(tmp_path: Path) -> Project:
    """A plain folder, opened."""
    write(tmp_path / "user", FILES)
    (tmp_path / "user" / "a.txt").chmod(0o640)
    return open_project(tmp_path / "user", tmp_path / "out")


def test_plain_folder_gets_the_changed_files(plain: Project) -> None:
    """Edits, additions, deletions, links and modes arrive; everything else is left alone."""
    untouched = (plain.user / "b.txt").stat()
    write(plain.user, {"mine": "m\n"})
    outcome = approve_run(plain)
    assert isinstance(outcome, Approved), outcome
    assert_has_result(plain.user)
    assert (plain.user / "b.txt").stat() == untouched
    assert (plain.user / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (plain.user / "mine").exists()
    assert not [name for name in files_below(plain.user) if "anabranch" in name]
    assert approve(plain.repo, RUN, plain.base, outcome.commit) == outcome


def test_plain_application_cut_off_is_finished_by_asking_again(plain: Project) -> None:
    """Files that already are as in the result count as done."""
    commit = finished(plain)
    write(plain.user, {"a.txt": "new a\n", "gone.txt": None})
    assert isinstance(approve(plain.repo, RUN, plain.base, commit), Approved)
    assert_has_result(plain.user)


def replaces_folder_by_link(user: Path) -> None:
    outside = user.with_name("outside")
    write(outside, {"c.txt": "c\n"})
    (user / "n").symlink_to(outside)


def puts_link(user: Path) -> None:
    write(user.with_name("outside"), {"c.txt": "c\n"})
    (user / "a.txt").unlink()
    (user / "a.txt").symlink_to(user.with_name("outside") / "c.txt")


PLAIN_REFUSED: dict[str, tuple[Step, str]] = {
    "edited": (lambda user: write(user, {"a.txt": "mine\n"}), "a.txt"),
    "edited before deletion": (lambda user: write(user, {"gone.txt": "mine\n"}), "gone.txt"),
    "in the way": (lambda user: write(user, {"n/new.txt": "mine\n"}), "n/new.txt"),
    "deleted": (lambda user: write(user, {"a.txt": None}), "a.txt"),
    "mode changed": (lambda user: (user / "a.txt").chmod(0o755), "a.txt"),
    "folder became a link": (replaces_folder_by_link, "n/new.txt"),
    "file became a link": (puts_link, "a.txt"),
}


@pytest.mark.parametrize("case", PLAIN_REFUSED)
def test_changed_plain_files_are_never_overwritten(case: str, plain: Project) -> None:
    """The whole application is refused and the paths are listed; no link is followed."""
    step, path = PLAIN_REFUSED[case]
    commit = finished(plain)
    step(plain.user)
    before = files_below(plain.user)
    outcome = approve(plain.repo, RUN, plain.base, commit)
    assert isinstance(outcome, FilesInTheWay)
    assert path in outcome.paths
    assert files_below(plain.user) == before
    outside = plain.user.with_name("outside")
    assert not outside.exists() or files_below(outside) == {"c.txt": b"c\n"}
