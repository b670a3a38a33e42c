"""What is shown of streams that were ended for their memory."""

from __future__ import annotations

from typing import Any

from anabranch.core.deciding.victims import ABOVE_EXPECTED, RULE
from anabranch.core.model.state import State
from anabranch.core.views.projections import wall_time

__all__ = ["RULE", "overrun_in_words", "overruns"]


def overrun_in_words(used: float, limit: float, rule: str) -> str:
    """Return how much memory an attempt had, what it may have had, and why it was ended for it."""
    has = f"had {used:.0f} MB of memory" if used else "had too much memory"
    allowed = "were expected" if rule == ABOVE_EXPECTED else "is its ceiling"
    return f"{has}, {limit:.0f} {allowed}: {rule}" if limit else f"{has}: {rule}"


def overruns(state: State) -> list[dict[str, Any]]:
    """Return every attempt that was ended for its memory, as the report tells it."""
    return [
        {
            "stream": plan.id,
            "attempt": found.attempt,
            "at": wall_time(state, found.at),
            "resource": found.resource,
            "used": found.used,
            "limit": found.limit,
            "rule": found.rule,
        }
        for plan in state.plan.streams
        for found in state.streams[plan.id].memory.overruns
    ]
