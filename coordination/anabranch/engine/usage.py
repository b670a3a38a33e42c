"""What the machine and the streams use, as news for the engine: only what changes something.

The machine's free memory is reported when it has moved by a share of the whole, or when it crosses
the floor below which nothing starts. A stream's use is reported while it is above what was granted
(and once more when it no longer is); the engine records the turns only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from anabranch.core import inputs
from anabranch.core.deciding.resources import EXCESS_TOLERANCE, shortage_of
from anabranch.core.ids import StreamId
from anabranch.core.model.resources import CPU, MEMORY, excess_key
from anabranch.core.model.state import State
from anabranch.engine.machine_memory import MachineMemory
from anabranch.engine.vitals import Vitals

_MIB = 1 << 20

MATERIAL_SHARE = 0.05
MATERIAL_PRESSURE = 10.0
CPU_MEMORY = 0.8
"""How much of the mean use of processors each tick keeps: some ten ticks count."""


class UsageWatch:
    """Turns measurements into news, once a tick."""

    def __init__(self, short_of: Callable[[], str] = str) -> None:
        self._short_of = short_of
        self._reported: inputs.MachineLoad | None = None
        self._cores: dict[StreamId, float] = {}

    def look(
        self, state: State, vitals: Mapping[StreamId, Vitals], memory: MachineMemory
    ) -> list[inputs.Input]:
        """Return what the engine has to know."""
        found = [*self._machine(state, memory), *self._streams(state, vitals)]
        for gone in self._cores.keys() - state.resources.held.keys():
            del self._cores[gone]
        return found

    def _machine(self, state: State, memory: MachineMemory) -> Iterator[inputs.Input]:
        now = inputs.MachineLoad(
            memory_available_mb=memory.available_mb // 1,
            memory_pressure=memory.waits.some,
            short_of=self._short_of() if state.counts.active else "",
        )
        if self._reported is None or _is_material(state, self._reported, now, memory.total_mb):
            self._reported = now
            yield now

    def _streams(self, state: State, vitals: Mapping[StreamId, Vitals]) -> Iterator[inputs.Input]:
        for stream, held in state.resources.held.items():
            seen = vitals.get(stream)
            if seen is None or seen.attempt != held.attempt or stream not in state.streams:
                continue
            cores = self._mean_cores(stream, (seen.cpu_percent or 0.0) / 100)
            used = {MEMORY: seen.memory_bytes / _MIB, CPU: cores}
            is_over = any(
                used[n] > held.amounts[n] * EXCESS_TOLERANCE for n in used if n in held.amounts
            )
            known = (state.resources.exceeded.get(excess_key(stream, name)) for name in used)
            if is_over or any(e is not None and e.attempt == held.attempt for e in known):
                yield inputs.UsageSeen(
                    stream=stream,
                    attempt=held.attempt,
                    memory_mb=used[MEMORY],
                    cpu_cores=cores,
                    cause=state.streams[stream].cause,
                )

    def _mean_cores(self, stream: StreamId, cores: float) -> float:
        mean = self._cores.get(stream, 0.0) * CPU_MEMORY + cores * (1 - CPU_MEMORY)
        self._cores[stream] = mean
        return mean


def _is_material(
    state: State, before: inputs.MachineLoad, now: inputs.MachineLoad, whole_mb: float
) -> bool:
    moved = abs(now.memory_available_mb - before.memory_available_mb)
    pressed = abs((now.memory_pressure or 0.0) - (before.memory_pressure or 0.0))
    short = shortage_of(state, now.memory_available_mb, now.memory_pressure)
    is_turn = bool(short or now.short_of) != bool(state.resources.shortage)
    return is_turn or moved >= whole_mb * MATERIAL_SHARE or pressed >= MATERIAL_PRESSURE
