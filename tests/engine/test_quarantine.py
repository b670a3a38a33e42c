"""Objects of a capture that fails are nowhere, and those of one that goes well are all there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.workspaces import quarantine
from anabranch.errors import DiskFull
from tests.engine.repositories import Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", ".gitattributes": "*.up filter=up\n"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a filter that fails as long as a file is there."""
    user = make_repository(tmp_path / "user", FILES)
    git(user, "config", "filter.up.clean", f"test ! -e {tmp_path / 'broken'} && cat")
    git(user, "config", "filter.up.required", "true")
    return open_project(user, tmp_path / "out")


def stored(project: Project) -> set[str]:
    """Everything in the project's object store, with what is half written."""
    store = project.repo.git_dir / "objects"
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}


def test_a_capture_that_fails_leaves_nothing_and_the_next_is_whole(project: Project) -> None:
    """As often as it is tried; and what was written then is written again when it goes well."""
    workspace = project.workspace("one")
    write(workspace.path, {f"f{n}.bin": os.urandom(2000) for n in range(20)} | {"x.up": "x\n"})
    project.user.with_name("broken").touch()
    before = stored(project)
    for _ in range(3):
        with pytest.raises(GitError):
            project.capture(workspace)
        assert stored(project) == before
    project.user.with_name("broken").unlink()
    result = project.capture(workspace)
    assert len(project.files_of(result.commit)) == 23
    git(project.user, "fsck", "--full", "--strict")
    assert not list((project.repo.git_dir / "objects").glob(f"{quarantine.PREFIX}*"))


def test_a_group_that_shares_the_repository_can_go_on_writing_to_it(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "shared", FILES, "--shared=group")
    git(user, "config", "core.sharedRepository", "group")
    project = open_project(user, tmp_path / "group")
    project.result("one", {f"f{n}.bin": os.urandom(200) for n in range(20)})
    modes = {p.stat().st_mode & 0o2770 for p in (user / ".git" / "objects").glob("??")}
    assert modes == {0o2770}


def test_objects_that_come_as_a_pack_are_there_too(project: Project) -> None:
    """A stream's many commits are brought over as one."""
    workspace = project.workspace("one", kind="clone")
    for number in range(60):
        write(workspace.path, {f"f{number}": f"{number}\n"})
        git(workspace.path, "add", "-A")
        git(workspace.path, "commit", "-qm", str(number))
    result = project.capture(workspace)
    assert list((project.repo.git_dir / "objects/pack").glob("*.idx"))
    listed = git(project.user, "rev-list", "--objects", result.commit).splitlines()
    assert len(listed) > 180
    git(project.user, "fsck", "--full", "--strict")


def test_room_is_measured_before_anything_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little is told with both figures, and waited for as a full disk is."""
    workspace = project.workspace("one")
    write(workspace.path, {"large.bin": b"x" * 1000})
    project.capture(workspace)
    monkeypatch.setattr(quarantine, "SPARE_BYTES", 1 << 59)
    before = stored(project)
    with pytest.raises(DiskFull) as caught:
        project.capture(workspace)
    assert "MB left" in caught.value.message
    assert stored(project) == before


def test_a_file_with_holes_is_as_large_as_it_is_long(project: Project) -> None:
    """git would read all of it, for an hour: it is named, and nothing is begun."""
    workspace = project.workspace("one")
    write(workspace.path, {"small.txt": "x"})
    with (workspace.path / "holes.img").open("wb") as file:
        file.truncate(1 << 40)
    before = stored(project)
    with pytest.raises(DiskFull, match="1048576 MB of them in holes"):
        project.capture(workspace)
    assert stored(project) == before
