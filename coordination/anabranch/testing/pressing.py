"""A machine that is now idle, now short of something: how hard it works, from a seed."""

from __future__ import annotations

from random import Random

from anabranch.core import inputs


def random_pressure(rng: Random) -> inputs.PressureSeen:
    """Return what may be seen of a machine; the width of an adaptive run follows it."""
    is_short = rng.random() < 0.4
    return inputs.PressureSeen(
        memory_available_mb=rng.choice((300.0, 900.0)) if is_short else 60_000.0,
        memory_total_mb=64_000.0,
        growing_mb=0.0,
        largest_mb=100.0,
        cores=8,
        busy=rng.choice((0.2, 0.2, 0.99)),
        own=rng.choice((0.2, 0.9)),
        memory_some=rng.choice((50.0, 0.0)) if is_short else 0.0,
        memory_full=0.0,
        cpu_some=0.0,
        io_some=0.0,
    )
