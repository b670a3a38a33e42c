"""Items that are kept while they come: real pipes, and a writer that is really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anabranch.handlers import kept_items as module
from anabranch.handlers.kept_items import LONGEST_LINE_BYTES, EndedEarly, Keeper, kept_items

WRITER = """
import sys
from anabranch.handlers.kept_items import Keeper
keeper = Keeper(0, sys.argv[1])
print("ready", flush=True)
keeper.keep_all()
"""


@contextmanager
def keeping(path: Path) -> Iterator[int]:
    """Keep what is written to a pipe; its end is when this ends."""
    source, sink = os.pipe()
    thread = threading.Thread(target=Keeper(source, str(path)).keep_all)
    thread.start()
    try:
        yield sink
    finally:
        os.close(sink)
        thread.join()


def kept(path: Path, content: bytes) -> list[str]:
    with keeping(path) as sink:
        os.write(sink, content)
    return list(kept_items(str(path)))


def test_an_item_is_there_before_the_next_has_come(tmp_path: Path) -> None:
    """And who begins later, or again, finds them all."""
    path = tmp_path / "items"
    with keeping(path) as sink:
        items = kept_items(str(path))
        os.write(sink, b"one\nt")
        assert next(items) == "one"
        os.write(sink, b"wo\n")
        assert next(items) == "two"
        os.write(sink, b"three")
    assert list(items) == ["three"]
    assert list(kept_items(str(path))) == ["one", "two", "three"]


def test_lines_are_items_whatever_bytes_they_are(tmp_path: Path) -> None:
    assert kept(tmp_path / "a", b"\n a \n\n\xff\n") == [" a ", "\udcff"]
    assert kept(tmp_path / "b", b"") == []


def test_a_line_of_any_length_is_bounded(tmp_path: Path) -> None:
    longest = b"x" * LONGEST_LINE_BYTES

    def write(path: Path, content: bytes) -> list[str]:
        path.write_bytes(content)
        with open(path, "rb") as file:
            Keeper(os.dup(file.fileno()), f"{path}.kept").keep_all()
        return list(kept_items(f"{path}.kept"))

    assert write(tmp_path / "a", longest + b"\nb\n")[1] == "b"
    with pytest.raises(EndedEarly, match="a line of more than"):
        write(tmp_path / "b", longest + b"x\n")


@pytest.mark.parametrize("told", ["1", "1\n2\n3"])
def test_a_writer_that_is_killed_has_not_said_that_this_was_all(tmp_path: Path, told: str) -> None:
    path = tmp_path / "items"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        items = kept_items(str(path))
        writer.stdin.write(told.encode())
        writer.stdin.flush()
        whole = told.count("\n")
        assert [next(items) for _ in range(whole)] == ["1", "2"][:whole]
        while path.stat().st_size < len(told):
            os.sched_yield()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with pytest.raises(EndedEarly, match=f"; {whole} and the beginning of one more had come"):
        next(items)
    with pytest.raises(EndedEarly, match="the console that read them is gone"):
        list(kept_items(str(path)))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    Keeper(folder, str(tmp_path / "items")).keep_all()
    with pytest.raises(EndedEarly, match="Is a directory"):
        list(kept_items(str(tmp_path / "items")))
    with pytest.raises(EndedEarly, match="No such file"):
        list(kept_items(str(tmp_path / "nothing")))


def test_a_part_that_was_lost_is_not_taken_for_all(tmp_path: Path) -> None:
    """As after a power cut: the note of the end is there, and not all that it counts."""
    path = tmp_path / "items"
    assert kept(path, b"a\nb\n") == ["a", "b"]
    os.truncate(path, 2)
    with pytest.raises(EndedEarly):
        list(kept_items(str(path)))


def test_a_disk_that_is_nearly_full_lets_the_source_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, True, False])
    waited: list[float] = []
    monkeypatch.setattr(module, "_is_nearly_full", lambda _: next(answers))
    monkeypatch.setattr("time.sleep", waited.append)
    source, sink = os.pipe()
    os.write(sink, b"a\n")
    os.close(sink)
    Keeper(source, str(tmp_path / "items")).keep_all()
    assert len(waited) == 2
    assert list(kept_items(str(tmp_path / "items"))) == ["a"]


def test_many_items_fill_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "items"
    source = subprocess.Popen(["seq", "300000"], stdout=subprocess.PIPE)
    assert source.stdout is not None
    thread = threading.Thread(target=Keeper(os.dup(source.stdout.fileno()), str(path)).keep_all)
    tracemalloc.start()
    try:
        thread.start()
        assert sum(1 for _ in kept_items(str(path))) == 300_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
        thread.join()
        source.stdout.close()
        source.wait()
