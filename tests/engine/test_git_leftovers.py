"""A repository and the records of its runs that do not go together: seen, named, mended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from anabranch.engine.git_leftovers import look, remove_stale_worktrees, stale_worktrees
from anabranch.engine.opening import open_project
from tests.engine.repositories import git, make_repository, write


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, with a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_repository(tmp_path / "user", {"a.txt": "a\n"})


def lock_a_worktree(user: Path, name: str, reason: str) -> Path:
    folder = user.with_name(name)
    git(user, "worktree", "add", "-q", "--detach", "--lock", "--reason", reason, str(folder))
    return folder


def test_locked_worktrees_of_an_emptied_state_are_taken_out(user: Path) -> None:
    """Their commits are kept; a worktree that stands, or is somebody else's, is left alone."""
    reason = "Anabranch run 20260101-000000-abc"
    gone = lock_a_worktree(user, "gone", reason)
    write(gone, {"own": "work\n"})
    git(gone, "add", "-A")
    git(gone, "commit", "-qm", "work")
    commit = git(gone, "rev-parse", "HEAD").strip()
    lock_a_worktree(user, "stands", reason)
    others = lock_a_worktree(user, "others", "on a stick")
    for folder in (gone, others):
        shutil.rmtree(folder)
    (found,) = look(user)
    assert "1 worktree locked" in found.message
    assert "--repair" in found.mend
    (done,) = remove_stale_worktrees(user)
    assert "refs/anabranch/" in done
    assert git(user, "for-each-ref", "--contains", commit, "refs/anabranch")
    assert list(stale_worktrees(open_project(user)[0])) == []
    listed = git(user, "worktree", "list")
    assert "gone" not in listed
    assert "stands" in listed
    assert "others" in listed
    assert look(user) == []
