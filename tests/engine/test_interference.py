"""What the engine does to a stream is told from what the stream does by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.interference import NOTICE_SECONDS, Echo, Interference
from anabranch.engine.vitals import VitalsSampler, Watched
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.testing.clock import FakeClock
from tests.engine.test_vitals import wait_until

S = StreamId("s")


@pytest.mark.parametrize(
    ("typed", "output", "is_echo"),
    [
        (b"are you there?\n", [b"are you there?\r\n"], [True]),
        (b"are you there?\n", [b"are you there?\n"], [True]),
        (b"are you there?\n", [b"are ", b"you there?", b"\r", b"\n"], [True] * 4),
        (b"are you there?\n", [b"are you there?\r\nyes\r\n"], [False]),
        (b"are you there?\n", [b"are you there?\r\n", b"yes"], [True, False]),
        (b"are you there?\n", [b"no"], [False]),
        (b"a\nb\n", [b"a\r\nb\r\n"], [True]),
        (b"\x03\x1b[A\n", [b"^C^[[A\r\n"], [True]),
        ("où?\n".encode(), ["où?\r\n".encode()], [True]),
        (b"x\n", [b"x\r\n", b"x\r\n"], [True, False]),
    ],
)
def test_an_echo_is_what_was_typed_and_nothing_else(
    typed: bytes, output: list[bytes], is_echo: list[bool]
) -> None:
    """As a terminal shows it, in however many pieces; the same once more is the program's own."""
    interference = Interference()
    interference.typed(S, 1, typed)
    assert [interference.is_echo(S, 1, piece) for piece in output] == is_echo


def test_what_is_typed_twice_is_shown_twice() -> None:
    echo = Echo()
    echo.typed(b"a\n")
    assert echo.takes(b"a")
    echo.typed(b"b\n")
    assert echo.takes(b"\r\nb\r\n")
    assert not echo.is_expected


def test_an_echo_in_the_log_is_no_output(tmp_path: Path) -> None:
    """The line is there for everybody to read, and the stream has still said nothing."""
    clock, log = FakeClock(), tmp_path / "s.1.log"
    log.write_bytes(b"begun\r\n")
    interference = Interference(clock)
    sampler = VitalsSampler(
        lambda: [Watched(S, 1, None, log, None)], now=clock, interference=interference
    )
    sampler.sample()
    said_at = sampler.vitals[S].last_output_at
    interference.typed(S, 1, b"are you there?\n")
    clock.advance(5.0)
    with log.open("ab") as file:
        file.write(b"are you there?\r\n")
    sampler.sample()
    assert sampler.vitals[S].last_output_at == said_at
    assert sampler.vitals[S].last_line == "are you there?"
    with log.open("ab") as file:
        file.write(b"yes\r\n")
    sampler.sample()
    assert sampler.vitals[S].last_output_at == clock()


def test_what_was_typed_for_an_attempt_that_is_over_is_not_expected_of_the_next() -> None:
    interference = Interference()
    interference.typed(S, Attempt(1), b"x\n")
    assert not interference.is_echo(S, Attempt(2), b"x\r\n")


@pytest.fixture(params=["notices", "polling"])
def watcher(request: pytest.FixtureRequest) -> Iterator[WorkspaceWatcher]:
    """Watch by the kernel's notices, and by comparing."""
    watcher = WorkspaceWatcher(notify=request.param == "notices", poll_seconds=0.05)
    yield watcher
    watcher.close()


def test_files_of_a_command_in_the_workspace_are_no_sign(
    tmp_path: Path, watcher: WorkspaceWatcher
) -> None:
    """They are counted as changes, which they are; the stream itself has done nothing."""
    clock, log = FakeClock(), tmp_path / "log"
    workspace = tmp_path / "w"
    workspace.mkdir()
    interference = Interference(clock)
    sampler = VitalsSampler(
        lambda: [Watched(S, 1, workspace, log, None)], watcher, now=clock, interference=interference
    )
    sampler.sample()
    with interference.at_work_in(S):
        (workspace / "asked").write_text("?")
        wait_until(lambda: watcher.changed_files(S) == 1)
        sampler.sample()
    clock.advance(NOTICE_SECONDS + 1.0)
    sampler.sample()
    assert (sampler.vitals[S].files_changed, sampler.vitals[S].last_change_at) == (1, None)
    (workspace / "answer").write_text("!")
    wait_until(lambda: watcher.changed_files(S) == 2)
    sampler.sample()
    assert sampler.vitals[S].last_change_at is not None


def test_files_that_the_engine_brings_are_no_change_however_long_it_takes(
    tmp_path: Path, watcher: WorkspaceWatcher
) -> None:
    """Not while they are brought, and not while the notices of it may still come."""
    watcher.watch(S, tmp_path)
    with watcher.expecting(S, ["a", "b"]):
        (tmp_path / "a").write_text("theirs")
        with watcher.expecting(S, ["c"]):
            (tmp_path / "c").write_text("theirs")
        (tmp_path / "b").write_text("theirs")
    (tmp_path / "own").write_text("mine")
    wait_until(lambda: watcher.changed_files(S) > 0)
    assert watcher.changed_paths(S, 10) == ["own"]
    os.unlink(tmp_path / "a")
    assert watcher.take_written(S) == ("own",)
