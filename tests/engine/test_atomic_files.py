"""Atomic writes: whole or not at all, with the mode kept, and never out through a link."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from anabranch.engine.atomic_files import AtomicFileOperations
from anabranch.errors import DiskFull, WorldError

write = AtomicFileOperations.atomic_write


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    """Text and bytes, new and old; nothing else is left in the folder."""
    file = tmp_path / "a.txt"
    write(file, "grüße")
    assert file.read_text("utf-8") == "grüße"
    write(str(file), b"\0\1")
    assert file.read_bytes() == b"\0\1"
    assert list(tmp_path.iterdir()) == [file]


def test_the_mode_is_kept(tmp_path: Path) -> None:
    """A script stays executable, a secret stays secret."""
    file = tmp_path / "run.sh"
    file.write_text("old")
    file.chmod(0o740)
    write(file, "new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o740


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """Neither a link in the file's place, nor a folder that leads elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("safe")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside / "victim")
    (inside / "folder").symlink_to(outside)
    for name in ("link", "folder/victim", "../outside/victim"):
        with pytest.raises(WorldError):
            write(name if name != "link" else inside / name, "evil", within=inside)
    with pytest.raises(WorldError):
        write(outside / "victim", "evil", within=inside)
    assert (outside / "victim").read_text() == "safe"


def test_a_relative_file_stays_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for below the current folder, and cannot leave it."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    write("sub/x", "1")
    assert (tmp_path / "sub" / "x").read_text() == "1"
    with pytest.raises(WorldError):
        write("../x", "1")


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_rubbish(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the machine refuses, the file is as it was."""
    file = tmp_path / "a"
    file.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(DiskFull):
        write(file, "new")
    monkeypatch.undo()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder is not replaced, and a folder that is not there is not made."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "x", tmp_path / ".."):
        with pytest.raises(WorldError):
            write(path, "x")


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    """While one thread writes, another reads whole contents only."""
    file = tmp_path / "a"
    contents = [bytes([n]) * 100_000 for n in range(10)]
    write(file, contents[0])
    done = threading.Event()
    torn: list[int] = []

    def read() -> None:
        while not done.is_set():
            data = file.read_bytes()
            if data not in contents:
                torn.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        for content in contents:
            write(file, content)
    done.set()
    reader.join()
    assert not torn
