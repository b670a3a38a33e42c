"""How hard the machine works, looked at each tick for a run whose width follows it.

Where the kernel tells (pressure stall information, Linux 4.20 and later), how much of the time
processes wait for memory, processors and disks is the best sign there is; else swap and the time
that processors are busy have to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.state import State
from anabranch.engine.vitals import Vitals
from anabranch.plain_files import read_plain

_MIB = 1 << 20
_PRESSURE = Path("/proc/pressure")
_PRESSURE_BYTES = 4096
HORIZON_LOOKS = 3
"""Streams that have grown since the last look are expected to go on like that for so many more."""


class Waits(NamedTuple):
    """Percentages of the last ten seconds in which somebody, or everybody, waited."""

    some: float | None = None
    full: float | None = None


class Machine(NamedTuple):
    """The machine as it is now; seconds, and bytes from swap, are since its start."""

    memory_available_bytes: int
    memory_total_bytes: int
    idle_seconds: float
    whole_seconds: float
    cores: int
    swapped_in_bytes: int
    memory: Waits = Waits()
    cpu: Waits = Waits()
    io: Waits = Waits()


def machine_now() -> Machine:
    """Return how hard the machine works."""
    memory, times = psutil.virtual_memory(), psutil.cpu_times()
    return Machine(
        memory_available_bytes=memory.available,
        memory_total_bytes=memory.total,
        idle_seconds=times.idle + getattr(times, "iowait", 0.0),
        whole_seconds=sum(times[:8]),
        cores=len(os.sched_getaffinity(0)),
        swapped_in_bytes=psutil.swap_memory().sin,
        memory=waits_for("memory"),
        cpu=waits_for("cpu"),
        io=waits_for("io"),
    )


def waits_for(what: str, folder: Path = _PRESSURE) -> Waits:
    """Return how much processes wait for something; nothing where the kernel does not tell."""
    try:
        text = read_plain(folder / what, _PRESSURE_BYTES).decode("ascii")
        means = {line.split()[0]: _mean(line) for line in text.splitlines()}
    except (OSError, ValueError, IndexError):
        return Waits()
    return Waits(means.get("some"), means.get("full"))


def _mean(line: str) -> float:
    """Return ``avg10`` of a line ``some avg10=0.00 avg60=…``."""
    return float(line.split()[1].removeprefix("avg10="))


class PressureWatch:
    """Tells the engine how hard the machine works, tick by tick, if its width depends on that."""

    def __init__(
        self, now: Callable[[], float], measure: Callable[[], Machine] = machine_now
    ) -> None:
        self._now, self._measure = now, measure
        self._largest_mb = 0.0
        self._used: dict[StreamId, float] = {}
        self._before: tuple[float, Machine] | None = None

    def look(self, state: State, vitals: Mapping[StreamId, Vitals]) -> Iterator[inputs.Input]:
        """Yield what the engine has to know."""
        if not state.plan.is_adaptive or state.has_ended:
            return
        machine, before, now = self._measure(), self._before, self._now()
        self._before = (now, machine)
        busy = own = 1.0  # without an earlier look nothing is known: so nothing grows
        swapped_in = 0.0
        if before is not None:
            busy = _busy(machine, before[1])
            own = sum(v.cpu_percent or 0.0 for v in vitals.values()) / 100 / machine.cores
            swapped_in = _swapped_in_mb(machine, before[1], now - before[0])
        used = {name: seen.memory_bytes / _MIB for name, seen in vitals.items()}
        grown = sum(max(0.0, mb - self._used.get(name, 0.0)) for name, mb in used.items())
        self._used = used
        self._largest_mb = max([self._largest_mb, *used.values()])
        yield inputs.PressureSeen(
            memory_available_mb=machine.memory_available_bytes / _MIB,
            memory_total_mb=machine.memory_total_bytes / _MIB,
            growing_mb=self._growing_mb(state, used) + HORIZON_LOOKS * grown,
            largest_mb=self._largest_mb,
            cores=machine.cores,
            busy=busy,
            own=min(own, busy),
            memory_some=machine.memory.some,
            memory_full=machine.memory.full,
            cpu_some=machine.cpu.some,
            io_some=machine.io.some,
            swapped_in_mb=swapped_in,
        )

    def _growing_mb(self, state: State, used: Mapping[StreamId, float]) -> float:
        """Return by how much streams grow still until each has the most that is known of it."""
        return sum(
            max(0.0, self._expected_mb(state, stream.id) - used.get(stream.id, 0.0))
            for stream in active_streams(state)
        )

    def _expected_mb(self, state: State, name: StreamId) -> float:
        return state.stream_plan(name).peak_memory_mb or self._largest_mb


def _busy(now: Machine, before: Machine) -> float:
    """Return the share (0..1) of the processors' time that was used since an earlier look."""
    whole = now.whole_seconds - before.whole_seconds
    idle = now.idle_seconds - before.idle_seconds
    return min(1.0, max(0.0, 1.0 - idle / whole)) if whole > 0 else 1.0


def _swapped_in_mb(now: Machine, before: Machine, seconds: float) -> float:
    """Return how much has come back from swap a second."""
    return (now.swapped_in_bytes - before.swapped_in_bytes) / _MIB / seconds if seconds > 0 else 0.0
