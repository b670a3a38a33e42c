"""The width of a run as it is shown: how it came about, and the limits that it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anabranch.core.deciding.width import IO_SOME, LEAST_RETURN, MEMORY_SOME, SWAPPED_IN_MB
from anabranch.core.model.state import State
from anabranch.core.model.width import KEPT_CHANGES
from anabranch.core.plans.contention import marginal

__all__ = [
    "IO_SOME",
    "LEAST_RETURN",
    "MEMORY_SOME",
    "SWAPPED_IN_MB",
    "WidthStep",
    "brings",
    "width_at",
    "width_steps",
]


def brings(state: State) -> float | None:
    """Return what one more stream at a time was learned to add, in those of one alone.

    None if too little is known, or the width does not follow the machine.
    """
    slowdown = state.plan.slowdown
    if slowdown is None or not state.plan.is_adaptive:
        return None
    return marginal(slowdown, state.max_parallel)


class WidthStep(NamedTuple):
    """When the width changed, from what (0 if that is forgotten) to what, and why."""

    at: float
    was: int
    width: int
    reason: str


def width_steps(state: State) -> tuple[WidthStep, ...]:
    """Return how the width has changed, the newest last."""
    changes = state.width.changes
    first = state.plan.max_parallel if len(changes) < KEPT_CHANGES else 0
    before = [first, *(change.width for change in changes)]
    return tuple(
        WidthStep(change.at, was, change.width, change.reason)
        for was, change in zip(before, changes, strict=False)
    )


def width_at(steps: Sequence[WidthStep], at: float, planned: int) -> int:
    """Return the width at a moment (run seconds): ``planned`` before it ever changed."""
    earlier = [step.width for step in steps if step.at <= at]
    if earlier:
        return earlier[-1]
    return steps[0].was or planned if steps else planned
