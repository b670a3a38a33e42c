"""Files that a stream can swap: whatever stands there, nobody waits, follows or reads for ever."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.inputs import StopRun
from anabranch.core.model.outcome import Refusal
from anabranch.engine import requests
from anabranch.engine.performers.process_records import read_attempt
from anabranch.engine.process_table import sample_trees
from anabranch.engine.run_lock import holder_of
from anabranch.files import replace_whole
from anabranch.plain_files import (
    NotPlain,
    copy_plain,
    open_to_append,
    read_if_there,
    read_plain,
)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def a_terabyte_of_nothing(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def a_link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


SWAPPED: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "socket": a_socket,
    "link to a device": a_link_to("/dev/ptmx"),
    "link to a file": a_link_to("/etc/hostname"),
    "link to itself": a_link_to("it"),
    "terabyte of nothing": a_terabyte_of_nothing,
}


@pytest.fixture(params=SWAPPED)
def swapped(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a place where something else stands than a file one would want to read."""
    path = tmp_path / "it"
    SWAPPED[request.param](path)
    return path


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Give a way to use up every descriptor; they are given back afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def use_up() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + 8, hard))
        while True:
            try:
                taken.append(os.open("/", os.O_RDONLY))
            except OSError:
                return

    yield use_up
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_is_not_a_plain_file_is_refused_at_once(swapped: Path, tmp_path: Path) -> None:
    """Reading and copying end with a reason, and no descriptor is left open."""
    before = open_descriptors()
    for _ in range(50):
        with pytest.raises(NotPlain):
            read_plain(swapped, 1 << 20)
        with pytest.raises(NotPlain):
            copy_plain(swapped, tmp_path / "copy", 1 << 20)
    assert open_descriptors() == before


def test_what_is_swapped_is_written_over_or_refused_never_waited_for(swapped: Path) -> None:
    """A file is put in the place of anything but a folder; what is appended to has to be one."""
    is_file = swapped.is_file() and not swapped.is_symlink()
    if not is_file:
        with pytest.raises(NotPlain):
            open_to_append(swapped)
    if swapped.is_dir():
        with pytest.raises(OSError):
            replace_whole(swapped, b"new")
    else:
        replace_whole(swapped, b"new")
        assert read_plain(swapped, 3) == b"new"
    assert [p.name for p in swapped.parent.iterdir()] == [swapped.name]


def test_nothing_there_is_an_answer_of_its_own(tmp_path: Path) -> None:
    """A missing file and a missing folder are known to be missing."""
    assert read_if_there(tmp_path / "none", 10) is None
    assert read_if_there(tmp_path / "none" / "below", 10) is None


def test_a_name_can_begin_at_the_descriptor_of_a_folder(tmp_path: Path) -> None:
    """The way to a file is not bent by what is put in the folder's place."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "file").write_text("mine")
    folder = os.open(there, os.O_RDONLY | os.O_DIRECTORY)
    there.rename(tmp_path / "away")
    there.symlink_to("/etc")
    assert read_plain("file", 10, at=folder) == b"mine"
    os.close(folder)


def test_a_swapped_request_of_an_operator_is_refused_and_the_others_are_heard(
    swapped: Path,
) -> None:
    """A pipe among the requests does not hold up the engine, nor what was asked beside it."""
    folder = swapped.parent
    swapped.rename(folder / "00.request")
    requests.leave(folder, StopRun(reason="enough"))
    first, second = (asked for _, asked in requests.pending(folder))
    assert isinstance(first, Refusal)
    assert second == StopRun(reason="enough")


@pytest.mark.parametrize(
    "content",
    [b'{"pid": 1, "boot_id": "\xff"}', b"[" * 30_000, b"", b"null", b'{"pid": 1e999}'],
    ids=["no text", "nested without end", "empty", "null", "infinite"],
)
def test_a_record_that_nobody_can_read_is_none(tmp_path: Path, content: bytes) -> None:
    """A stream can write in its own records; that ends no engine that looks at them."""
    (tmp_path / "start").write_bytes(content)
    reading = read_attempt(tmp_path)
    assert reading is not None
    assert (reading.was_begun, reading.start) == (True, None)


def test_what_cannot_be_read_just_now_is_not_gone(
    tmp_path: Path, no_descriptor_left: Callable[[], None]
) -> None:
    """Without a descriptor nothing is known: not of an attempt, nor of a request, nor of a host."""
    attempt, asked = tmp_path / "attempt", tmp_path / "requests"
    attempt.mkdir()
    asked.mkdir()
    (attempt / "start").write_text("{}")
    requests.leave(asked, StopRun(reason="enough"))
    (tmp_path / "lock").write_text("{}")
    assert read_attempt(attempt) is not None
    assert list(requests.pending(asked))
    assert holder_of(tmp_path / "lock") is None
    us = StreamId("us")
    assert us in sample_trees({us: os.getpid()})
    no_descriptor_left()
    assert read_attempt(attempt) is None
    assert list(requests.pending(asked)) == []
    assert holder_of(tmp_path / "lock") == 0
    with pytest.raises(OSError):
        sample_trees({us: os.getpid()})
