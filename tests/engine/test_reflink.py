"""Workspaces that share their blocks, on a disk of its own that can do that."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces.preparing import prepare_workspace
from anabranch.engine.workspaces.reflink import why_not_reflink
from anabranch.engine.workspaces.values import PreparedWorkspace
from tests.engine import repositories
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

LARGE = os.urandom(1 << 20) * 24
FILES: dict[str, str | bytes | None] = {
    "large.bin": LARGE,
    "deep/er/small.txt": "small\n",
    "run.sh": "echo run\n",
    "empty": "",
    ".gitignore": "*.o\n",
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """XFS in a file, mounted; skips where that cannot be had."""
    if os.geteuid() != 0 or shutil.which("mkfs.xfs") is None:
        pytest.skip("only root can mount a disk whose files share blocks, with mkfs.xfs")
    image, place = (tmp_path_factory.mktemp("disk") / name for name in ("image", "place"))
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    for argv in (
        ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
        ["mount", "-o", "loop", str(image), str(place)],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no such disk here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def project(disk: Path) -> Iterator[Project]:
    folder = disk / "one"
    user = make_repository(folder / "user", FILES)
    (user / "run.sh").chmod(0o755)
    (user / "link").symlink_to("deep/er/small.txt")
    git(user, "add", "-A")
    git(user, "commit", "-q", "-m", "more kinds")
    yield open_project(user, folder / "out")
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def by_reflink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repositories, "METHOD", "reflink")


def used_bytes(place: Path) -> int:
    subprocess.run(["sync", "-f", str(place)], check=True)
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def test_a_workspace_takes_no_room_and_what_is_written_to_it_comes_nowhere_else(
    project: Project, disk: Path
) -> None:
    assert why_not_reflink(disk) == ""
    first = project.workspace("first")
    before = used_bytes(disk)
    second = project.workspace("second")
    assert used_bytes(disk) - before < len(LARGE) // 4
    for workspace in (first, second):
        assert git(workspace.path, "status", "--porcelain") == ""
        assert (workspace.path / "large.bin").read_bytes() == LARGE
        assert os.access(workspace.path / "run.sh", os.X_OK)
        assert os.readlink(workspace.path / "link") == "deep/er/small.txt"
    with (second.path / "large.bin").open("r+b") as file:
        file.write(b"written in place")
    assert git(second.path, "status", "--porcelain") == " M large.bin\n"
    third = project.workspace("third")
    for place in (project.user, first.path, third.path):
        assert (place / "large.bin").read_bytes() == LARGE


def test_it_brings_what_folders_bring(project: Project) -> None:
    changed: dict[str, str | bytes | None] = {
        "deep/er/small.txt": "changed\n",
        "empty": None,
        "new/file": "new\n",
        "x.o": "built\n",
    }
    ours = project.workspace("ours")
    plain = prepare_workspace(
        project.repo, RUN, StreamId("plain"), 1, "isolated", project.outside / "plain", project.base
    )
    assert isinstance(plain, PreparedWorkspace)
    for workspace in (ours, plain):
        write(workspace.path, changed)
    assert project.capture(ours).tree == project.capture(plain).tree
