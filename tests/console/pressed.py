"""A run whose width follows a machine under pressure, to look at."""

from __future__ import annotations

from math import sin
from pathlib import Path

from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.engine.pressure_samples import Sample, Waits
from tests.console.scripted_source import ScriptedSource, plan_of, stream

CALM = inputs.PressureSeen(
    memory_available_mb=9000.0,
    memory_total_mb=16384.0,
    growing_mb=0.0,
    largest_mb=300.0,
    cores=4,
    busy=0.5,
    own=0.4,
)


def sample(second: int, **facts: object) -> Sample:
    """Return the machine at a second: busy in waves, short of memory now and then."""
    wave = (1 + sin(second / 20)) / 2
    known: dict[str, object] = {
        "at": 1000.0 + second,
        "cores": 4,
        "memory_available_mb": 9000.0 - 5000.0 * wave,
        "memory_total_mb": 16384.0,
        "busy": 0.3 + 0.6 * wave,
        "own": 0.2 + 0.5 * wave,
        "swapped_in_mb": 0.0,
        "disk_mb": 30.0 * wave,
        "cpu": Waits(40.0 * wave),
        "memory": Waits(max(0.0, 36.0 * wave - 20.0)),
        "io": Waits(5.0 * wave),
        **facts,
    }
    return Sample(**known)  # type: ignore[arg-type]


def pressed_source(folder: Path, *, streams: int = 8, adaptive: bool = True) -> ScriptedSource:
    """Return a run some minutes old: its width grew, and was cut for memory."""
    plans = [
        stream(f"build-{number}", peak_memory_mb=900.0 if number % 2 else None)
        for number in range(streams)
    ]
    source = ScriptedSource(plan_of(plans, parallel=2, is_adaptive=adaptive), folder)
    source.feed(inputs.MachineSeen(capacity={"cpu_cores": 4.0, "memory_mb": 16384.0}))
    source.pass_time(41.0)
    source.feed(CALM)
    source.pass_time(60.0)
    source.feed(replace(CALM, memory_some=12.4))
    source.pass_time(90.0)
    for number in range(streams):
        name = f"build-{number}"
        if source.state.streams[name].pid:  # type: ignore[index]
            percent, megabytes = 160.0 - 50 * number, 120 + 400 * number
            source.speak(name, "cc", cpu_percent=percent, memory_bytes=megabytes << 20)
    source.samples = tuple(sample(second) for second in range(190))
    return source
