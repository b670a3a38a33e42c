"""The machine's memory: read once a tick, and handed to all who decide by it."""

from __future__ import annotations

from typing import NamedTuple

import psutil

from anabranch.engine.pressure_samples import Waits
from anabranch.engine.stalls import waits_for

_MIB = 1 << 20


class MachineMemory(NamedTuple):
    """The machine's memory in MB, and how much processes wait for it."""

    available_mb: float
    total_mb: float
    waits: Waits = Waits()


def memory_now() -> MachineMemory:
    """Return the machine's memory as it is now. Raises OSError where that cannot be read."""
    memory = psutil.virtual_memory()
    return MachineMemory(memory.available / _MIB, memory.total / _MIB, waits_for("memory"))
