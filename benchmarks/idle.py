"""What a run costs while all of its streams only wait.

Nobody else offers the like beside it, so the peer is the machine: one processor's whole time.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Row, Table

STREAMS = 100
SETTLING_SECONDS = 40.0
MEASURED_SECONDS = 20.0
LIFE_SECONDS = 75
DEADLINE_SECONDS = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the share of a processor that a host takes for a hundred sleeping streams."""
    folder = machine.folder("idle")
    streams = "".join(f'[streams.s{n}]\ncommand = "sleep {LIFE_SECONDS}"\n' for n in range(STREAMS))
    plan = f"version = 1\n[coordination]\nmax_parallel = {STREAMS}\n{streams}"
    (folder / "anabranch.toml").write_text(plan, "utf-8")
    host = subprocess.Popen(
        [*machine.anabranch, "run", "--headless"],
        cwd=folder,
        env=dict(machine.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(SETTLING_SECONDS)
        began, before = time.perf_counter(), _cpu_seconds(host.pid)
        time.sleep(MEASURED_SECONDS)
        if host.poll() is not None:
            raise BenchmarkFailed(f"the run ended too soon, with {host.returncode}")
        used = _cpu_seconds(host.pid) - before
        share = used / (time.perf_counter() - began) * 100
        host.wait(DEADLINE_SECONDS)
    finally:
        host.kill()
        host.wait()
    if host.returncode != 0:
        raise BenchmarkFailed(f"the run ended with {host.returncode}")
    rows = (Row(f"host of {STREAMS} sleeping streams", (share,)), Row("a processor", (100.0,)))
    yield Table("idle cost", "% of a processor", rows)


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process that is our child."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text("ascii").split()[0])
        except (OSError, ValueError):
            continue
    return nanoseconds / 1e9
