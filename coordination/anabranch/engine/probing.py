"""Asking resource probes how much there is of what streams can ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from anabranch.core.strategies.answers import WrongAnswer
from anabranch.engine.guarded_strategies import Guard
from anabranch.engine.process_table import machine_capacity
from anabranch.extending import ResourceProbe


def measured_capacity(
    probes: Mapping[str, ResourceProbe], guard: Guard | None = None
) -> dict[str, float]:
    """Return what the machine has: processors, memory, and what probes have measured.

    No probe can change what the engine measures itself; one that fails measures nothing.
    """
    guard = guard or Guard()
    own = machine_capacity()
    found: dict[str, float] = {}
    for name, probe in probes.items():
        if name in own:
            continue
        amount = guard.ask(probe, f"probe {name}", partial(_amount, probe), _nothing)
        if amount is not None:
            found[name] = amount
    return {**found, **own}


def _amount(probe: ResourceProbe) -> float | None:
    found = probe.amount()
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise WrongAnswer(f"{found!r} is not an amount")
    if found < 0:
        raise WrongAnswer(f"{found} is less than nothing")
    return float(found)


def _nothing() -> float | None:
    return None
