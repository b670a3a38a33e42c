"""Replacing files whole, whatever fails meanwhile, and waiting for locks."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.files import LEFTOVERS, replace_whole, replacing, take_lock


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("modes", "found"),
    [({}, 0o600), ({"mode": 0o666}, 0o644), ({"exact_mode": 0o775}, 0o775)],
)
@pytest.mark.usefixtures("usual_umask")
def test_a_file_has_the_permissions_that_were_asked_for(
    modes: dict[str, Any], found: int, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    replace_whole(file, b"new", **modes)
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == found


def test_a_file_is_replaced_in_the_folder_that_was_opened(tmp_path: Path) -> None:
    """Wherever the folder's name leads meanwhile."""
    (tmp_path / "folder").mkdir()
    folder = os.open(tmp_path / "folder", os.O_RDONLY)
    (tmp_path / "folder").rename(tmp_path / "moved")
    (tmp_path / "folder").mkdir()
    replace_whole("file", b"new", at=folder, durable=True)
    os.close(folder)
    assert (tmp_path / "moved/file").read_text() == "new"
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, []), ({"synced": True}, [".new"]), ({"durable": True}, [".new", "folder"])],
)
def test_what_must_survive_a_power_cut_is_synchronised_and_then_its_folder(
    asked: dict[str, Any], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[str] = []
    real = os.fsync

    def noting(file: int) -> None:
        synchronised.append(os.readlink(f"/proc/self/fd/{file}"))
        real(file)

    monkeypatch.setattr(os, "fsync", noting)
    (tmp_path / "folder").mkdir()
    replace_whole(tmp_path / "folder/file", b"new", **asked)
    assert [Path(p).suffix or Path(p).name for p in synchronised] == expected


@pytest.mark.parametrize("step", ["write", "fchmod", "fsync", "replace"])
def test_a_step_that_fails_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"):
        replace_whole(file, b"new", exact_mode=0o600, durable=True)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_takes_the_place_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with replacing(file) as fresh:
        os.symlink(b"elsewhere", fresh)
        assert Path(os.fsdecode(fresh)) in tmp_path.glob(LEFTOVERS)
    assert os.readlink(file) == "elsewhere"


def test_a_lock_is_waited_for_and_it_is_said_once(tmp_path: Path) -> None:
    """It is given up by who closes the file; who does not wait is answered at once."""
    place = tmp_path / "lock"
    ours, theirs = (os.open(place, os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert take_lock(theirs)
    assert not take_lock(ours)
    waits: list[None] = []
    assert not take_lock(ours, 0.03, waits=lambda: waits.append(None))
    assert len(waits) == 1
    closing = threading.Event()

    def close_theirs() -> None:
        closing.wait(60)
        os.close(theirs)

    thread = threading.Thread(target=close_theirs)
    thread.start()
    assert take_lock(ours, 60, waits=closing.set)
    thread.join()
    os.close(ours)


def test_what_is_shared_is_shared_by_those_who_share(tmp_path: Path) -> None:
    one, other, alone = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(3))
    assert take_lock(one, shared=True)
    assert take_lock(other, shared=True)
    assert not take_lock(alone)
    for file in (one, other, alone):
        os.close(file)
