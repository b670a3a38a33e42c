"""Partial clones: what is missing comes by the user's own way before it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from tests.engine.repositories import Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/e/b.txt": "b\n"}
FILTERS = ("blob:none", "tree:0")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository that serves partial clones."""
    folder = make_repository(tmp_path / "origin", FILES)
    write(folder, {"a.txt": "second\n"})
    git(folder, "commit", "-qam", "second")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


def clone(origin: Path, what: str) -> Path:
    """A partial clone with nothing checked out, so that every file is missing."""
    user = origin.with_name("user")
    asked = ("-q", "--no-checkout", f"--filter={what}", f"file://{origin}", str(user))
    git(origin.parent, "clone", *asked)
    return user


def works(project: Project) -> None:
    one = project.workspace("one")
    assert (one.path / "d/e/b.txt").read_text() == "b\n"
    write(one.path, {"a.txt": "changed\n"})
    assert project.content(project.capture(one).commit, "a.txt") == "changed\n"


@pytest.mark.parametrize("what", FILTERS)
@pytest.mark.parametrize("place", ["the project's settings", "the user's settings"])
def test_a_rewritten_address_is_followed(
    place: str, what: str, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``url.*.insteadOf`` leads to the remote, wherever it is set."""
    user = clone(origin, what)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    git(user, "config", "remote.origin.url", "work:origin")
    file = () if place == "the project's settings" else ("--file", str(home / ".gitconfig"))
    git(user, "config", *file, f"url.file://{origin.parent}/.insteadOf", "work:")
    works(open_project(user, tmp_path / "out"))


def test_credentials_of_the_user_are_asked_for(origin: Path, tmp_path: Path) -> None:
    """A program that the user trusts with getting there is started."""
    user, mark = clone(origin, "blob:none"), tmp_path / "asked"
    program = tmp_path / "way"
    program.write_text(f"#!/bin/sh\ntouch {mark}\nexec git-upload-pack {origin}\n")
    program.chmod(0o755)
    git(user, "config", "remote.origin.url", "somewhere:origin")
    git(user, "config", "core.sshCommand", str(program))
    works(open_project(user, tmp_path / "out"))
    assert mark.exists()


def test_what_cannot_be_fetched_is_said_before_anything_starts(
    origin: Path, tmp_path: Path
) -> None:
    """With how many files, and the next step."""
    user = clone(origin, "blob:none")
    git(user, "config", "remote.origin.url", f"file://{tmp_path}/nowhere")
    with pytest.raises(GitError) as caught:
        open_project(user, tmp_path / "out")
    assert "2 files of this partial clone" in caught.value.reason
    assert "git fetch origin" in caught.value.hint


def test_a_stream_of_a_partial_clone_can_use_git(origin: Path, tmp_path: Path) -> None:
    """Older versions are fetched into the stream's own repository when it asks for them."""
    user = clone(origin, "blob:none")
    one = open_project(user, tmp_path / "out").workspace("one")
    assert git(one.path, "show", "HEAD~1:a.txt") == "a\n"
    assert git(one.path, "status", "--porcelain") == ""
