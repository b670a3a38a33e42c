"""A whole run with many handlers beside one with few: memory while it runs, questions afterwards.

The peers are the same run with few handlers: what is flat has a ratio near one.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anabranch.engine.performers.fanning import CROWD_PROGRAM
from benchmarks.graphs import SLOTS
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

FEW = 2000
QUESTIONS = (("status",), ("report",), ("report", "--format", "junit"))
REPEATS = 5
BUDGET_SECONDS = 10.0
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
PATIENCE_SECONDS_EACH = 0.005
ENGINE, CROWD = "the engine", "the program that runs handlers"


@dataclass(frozen=True)
class Watched:
    """A run that has ended: where, and the most bytes that each of its programs held."""

    folder: Path
    peaks: dict[str, int]
    seconds: float


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the memory of engine and program, and how long questions about the run take."""
    counts = (machine.handlers, FEW)
    runs = {count: _run(machine, count) for count in counts}
    many, few = runs[machine.handlers], runs[FEW]
    names = [f"a run of {count:,} handlers" for count in counts]
    each = [run.seconds / count * 1000 for count, run in runs.items()]
    rows = tuple(Row(name, (value,)) for name, value in zip(names, each, strict=True))
    yield Table("Handlers in a whole run: the price of one", "ms a handler", rows)
    for program in (CROWD, ENGINE):
        peaks = [run.peaks[program] for run in (many, few)]
        slope = (peaks[0] - peaks[1]) / (machine.handlers - FEW)
        rows = tuple(Row(n, (peak / 1e6,)) for n, peak in zip(names, peaks, strict=True))
        note = f"{slope:.0f} bytes for each handler more"
        yield Table(f"Handlers in a whole run: peak memory of {program}", "MB", rows, "", (note,))
    for question in QUESTIONS:
        contestants = {
            name: _asked(machine, run, question)
            for name, run in zip(names, (many, few), strict=True)
        }
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(Row(name, values) for name, values in samples.items())
        yield Table(f"Handlers in a whole run: {' '.join(question)} afterwards", "ms", rows)


def _asked(machine: Machine, run: Watched, question: tuple[str, ...]) -> Contestant:
    argv = (*machine.anabranch, *question)
    return lambda: timed(argv, run.folder, machine.environment) * 1000


def _run(machine: Machine, count: int) -> Watched:
    """Run that many handlers that do nothing; raises BenchmarkFailed."""
    folder = machine.repository(f"fan-{count}", 1)
    plan = f"""version = 1
[streams.fan]
each = {{ lines_of = "seq {count}" }}
command = ["{machine.true}"]
max_parallel = {SLOTS}
"""
    (folder / "anabranch.toml").write_text(plan, "utf-8")
    argv = (*machine.anabranch, "run", "--headless")
    output = folder / "output.txt"
    with output.open("wb") as sink:
        began = time.perf_counter()
        host = subprocess.Popen(
            argv, cwd=folder, env=dict(machine.environment), stdout=sink, stderr=sink
        )
        try:
            patience = PATIENCE_SECONDS + count * PATIENCE_SECONDS_EACH
            peaks = _watch(machine, host, began + patience)
        finally:
            host.kill()
            host.wait()
    seconds = time.perf_counter() - began
    if host.returncode != 0 or len(peaks) < 2:
        said = output.read_text(errors="replace")[-600:]
        raise BenchmarkFailed(f"a run of {count} handlers ended with {host.returncode}: {said}")
    return Watched(folder, peaks, seconds)


def _watch(machine: Machine, host: subprocess.Popen[bytes], ends_at: float) -> dict[str, int]:
    """Look at the memory of a run's programs until it ends; return the most that each held."""
    peaks: dict[str, int] = {}
    crowd: int | None = None
    while host.poll() is None and time.perf_counter() < ends_at:
        if crowd is None:
            crowd = _crowd_of(machine)
        for program, pid in ((ENGINE, host.pid), (CROWD, crowd)):
            if pid is not None:
                peaks[program] = max(peaks.get(program, 0), _peak_bytes(pid))
        time.sleep(LOOK_SECONDS)
    return {program: peak for program, peak in peaks.items() if peak}


def _crowd_of(machine: Machine) -> int | None:
    """Return the program that runs handlers for a run in our scratch folder."""
    wanted = str(CROWD_PROGRAM).encode(), str(machine.scratch).encode()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            words = _read(f"/proc/{entry}/cmdline")
            if all(word in words for word in wanted):
                return int(entry)
    return None


def _peak_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
