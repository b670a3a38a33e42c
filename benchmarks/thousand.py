"""Streams by the thousand: real processes, all at once, operated, their console killed, converged.

The peer is the same with a tenth of them: what is linear has the same price a stream. Nothing else
is compared, as nothing else keeps a thousand workspaces and merges them. It takes minutes, so it
runs only where it is asked for by name.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Row, Table, timed

MANY, FEW = 1000, 100
PATIENCE_SECONDS = 600.0
LOOK_SECONDS = 0.2
PLAN = """version = 1
[coordination]
max_parallel = {count}
[streams]
{streams}
"""
STREAM = 's{n} = "echo {n} > f{n}; until test -e {gate}; do sleep 2; done"'


@dataclass
class Measured:
    """What one run of so many streams took."""

    count: int
    seconds: dict[str, float] = field(default_factory=dict)
    engine_bytes: int = 0


def tables(machine: Machine) -> Iterator[Table]:
    """Yield what each step took, for many streams and for few."""
    runs = [_measured(machine, count) for count in (MANY, FEW)]
    names = [f"{run.count:,} streams at once" for run in runs]
    for step in runs[0].seconds:
        rows = tuple(
            Row(name, (run.seconds[step],), run.seconds[step] / run.count * 1000)
            for name, run in zip(names, runs, strict=True)
        )
        yield Table(f"Streams by the thousand: {step}", "seconds", rows, "ms a stream")
    many, few = runs
    slope = (many.engine_bytes - few.engine_bytes) / (many.count - few.count) / 1000
    rows = tuple(
        Row(name, (run.engine_bytes / 1e6,)) for name, run in zip(names, runs, strict=True)
    )
    note = f"{slope:.1f} KB for each stream more"
    yield Table("Streams by the thousand: memory of the engine", "MB", rows, "", (note,))


class _Hosted:
    """A command that hosts the run, and what it has said."""

    def __init__(self, machine: Machine, folder: Path, *words: str) -> None:
        self._output = folder.with_name(f"{folder.name}.{words[0]}.txt")
        with self._output.open("wb") as sink:
            self.process = subprocess.Popen(
                (*machine.anabranch, *words),
                cwd=folder,
                env=dict(machine.environment),
                stdout=sink,
                stderr=sink,
            )

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    def memory_bytes(self) -> int:
        """Return how much memory it has in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (one for one in status.splitlines() if one.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def end(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()


def _measured(machine: Machine, count: int) -> Measured:
    folder, gate = machine.repository(f"thousand-{count}", 1), machine.scratch / f"gate-{count}"
    streams = "\n".join(STREAM.format(n=n, gate=gate) for n in range(count))
    (folder / "anabranch.toml").write_text(PLAN.format(count=count, streams=streams), "utf-8")
    run = Measured(count)
    host = _Hosted(machine, folder, "run", "--headless")
    try:
        _step(run, "until all run", lambda: host.said.count(" started, pid ") >= count)
        run.engine_bytes = host.memory_bytes()
        asked = timed((*machine.anabranch, "status"), folder, machine.environment)
        run.seconds["status, while all run"] = asked
        host.end()
        host = _Hosted(machine, folder, "resume", "--headless")
        adopted = f"{count} processes adopted"
        _step(run, "killed: until all are adopted", lambda: adopted in host.said)
        gate.touch()
        _step(run, "until all are merged", lambda: host.process.poll() is not None)
        if host.process.returncode != 0 or "converged" not in host.said:
            raise BenchmarkFailed(f"{count} streams did not converge: {host.said[-400:]}")
        _check(folder, count)
    finally:
        gate.touch()
        host.end()
    return run


def _step(run: Measured, name: str, is_over: Callable[[], bool]) -> None:
    """Wait until a step is over, and note how long it took."""
    began = time.perf_counter()
    while not is_over():
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise BenchmarkFailed(f"{run.count} streams: {name}: not within {PATIENCE_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
    run.seconds[name] = time.perf_counter() - began


def _check(folder: Path, count: int) -> None:
    """Raise BenchmarkFailed unless the result has the work of every stream."""
    branches = _git(folder, "for-each-ref", "--format=%(refname)", "refs/heads/anabranch")
    names = _git(folder, "ls-tree", "--name-only", branches.split()[-1]).split()
    missing = {f"f{n}" for n in range(count)} - set(names)
    if missing:
        raise BenchmarkFailed(f"the result lacks the work of {len(missing)} streams")


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ("git", *words), cwd=folder, check=True, capture_output=True, text=True
    ).stdout
