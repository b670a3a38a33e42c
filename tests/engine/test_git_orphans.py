"""What an engine that was killed had begun with git is ended; what others do goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from anabranch.engine.git_calls import MARK, mark_of_process
from anabranch.engine.git_orphans import end_git_orphans
from tests.e2e.program import until
from tests.engine.repositories import make_repository

BEGINS_A_LONG_CALL = """
from pathlib import Path
from anabranch.engine.git import Git
said = "!echo $$ > {said}; exec sleep 300"
Git(cwd=Path("{folder}")).run("slow", config=(("alias.slow", said),))
"""


def begun_by_another(folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Have another process begin a long call; return it, and where the call says its number."""
    repository, said = make_repository(folder / "repo", {"a": "1"}), folder / "said"
    program = BEGINS_A_LONG_CALL.format(folder=repository, said=said)
    engine = subprocess.Popen([sys.executable, "-c", program])
    until(lambda: said.exists() and said.read_text().endswith("\n"), "the call is under way")
    return engine, said


@pytest.fixture
def under_way(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """An engine and the process of its call, held so that its number is nobody else's."""
    engine, said = begun_by_another(tmp_path)
    call = os.pidfd_open(int(said.read_text()))
    try:
        yield engine, call
    finally:
        engine.kill()
        engine.wait()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(call, signal.SIGKILL)
        os.close(call)


def lives(call: int) -> bool:
    try:
        signal.pidfd_send_signal(call, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_call_of_an_engine_that_was_killed_is_ended(
    under_way: tuple[subprocess.Popen[bytes], int],
) -> None:
    engine, call = under_way
    end_git_orphans()
    assert lives(call), "its engine waits for it"
    engine.kill()
    engine.wait()
    assert lives(call), "nobody has ended it with its engine"
    end_git_orphans()
    until(lambda: not lives(call), "it has ended")


def test_who_bears_no_mark_or_that_of_a_living_one_goes_on() -> None:
    """Also one that has the number of a process that is gone, and was started at another time."""
    ours = subprocess.Popen(["sleep", "60"], env=os.environ | {MARK: mark_of_process()})
    strangers = subprocess.Popen(["sleep", "60"], env=os.environ | {MARK: "none"})
    gone = subprocess.Popen(["sleep", "60"], env=os.environ | {MARK: f"{os.getpid()}.1"})
    try:
        end_git_orphans()
        assert gone.wait(10) == -signal.SIGTERM
        assert (ours.poll(), strangers.poll()) == (None, None)
    finally:
        for process in (ours, strangers, gone):
            process.kill()
            process.wait()
