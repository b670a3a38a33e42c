"""Large files (git-lfs): checked out for streams, checks and people as git itself would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.workspaces import Approved, approve, write_tree
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

pytestmark = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="git-lfs is not installed here"
)
CONTENT = bytes(range(256)) * 20


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A repository with a large file, whose content is in its own store."""
    folder = make_repository(tmp_path / "user", {"a.txt": "a\n"})
    git(folder, "lfs", "install", "--local")
    git(folder, "lfs", "track", "*.bin")
    write(folder, {"big.bin": CONTENT})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "large")
    return folder


@pytest.fixture
def project(user: Path, tmp_path: Path) -> Project:
    """That repository, opened."""
    return open_project(user, tmp_path / "out")


def test_streams_checks_and_people_get_contents(project: Project, tmp_path: Path) -> None:
    """A workspace, what is verified, and an approved checkout hold contents."""
    one = project.workspace("one")
    assert (one.path / "big.bin").read_bytes() == CONTENT
    assert one.warnings == ()
    write(one.path, {"big.bin": CONTENT[::-1], "new.bin": CONTENT[:999]})
    result = project.capture(one)
    assert project.content(result.commit, "new.bin").startswith("version https://git-lfs")
    checked = tmp_path / "checked"
    checked.mkdir()
    write_tree(project.repo, RUN, result.tree, checked)
    assert isinstance(approve(project.repo, RUN, project.base, result.commit), Approved)
    for folder in (checked, project.user):
        assert (folder / "big.bin").read_bytes() == CONTENT[::-1]
        assert (folder / "new.bin").read_bytes() == CONTENT[:999]
    assert git(project.user, "status", "--porcelain") == ""


def test_what_a_stream_commits_is_in_the_projects_store(project: Project) -> None:
    """Also a version that only lies between two of its commits."""
    one = project.workspace("one")
    for content in (CONTENT[:500], CONTENT[:700]):
        write(one.path, {"new.bin": content})
        git(one.path, "add", "-A")
        git(one.path, "commit", "-qm", "large")
    result = project.capture(one)
    git(project.user, "lfs", "fsck", result.commit)
    git(project.user, "checkout", "-q", f"{result.commit}~1")
    assert (project.user / "new.bin").read_bytes() == CONTENT[:500]


def test_contents_that_cannot_be_had_are_pointers_and_said(user: Path, tmp_path: Path) -> None:
    """A stream can work on the rest; a checkout of the user's is left as it was."""
    shutil.rmtree(user / ".git" / "lfs" / "objects")
    git(user, "config", "remote.origin.url", str(tmp_path / "nowhere"))
    project = open_project(user, tmp_path / "out")
    one = project.workspace("one")
    assert any("pointers" in warning for warning in one.warnings)
    assert (one.path / "big.bin").read_bytes().startswith(b"version https://git-lfs")
    write(one.path, {"a.txt": "changed\n"})
    assert project.capture(one).files_changed == 1


@pytest.mark.parametrize("key", ["filter.lfs.process", "filter.lfs.smudge"])
def test_a_missing_git_lfs_is_called_that(
    key: str, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "the remote end hung up": the program is named, with what to do."""
    if key == "filter.lfs.smudge":
        git(user, "config", "--unset", "filter.lfs.process")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    if (Path(os.path.realpath(programs / "git")).parent / "git-lfs").exists():
        monkeypatch.setenv("GIT_EXEC_PATH", "/usr/lib/git-core")
    with pytest.raises(GitError) as caught:
        open_project(user, tmp_path / "out").workspace("one")
    assert "git-lfs is not installed" in caught.value.reason
    assert "install git-lfs" in caught.value.hint
