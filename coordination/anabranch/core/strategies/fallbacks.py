"""The core's own strategies: what is asked when the one that a plan names is not there, or unfit.

They are as plain as can be, and work with every plugin switched off.
"""

from __future__ import annotations

from anabranch.core.strategies.assigning import Assigning, Assignment
from anabranch.core.strategies.balancing import Placement, Placing, QueuedStream
from anabranch.core.strategies.convergence import (
    Abandon,
    AskForOne,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)
from anabranch.core.strategies.failures import EndedAttempt, FailureClass
from anabranch.core.strategies.placing import in_order
from anabranch.core.strategies.recovery import FailedAttempt, GiveUp, RecoveryDecision, Retry
from anabranch.core.strategies.rungs import RUNGS

PAUSE_SECONDS = 1.0


class WaitForAll:
    """Merges once everybody has arrived or can come no more; asks a person where one counts."""

    name = "core.wait-for-all"

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        if view.outstanding:
            return WaitForMore(f"waiting for {view.outstanding} more")
        if not view.adoptable:
            return Abandon("no stream brought a result")
        if view.adopts_one and view.adopted is None:
            return AskForOne(view.adoptable, "which one is adopted?")
        if view.adopted is not None:
            return Converge((view.adopted,), f"{view.adopted} is adopted")
        return Converge(tuple(view.arrived), f"{len(view.arrived)} of {view.expected} arrived")


class InPlanOrder:
    """Starts streams by priority, then in the order of the plan."""

    name = "core.in-plan-order"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return where a stream stands."""
        return (float(-view.priority), float(view.position))

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return the head of the queue for the lowest slots: whatever fits."""
        return in_order(view, "the first that may start, by the engine's own order")

    def assign(self, view: Assigning, now: float) -> tuple[Assignment, ...]:
        """Return nobody: all wait in the common queue."""
        return ()


class RetryAtOnce:
    """Tries again after a second, as often as the plan allows."""

    name = "core.retry"

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        """Return whether the stream is tried again."""
        if view.is_permanent or view.retries >= view.max_retries:
            return GiveUp(f"{view.retries} of {view.max_retries} retries are used up")
        return Retry(PAUSE_SECONDS, f"retry {view.retries + 1} of {view.max_retries}")


class KnowsNothing:
    """Takes no failure for anything in particular."""

    name = "core.unknown"

    def classify(self, view: EndedAttempt) -> FailureClass | None:
        """Return None."""
        return None


CONVERGENCE, BALANCER, RECOVERY = WaitForAll(), InPlanOrder(), RetryAtOnce()
REMEDY, CLASSIFIER = RUNGS["sequential"], KnowsNothing()
