"""Starting processes: holders through ``Processes``, beside the C limit and bare ``Popen``.

The C program does nothing but posix_spawn and wait: no language can be faster on this machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine.clock import RunClock
from anabranch.engine.performers.process_observations import Observations
from anabranch.engine.performers.processes import Processes, ProcessSpec
from anabranch.paths import RunFolder
from benchmarks.graphs import SLOTS
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

COUNT = 300
REPEATS = 5
BUDGET_SECONDS = 10.0

_LIMIT = """
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
extern char **environ;
int main(int count, char **words) {
    int left = atoi(words[1]), slots = atoi(words[2]), running = 0, status;
    char *argv[] = {words[3], NULL};
    while (left > 0 || running > 0) {
        while (left > 0 && running < slots) {
            pid_t pid;
            if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0) return 2;
            left--, running++;
        }
        if (wait(&status) < 0 || status != 0) return 1;
        running--;
    }
    return 0;
}
"""


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the rate with one slot, which is the latency of one process, and with two."""
    for slots in (1, SLOTS):
        contestants: dict[str, Contestant] = {
            "anabranch Processes": lambda slots=slots: _holders(machine, slots),  # type: ignore[misc]
            "bare Popen": lambda slots=slots: _popen(machine, slots),  # type: ignore[misc]
        }
        limit = machine.compiled("limit", _LIMIT)
        if limit is not None:
            argv = (limit, str(COUNT), str(slots), machine.true)
            contestants["C, posix_spawn + wait"] = _limit(machine, argv)
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(
            Row(name, values, Row(name, values).median / COUNT * 1000)
            for name, values in samples.items()
        )
        title = f"Starting {COUNT} processes, {slots} at a time, from start to exit report"
        yield Table(title, "seconds", rows, "ms each")


def _limit(machine: Machine, argv: tuple[str, ...]) -> Contestant:
    folder = machine.folder("limit.run")
    return lambda: timed(argv, folder, machine.environment)


def _popen(machine: Machine, slots: int) -> float:
    began = time.perf_counter()
    running: dict[int, subprocess.Popen[bytes]] = {}
    left = COUNT
    while left or running:
        while left and len(running) < slots:
            process = subprocess.Popen([machine.true], close_fds=False)
            running[process.pid] = process
            left -= 1
        pid, status = os.wait()
        running.pop(pid).returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began


def _holders(machine: Machine, slots: int) -> float:
    return asyncio.run(_run_holders(machine, machine.folder("spawning"), slots))


async def _run_holders(machine: Machine, folder: Path, slots: int) -> float:
    """Start processes through holders and return the seconds from the first start to the end."""
    reports: asyncio.Queue[inputs.Input] = asyncio.Queue()
    home = RunFolder(folder)
    observations = Observations(home, RunClock.begin())
    processes = Processes(home, reports.put_nowait, observations)
    environment = dict(machine.environment)
    await processes.open()
    try:
        await _keep_running(processes, reports, _spec(machine, folder, environment, 0), 1, 1)
        began = time.perf_counter()
        spec = _spec(machine, folder, environment, 1)
        await _keep_running(processes, reports, spec, COUNT, slots)
        return time.perf_counter() - began
    finally:
        await processes.close()


def _spec(machine: Machine, folder: Path, env: dict[str, str], attempt: int) -> ProcessSpec:
    return ProcessSpec(StreamId("t"), attempt, (machine.true,), str(folder), env)


async def _keep_running(
    processes: Processes,
    reports: asyncio.Queue[inputs.Input],
    spec: ProcessSpec,
    count: int,
    slots: int,
) -> None:
    """Keep ``slots`` processes going until ``count`` have ended; raises BenchmarkFailed."""
    begun, ended, first = 0, 0, spec.attempt
    while ended < count:
        while begun < count and begun - ended < slots:
            await processes.start(
                ProcessSpec(spec.stream, first + begun, spec.argv, spec.cwd, spec.env)
            )
            begun += 1
        report = await reports.get()
        if isinstance(report, inputs.ProcessExited) and report.exit_code == 0:
            ended += 1
        elif not isinstance(report, inputs.ProcessStarted):
            raise BenchmarkFailed(f"a process did not end well: {report}")
