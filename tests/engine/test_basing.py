"""What a base is made of: the files people mean, and nothing of ours; else it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.workspaces import uncommitted_files
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write


def open_home(home: Path, monkeypatch: pytest.MonkeyPatch, *, is_repository: bool) -> Project:
    """A home folder as a project, with Anabranch's state in it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".local/state"))
    state = home / ".local/state/anabranch/projects/home"
    write(state, {"secret": "s\n", "runs/1/operator.token": "t\n"})
    write(home, {"own.txt": "own\n", ".local/state/other/file": "x\n"})
    if is_repository:
        git(home, "init", "-q", "-b", "main")
    return open_project(home, state, include_uncommitted=is_repository)


@pytest.mark.parametrize("is_repository", [True, False])
def test_the_engines_own_state_is_never_part_of_a_base(
    is_repository: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home folder as a project: everything but our state, also when it is asked for by force."""
    home = tmp_path / "home"
    write(home, {".gitignore": "!.local/state/anabranch\n"})
    project = open_home(home, monkeypatch, is_repository=is_repository)
    files = project.files_of(project.base.commit)
    assert set(files) == {".gitignore", "own.txt", ".local/state/other/file"}
    workspace = project.workspace("one")
    write(workspace.path, {".local/state/anabranch/projects/home/secret": "forged\n", "n": "n\n"})
    assert set(project.files_of(project.capture(workspace).commit)) == {*files, "n"}


def test_our_state_is_no_uncommitted_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_repository(tmp_path / "home", {"a": "a\n"})
    project = open_home(home, monkeypatch, is_repository=True)
    git(home, "add", "-A", "--", ".", ":!.local/state/anabranch")
    git(home, "commit", "-qm", "own")
    assert uncommitted_files(project.repo, RUN, git(home, "rev-parse", "HEAD")) == 0


def test_a_link_to_our_state_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state folder is known by where it really lies."""
    home = tmp_path / "home"
    (home / "really").mkdir(parents=True)
    (home / ".local").symlink_to("really")
    files = open_home(home, monkeypatch, is_repository=False)
    assert not any("secret" in path for path in files.files_of(files.base.commit))


@pytest.mark.parametrize("with_commit", [True, False])
@pytest.mark.parametrize("is_repository", [True, False])
def test_a_repository_inside_is_not_left_out_in_silence(
    is_repository: bool, with_commit: bool, tmp_path: Path
) -> None:
    """Its files would be missing in every workspace: refused, unless they are left out by name."""
    user = make_repository(tmp_path / "user", {"a": "a\n"}) if is_repository else tmp_path / "user"
    inner = user / "inner"
    if with_commit:
        make_repository(inner, {"x": "x\n"})
    else:
        write(inner, {"x": "x\n"})
        git(inner, "init", "-q")
    with pytest.raises(GitError) as caught:
        open_project(user, tmp_path / "out", include_uncommitted=True)
    assert "inner" in caught.value.reason
    assert ".gitignore" in caught.value.hint
    write(user, {".gitignore": "inner\n"})
    project = open_project(user, tmp_path / "out2", include_uncommitted=True)
    assert "inner" not in project.files_of(project.base.commit)


def test_a_submodule_is_known_to_git_and_no_reason_to_refuse(tmp_path: Path) -> None:
    """Also one that was added and not committed yet."""
    origin = make_repository(tmp_path / "origin", {"x": "x\n"})
    user = make_repository(tmp_path / "user", {"a": "a\n"})
    git(user, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "sub")
    assert "sub" in (p := open_project(user, tmp_path / "out", include_uncommitted=True)).files_of(
        p.base.commit
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_folder_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path / "user", {"a": "a\n", "closed/x": "x\n"})
    (tmp_path / "user/closed").chmod(0)
    try:
        with pytest.raises(GitError) as caught:
            open_project(tmp_path / "user", tmp_path / "out")
    finally:
        (tmp_path / "user/closed").chmod(0o755)
    assert "closed" in caught.value.reason
