"""What the engine knows of its own work, beside what the events of a run tell."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anabranch.engine.latency import DecisionLatency


class Effort(msgspec.Struct, frozen=True):
    """Seconds that the engine has spent, by what on, and how long its decisions took.

    It begins anew with each engine: who only reads a run knows nothing of it.
    """

    seconds: Mapping[str, float] = {}
    latency: DecisionLatency | None = None


UNKNOWN = Effort()
