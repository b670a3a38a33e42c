"""What a plan depends on besides what its author wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from anabranch.config.strategy_names import StrategyNames
from anabranch.core.plans.plan import Work


class PlanContext(msgspec.Struct, frozen=True):
    """What a plan depends on besides its file.

    ``auto_parallel`` is the width that ``"auto"`` begins with; ``estimates`` are the seconds that
    streams took before; ``machine`` is what there is of ``cpu_cores`` and ``memory_mb``;
    ``folder`` is the one in the project that it is run in, if that is known.
    """

    known: StrategyNames = msgspec.field(default_factory=StrategyNames)
    auto_parallel: int = 4
    estimates: Mapping[Work, float] = {}
    machine: Mapping[str, float] = {}
    folder: Path | None = None

    def estimated_seconds(self, plan: str, stream: str, command: str) -> float:
        """Return how long history says a stream takes; one second if it says nothing usable."""
        seconds = self.estimates.get(Work(plan, stream, command))
        is_usable = seconds is not None and math.isfinite(seconds) and seconds >= 0
        return float(seconds) if seconds is not None and is_usable else 1.0
