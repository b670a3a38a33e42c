"""The live facts about streams, taken from real processes, logs and folders."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.process_table import parse_stat, sample_trees
from anabranch.engine.vitals import VitalsSampler, Watched
from anabranch.engine.watching import WorkspaceWatcher

S = StreamId("s")
DEADLINE_SECONDS = 60.0
# Starts two sleeping children, says so, and waits for a line before it ends them.
TREE = """
import subprocess, sys
children = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
print("ready", flush=True)
sys.stdin.readline()
for child in children:
    child.kill()
    child.wait()
"""
# Burns processor time in a child that it waits for, then says so and waits for a line.
BURNED = """
import subprocess, sys
burn = "import time; end = time.process_time() + 0.2\\nwhile time.process_time() < end: pass"
subprocess.run([sys.executable, "-I", "-S", "-c", burn])
print("ready", flush=True)
sys.stdin.readline()
"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again until the condition holds, at most for the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        pause.wait(0.005)


Spawn = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a Python program that stands for a holder, wait for its word, and end it afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.communicate(b"\n", timeout=DEADLINE_SECONDS)


def test_a_tree_counts_what_is_below_its_holder(spawn: Spawn) -> None:
    """Processes and memory of the children, none of the holder itself."""
    holder = spawn(TREE)
    usage = sample_trees({S: holder.pid})[S]
    assert usage.processes == 2
    assert usage.memory_bytes > 0
    assert usage.holder_started_ticks > 0


def test_each_process_belongs_to_its_nearest_holder(spawn: Spawn) -> None:
    """A holder below another keeps its processes for itself; unknown ones are missing."""
    inner, here = spawn(TREE), StreamId("here")
    usages = sample_trees({S: inner.pid, here: os.getpid(), StreamId("gone"): 2**22 + 1})
    assert usages.keys() == {S, here}
    assert usages[S].processes == 2
    assert usages[here].processes == 0
    assert sample_trees({}) == {}


def test_time_of_ended_children_still_counts(spawn: Spawn) -> None:
    """What a holder waited for remains in the sum of its stream."""
    holder = spawn(BURNED)
    usage = sample_trees({S: holder.pid})[S]
    assert usage.processes == 0
    assert usage.cpu_seconds >= 0.15


def test_a_process_may_call_itself_anything() -> None:
    """Brackets and spaces in a name do not shift the fields."""
    fields = b"R 7 " + b" ".join(b"%d" % number for number in range(5, 53))
    process = parse_stat(b"42 (a) R 1 (b) " + fields + b"\n")
    assert process is not None
    assert (process.parent, process.state) == (7, b"R")
    assert (process.own_ticks, process.reaped_ticks) == (14 + 15, 16 + 17)
    assert (process.started_ticks, process.resident_pages) == (22, 24)
    assert parse_stat(b"42 (cut) R 1") is None


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the stream's output goes."""
    return tmp_path / "s.1.log"


def test_never_heard_from_is_none(log: Path) -> None:
    """No output and no change have no age; an empty log is no output."""
    log.touch()
    sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, None)], now=Clock())
    sampler.sample()
    vitals = sampler.vitals[S]
    assert vitals.last_output_at is None
    assert vitals.progress_age_seconds is None
    assert (vitals.alive, vitals.cpu_percent) == (None, None)
    assert vitals.evidence == "no output yet"


def test_output_is_noticed_and_ages(log: Path) -> None:
    """The last line is shown safely, and only news mark the stream as changed."""
    clock = Clock()
    sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, None)], now=clock)
    sampler.sample()
    assert sampler.take_dirty() == {S}
    log.write_bytes(b"one\n\x1b[31mtwo\x1b[0m\n")
    sampler.sample()
    vitals = sampler.vitals[S]
    assert vitals.last_line == "two"
    assert vitals.last_output_at == pytest.approx(100.0, abs=1.0)
    clock.seconds += 20
    sampler.sample()
    assert sampler.vitals[S].progress_age_seconds == pytest.approx(20, abs=1.0)
    sampler.take_dirty()
    clock.seconds += 0.001
    sampler.sample()
    assert sampler.take_dirty() == set()


def test_an_adopted_log_is_as_old_as_its_last_write(log: Path) -> None:
    """Output from before we looked keeps its true age, and a clock set back makes none."""
    log.write_bytes(b"long ago\n")
    written = log.stat().st_mtime
    wall = Clock()
    for wall.seconds, expected in ((written + 40, 60.0), (written - 500, 100.0)):
        sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, None)], now=Clock(), wall=wall)
        sampler.sample()
        assert sampler.vitals[S].last_output_at == pytest.approx(expected)


def test_changed_files_are_counted_while_the_stream_runs(tmp_path: Path, log: Path) -> None:
    """Its workspace is watched from its first tick to its last."""
    workspace = tmp_path / "w"
    watcher = WorkspaceWatcher()
    running = [Watched(S, 1, workspace, log, None)]
    sampler = VitalsSampler(lambda: running, watcher)
    try:
        sampler.sample()
        workspace.mkdir()
        sampler.sample()
        (workspace / "f").write_text("x")
        wait_until(lambda: watcher.changed_files(S) == 1)
        sampler.sample()
        assert sampler.vitals[S].progress_age_seconds is not None
        assert "files changed 0 s ago" in sampler.vitals[S].evidence
        running.clear()
        sampler.sample()
        assert not watcher.is_watching(S)
        assert sampler.vitals[S].files_changed == 1
        assert sampler.vitals[S].evidence == "not running"
    finally:
        watcher.close()


def test_processor_use_is_measured_and_never_negative(spawn: Spawn, log: Path) -> None:
    """A tree that sleeps is not busy; one whose children vanish is at 0, not below."""
    clock = Clock()
    holder = spawn(TREE)
    sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, holder.pid)], now=clock)
    sampler.sample()
    assert sampler.vitals[S].cpu_percent is None
    assert sampler.vitals[S].evidence == "no output yet, 2 processes"
    clock.seconds += 1
    sampler.sample()
    vitals = sampler.vitals[S]
    assert (vitals.alive, vitals.busy, vitals.processes) == (True, False, 2)
    assert vitals.cpu_percent is not None
    assert 0 <= vitals.cpu_percent < 2
    track = sampler._tracks[S]
    assert track.cpu is not None
    track.cpu.seconds += 5
    clock.seconds += 1
    sampler.sample()
    assert sampler.vitals[S].cpu_percent == 0


def test_work_makes_a_stream_busy(spawn: Spawn, log: Path) -> None:
    """A child that computes shows as processor use."""
    program = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"])
print("ready", flush=True)
sys.stdin.readline()
child.kill()
child.wait()
"""
    holder = spawn(program)
    sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, holder.pid)])

    def is_busy() -> bool:
        sampler.sample()
        return sampler.vitals[S].busy

    wait_until(is_busy)
    vitals = sampler.vitals[S]
    assert vitals.cpu_percent is not None
    assert vitals.cpu_percent >= 2
    assert vitals.last_busy_at is not None


def test_a_gone_holder_is_told(log: Path) -> None:
    """Neither a missing process nor a later one with the same id passes for the holder."""
    sampler = VitalsSampler(lambda: [Watched(S, 1, None, log, os.getpid())])
    sampler.sample()
    assert sampler.vitals[S].alive is True
    track = sampler._tracks[S]
    assert track.cpu is not None
    track.cpu.holder_started_ticks -= 1
    sampler.sample()
    assert sampler.vitals[S].alive is False
    assert sampler.vitals[S].evidence == "no output yet, its holder is gone"


def test_a_new_attempt_begins_anew(tmp_path: Path) -> None:
    """Nothing of the attempt before clings to the next."""
    first, second = tmp_path / "s.1.log", tmp_path / "s.2.log"
    first.write_bytes(b"old\n")
    running = [Watched(S, 1, None, first, None)]
    sampler = VitalsSampler(lambda: running)
    sampler.sample()
    running[:] = [Watched(S, 2, None, second, None)]
    sampler.sample()
    vitals = sampler.vitals[S]
    assert (vitals.attempt, vitals.last_line) == (2, "")


def test_the_thread_samples_until_stopped_and_survives_failures(log: Path) -> None:
    """One failing tick does not end the sampling."""
    failed = threading.Event()

    def streams() -> list[Watched]:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("not ready")
        return [Watched(S, 1, None, log, None)]

    sampler = VitalsSampler(streams)
    sampler.start()
    try:
        wait_until(lambda: S in sampler.vitals)
    finally:
        sampler.stop()
    assert sampler.take_dirty() == {S}


@pytest.mark.parametrize(
    ("quiet_seconds", "age"),
    [(3, "3 s"), (47, "40 s"), (400, "6 min"), (9000, "2 h")],
)
def test_evidence_tells_ages_more_coarsely_the_longer_they_last(
    log: Path, quiet_seconds: int, age: str
) -> None:
    """So the sentence of a quiet stream seldom changes."""
    log.write_bytes(b"words\n")
    written = log.stat().st_mtime
    sampler = VitalsSampler(
        lambda: [Watched(S, 1, None, log, None)],
        now=Clock(),
        wall=lambda: written + quiet_seconds + 0.5,
    )
    sampler.sample()
    assert sampler.vitals[S].evidence == f"output {age} ago"


def test_evidence_reads_as_a_sentence(spawn: Spawn, log: Path) -> None:
    """Output, processes and processor, in this order."""
    clock = Clock()
    holder = spawn(TREE)
    log.write_bytes(b"words\n")
    written = log.stat().st_mtime
    sampler = VitalsSampler(
        lambda: [Watched(S, 1, None, log, holder.pid)], now=clock, wall=lambda: written + 2.5
    )
    sampler.sample()
    clock.seconds += 1
    sampler.sample()
    assert sampler.vitals[S].evidence == "output 3 s ago, 2 processes, 0 % CPU"
