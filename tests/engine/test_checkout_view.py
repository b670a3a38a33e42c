"""Settings that belong to a disk or to a sparse checkout stay where they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.engine.workspaces import Approved, approve
from tests.engine.repositories import RUN, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {
    "Foo.txt": "foo\n",
    "run.sh": "#!/bin/sh\n",
    "in/a.txt": "a\n",
    "out/b.txt": "b\n",
    "out/c.txt": "c\n",
}


def test_what_git_found_out_about_another_disk_is_not_believed(tmp_path: Path) -> None:
    """A rename of letters' case, a mode and a link come through, whatever the settings say."""
    user = make_repository(tmp_path / "user", FILES)
    (user / "link").symlink_to("Foo.txt")
    git(user, "add", "link")
    git(user, "commit", "-qm", "link")
    for key, value in (("ignorecase", "true"), ("filemode", "false"), ("symlinks", "false")):
        git(user, "config", f"core.{key}", value)
    project = open_project(user, tmp_path / "out")
    one = project.workspace("one")
    assert (one.path / "link").is_symlink()
    (one.path / "Foo.txt").rename(one.path / "foo.txt")
    (one.path / "run.sh").chmod(0o755)
    result = project.capture(one)
    files = project.files_of(result.commit)
    assert "foo.txt" in files
    assert "Foo.txt" not in files
    assert files["run.sh"].startswith("100755")
    assert files["link"].startswith("120000")
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    assert (user / "foo.txt").read_text() == "foo\n"
    assert not (user / "Foo.txt").exists()


def test_a_base_sees_the_users_disk_as_the_user_said(tmp_path: Path) -> None:
    """Modes that the user told git to pass over are no part of a base; a new spelling is."""
    user = make_repository(tmp_path / "user", FILES)
    git(user, "config", "core.filemode", "false")
    git(user, "config", "core.ignorecase", "true")
    (user / "run.sh").chmod(0o755)
    (user / "Foo.txt").rename(user / "foo.txt")
    project = open_project(user, tmp_path / "out", include_uncommitted=True)
    files = project.files_of(project.base.commit)
    assert files["run.sh"].startswith("100644")
    assert {"foo.txt"} == {name for name in files if name.lower() == "foo.txt"}


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A repository of which only ``in/`` and the top are checked out."""
    user = make_repository(tmp_path / "user", FILES)
    git(user, "sparse-checkout", "set", "--cone", "in")
    assert not (user / "out").exists()
    return user


def tree_of(user: Path) -> list[str]:
    return sorted(
        path.relative_to(user).as_posix()
        for path in user.rglob("*")
        if path.is_file() and ".git" not in path.parts
    )


def test_an_approval_leaves_out_what_the_checkout_leaves_out(sparse: Path, tmp_path: Path) -> None:
    """As git merge would: files outside of the cone are in the commit and not on the disk."""
    project = open_project(sparse, tmp_path / "out")
    changes: dict[str, str | bytes | None] = {
        "in/a.txt": "changed\n",
        "in/new.txt": "new\n",
        "out/b.txt": "changed\n",
        "out/new.txt": "new\n",
        "out/c.txt": None,
    }
    result = project.result("one", changes)
    by_hand = tmp_path / "by-hand"
    git(tmp_path, "clone", "-q", "--sparse", str(sparse), str(by_hand))
    git(by_hand, "sparse-checkout", "set", "--cone", "in")
    git(by_hand, "fetch", "-q", "origin", f"{result.commit}:refs/heads/result")
    git(by_hand, "merge", "-q", "result")
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    assert tree_of(sparse) == tree_of(by_hand)
    assert git(sparse, "ls-files", "-t") == git(by_hand, "ls-files", "-t")
    assert git(sparse, "status", "--porcelain") == ""
    assert git(sparse, "rev-parse", "HEAD^{tree}") == git(by_hand, "rev-parse", "HEAD^{tree}")


def test_a_workspace_is_whole_and_stays_so(sparse: Path, tmp_path: Path) -> None:
    """The stream's git and the engine agree about what is there, and it is said."""
    project = open_project(sparse, tmp_path / "out")
    one = project.workspace("one")
    assert any("sparse" in warning for warning in one.warnings)
    before = tree_of(one.path)
    assert "out/b.txt" in before
    write(one.path, {"in/a.txt": "changed\n"})
    git(one.path, "stash")
    git(one.path, "stash", "pop")
    assert tree_of(one.path) == before
    assert set(project.files_of(project.capture(one).commit)) == set(FILES)


def test_uncommitted_work_of_a_sparse_checkout_removes_nothing(
    sparse: Path, tmp_path: Path
) -> None:
    """Files that are not checked out are not deleted files."""
    write(sparse, {"in/a.txt": "changed\n"})
    project = open_project(sparse, tmp_path / "out", include_uncommitted=True)
    assert set(project.files_of(project.base.commit)) == set(FILES)
    assert project.content(project.base.commit, "in/a.txt") == "changed\n"
