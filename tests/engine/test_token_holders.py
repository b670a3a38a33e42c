"""How many tokens living processes could have, by what they run and have open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.engine import token_holders
from anabranch.engine.token_fifo import TokenFifo
from anabranch.engine.token_holders import most_held
from anabranch.engine.token_ledger import Ledger, figures, read_ledger, write_ledger
from anabranch.paths import RunFolder

CLIENT = """
import os, subprocess, sys, threading
fifo = open(sys.argv[1], "r+b", 0) if sys.argv[1] else None
children = [subprocess.Popen(["sleep", "60"]) for _ in range(int(sys.argv[2]))]
for _ in range(int(sys.argv[3])):
    threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()
more = [os.open(os.devnull, os.O_RDONLY) for _ in range(int(sys.argv[4]))]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[TokenFifo]:
    os.mkfifo(tmp_path / "jobs")
    found = TokenFifo(tmp_path / "jobs")
    yield found
    found.close()


@pytest.mark.parametrize(
    ("is_open", "children", "threads", "held"),
    [
        (True, 0, 0, 0),
        (True, 1, 0, 0),
        (True, 3, 0, 2),
        (True, 0, 4, 4),
        (True, 3, 4, 4),
        (False, 3, 4, 0),
    ],
)
def test_a_client_has_a_token_for_each_child_or_thread_but_one(
    tmp_path: Path, fifo: TokenFifo, is_open: bool, children: int, threads: int, held: int
) -> None:
    """Nobody has any who has not opened the fifo, whatever it runs."""
    path = str(tmp_path / "jobs") if is_open else ""
    with client(path, children, threads) as running:
        assert most_held(os.getpid(), fifo.identity) == held
        assert running.poll() is None
    assert most_held(os.getpid(), fifo.identity) == 0


def test_what_would_take_too_long_to_look_through_is_not_known(
    fifo: TokenFifo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream with files or processes without end keeps nobody else waiting."""
    with client("", 2, 0, token_holders.MOST_OPEN_FILES - 50):
        assert most_held(os.getpid(), fifo.identity) == 0
    with client("", 0, 0, token_holders.MOST_OPEN_FILES + 50):
        assert most_held(os.getpid(), fifo.identity) is None
    with client("", 3, 0):
        monkeypatch.setattr(token_holders, "MOST_PROCESSES", 2)
        assert most_held(os.getpid(), fifo.identity) is None


def test_a_ledger_that_cannot_be_one_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert figures(folder, is_over=False) is None
    write_ledger(folder, Ledger(4, 2, 1, 3, 1, {"a.1": 2}))
    assert read_ledger(folder) == Ledger(4, 2, 1, 3, 1, {"a.1": 2})
    told = {"slots": 4, "lent": 2, "in_use": 1, "most_in_use": 3, "put_back": 1}
    assert figures(folder, is_over=False) == told
    assert figures(folder, is_over=True) == {**told, "lent": 0, "in_use": 0}
    for written in ('{"loans": {"a.1": -3}}', '{"loans": {"a.1": 99999999999}}', "[]", ""):
        folder.tokens.write_text(written)
        assert read_ledger(folder) is None
    folder.tokens.unlink()
    folder.tokens.symlink_to("/dev/zero")
    assert read_ledger(folder) is None


def client(fifo: str, children: int, threads: int, files: int = 0) -> subprocess.Popen[str]:
    """Start a process with so many of each; it ends with the ``with`` that it is started in."""
    running = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CLIENT, fifo, *map(str, (children, threads, files))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    return running
