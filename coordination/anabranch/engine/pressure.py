"""How hard the machine works, looked at each tick for a run whose width follows it.

Where the kernel tells (pressure stall information, Linux 4.20 and later), how much of the time
processes wait for memory, processors and disks is the best sign there is; else swap and the time
that processors are busy have to do.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import psutil
from msgspec import structs

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.state import State
from anabranch.engine.machine_memory import MachineMemory
from anabranch.engine.pressure_samples import MOST_SAMPLES, Sample, Waits
from anabranch.engine.stalls import waits_for
from anabranch.engine.vitals import Vitals

_MIB = 1 << 20
WANTED_SECONDS = 15.0
"""For so long the machine is looked at after somebody has asked; longer than between two ticks."""
HORIZON_LOOKS = 3
"""Streams that have grown since the last look are expected to go on like that for so many more."""


class Machine(NamedTuple):
    """What else the machine does; seconds, and bytes from swap and disks, are since its start."""

    idle_seconds: float
    whole_seconds: float
    cores: int
    swapped_in_bytes: int
    cpu: Waits = Waits()
    io: Waits = Waits()
    disk_bytes: int | None = None


def machine_now() -> Machine:
    """Return how hard the machine works."""
    times = psutil.cpu_times()
    return Machine(
        idle_seconds=times.idle + getattr(times, "iowait", 0.0),
        whole_seconds=sum(times[:8]),
        cores=len(os.sched_getaffinity(0)),
        swapped_in_bytes=psutil.swap_memory().sin,
        cpu=waits_for("cpu"),
        io=waits_for("io"),
        disk_bytes=_disk_bytes(),
    )


def _disk_bytes() -> int | None:
    """Return what was read from disks and written to them; None where nobody counts it."""
    try:
        counted = psutil.disk_io_counters()
    except (OSError, RuntimeError, ValueError):
        return None
    return counted.read_bytes + counted.write_bytes if counted is not None else None


class MachineWatch:
    """Looks at the machine while that is needed, and keeps what it was like in the last minutes.

    Args:
        now: the monotonic clock.
        measure: looks at the rest of the machine.
    """

    def __init__(
        self, now: Callable[[], float], measure: Callable[[], Machine] = machine_now
    ) -> None:
        self._now, self._measure = now, measure
        self._kept: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._samples: tuple[Sample, ...] = ()
        self._before: tuple[float, Machine] | None = None
        self._wanted_until = -math.inf

    def samples(self) -> tuple[Sample, ...]:
        """Return what is known, the newest last, and go on looking for a while; any thread may."""
        self._wanted_until = self._now() + WANTED_SECONDS
        return self._samples

    def look(
        self,
        vitals: Mapping[StreamId, Vitals],
        memory: MachineMemory,
        *,
        is_needed: bool = False,
    ) -> Sample | None:
        """Look at the machine if it is needed, or somebody has asked for samples of late."""
        now = self._now()
        if not (is_needed or now <= self._wanted_until):
            self._before = None
            return None
        before, machine = self._before, self._measure()
        self._before = (now, machine)
        sample = Sample(
            at=now,
            cores=machine.cores,
            memory_available_mb=memory.available_mb,
            memory_total_mb=memory.total_mb,
            cpu=machine.cpu,
            memory=memory.waits,
            io=machine.io,
        )
        if before is not None:
            seconds, earlier = now - before[0], before[1]
            own = sum(v.cpu_percent or 0.0 for v in vitals.values()) / 100 / machine.cores
            swapped = machine.swapped_in_bytes - earlier.swapped_in_bytes
            sample = structs.replace(
                sample,
                busy=_busy(machine, earlier),
                own=own,
                swapped_in_mb=_mb_a_second(swapped, seconds),
                disk_mb=_disk_mb(machine, earlier, seconds),
            )
        self._kept.append(sample)
        self._samples = tuple(self._kept)
        return sample


class PressureWatch:
    """Tells the engine how hard the machine works, tick by tick, if its width depends on that."""

    def __init__(
        self, now: Callable[[], float], measure: Callable[[], Machine] = machine_now
    ) -> None:
        self.machine = MachineWatch(now, measure)
        self._largest_mb = 0.0
        self._used: dict[StreamId, float] = {}

    def look(
        self, state: State, vitals: Mapping[StreamId, Vitals], memory: MachineMemory
    ) -> Iterator[inputs.Input]:
        """Yield what the engine has to know."""
        if state.has_ended:
            return
        sample = self.machine.look(vitals, memory, is_needed=state.plan.is_adaptive)
        if sample is None or not state.plan.is_adaptive:
            return
        used = {name: seen.memory_bytes / _MIB for name, seen in vitals.items()}
        grown = sum(max(0.0, mb - self._used.get(name, 0.0)) for name, mb in used.items())
        self._used = used
        self._largest_mb = max([self._largest_mb, *used.values()])
        # without an earlier look nothing is known: so nothing grows
        busy = 1.0 if sample.busy is None else sample.busy
        yield inputs.PressureSeen(
            memory_available_mb=sample.memory_available_mb,
            memory_total_mb=sample.memory_total_mb,
            growing_mb=self._growing_mb(state, used) + HORIZON_LOOKS * grown,
            largest_mb=self._largest_mb,
            cores=sample.cores,
            busy=busy,
            own=busy if sample.own is None else min(sample.own, busy),
            memory_some=sample.memory.some,
            memory_full=sample.memory.full,
            cpu_some=sample.cpu.some,
            io_some=sample.io.some,
            swapped_in_mb=sample.swapped_in_mb or 0.0,
        )

    def _growing_mb(self, state: State, used: Mapping[StreamId, float]) -> float:
        """Return by how much streams grow still until each has the most that is known of it."""
        names = [stream.id for stream in active_streams(state)]
        expected = {name: state.expected_memory_mb(name) or self._largest_mb for name in names}
        return sum(max(0.0, mb - used.get(name, 0.0)) for name, mb in expected.items())


def _busy(now: Machine, before: Machine) -> float:
    """Return the share (0..1) of the processors' time that was used since an earlier look."""
    whole = now.whole_seconds - before.whole_seconds
    idle = now.idle_seconds - before.idle_seconds
    return min(1.0, max(0.0, 1.0 - idle / whole)) if whole > 0 else 1.0


def _disk_mb(now: Machine, before: Machine, seconds: float) -> float | None:
    """Return how much disks read and wrote a second."""
    if now.disk_bytes is None or before.disk_bytes is None:
        return None
    return _mb_a_second(now.disk_bytes - before.disk_bytes, seconds)


def _mb_a_second(count: int, seconds: float) -> float:
    return max(0, count) / _MIB / seconds if seconds > 0 else 0.0
