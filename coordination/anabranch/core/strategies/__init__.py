"""What a strategy is: a plain value with a name, asked for a decision and nothing else.

A strategy gets an immutable view and, where it matters, the time; it returns a decision. It keeps
no state, reads no clock and does no input or output. What it decided goes into the event, so a
replay never asks again. Plugins bring strategies; the core only knows these protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from anabranch.core.strategies import fallbacks
from anabranch.core.strategies.assigning import (
    Assigning,
    Assignment,
    Assigns,
    SlotQueue,
    Steal,
    most_stolen,
)
from anabranch.core.strategies.balancing import (
    FreeSlot,
    LoadBalancer,
    Placement,
    Places,
    Placing,
    QueuedStream,
    Ranks,
    RunningStream,
)
from anabranch.core.strategies.convergence import (
    Abandon,
    Abilities,
    AskForOne,
    Checkpoint,
    Converge,
    ConvergenceType,
    PointDecision,
    PointView,
    WaitForMore,
    abilities_of,
    options_for,
)
from anabranch.core.strategies.failures import EndedAttempt, FailureClass, FailureClassifier
from anabranch.core.strategies.placing import Room, by_urgency, paired, that_fit
from anabranch.core.strategies.recovery import (
    FailedAttempt,
    GiveUp,
    RecoveryDecision,
    RecoveryStrategy,
    Retry,
)
from anabranch.core.strategies.remedies import (
    Ask,
    Drop,
    EndAndRetry,
    EndRun,
    Remedy,
    RemedyDecision,
    RunAlone,
    Trouble,
)
from anabranch.core.strategies.rungs import RUNGS
from anabranch.core.strategies.urgency import Urgency, rank_of, urgency_of

__all__ = [
    "Abandon",
    "Abilities",
    "Ask",
    "AskForOne",
    "Assigning",
    "Assignment",
    "Assigns",
    "Checkpoint",
    "Converge",
    "ConvergenceType",
    "Drop",
    "EndAndRetry",
    "EndRun",
    "EndedAttempt",
    "FailedAttempt",
    "FailureClass",
    "FailureClassifier",
    "FreeSlot",
    "GiveUp",
    "LoadBalancer",
    "Placement",
    "Places",
    "Placing",
    "PointDecision",
    "PointView",
    "QueuedStream",
    "Ranks",
    "RecoveryDecision",
    "RecoveryStrategy",
    "Remedy",
    "RemedyDecision",
    "Retry",
    "Room",
    "RunAlone",
    "RunningStream",
    "SlotQueue",
    "Steal",
    "Strategies",
    "Trouble",
    "Urgency",
    "WaitForMore",
    "abilities_of",
    "by_urgency",
    "most_stolen",
    "options_for",
    "paired",
    "rank_of",
    "that_fit",
    "urgency_of",
]


class Strategies(msgspec.Struct, frozen=True):
    """Every strategy that is installed, by name."""

    convergence: Mapping[str, ConvergenceType]
    balancers: Mapping[str, LoadBalancer]
    recovery: Mapping[str, RecoveryStrategy]
    remedies: Mapping[str, Remedy] = {}
    classifiers: Mapping[str, FailureClassifier] = {}

    def convergence_type(self, name: str) -> ConvergenceType:
        """Return a convergence type; the core's own if it is not there (any more)."""
        return self.convergence.get(name, fallbacks.CONVERGENCE)

    def balancer(self, name: str) -> LoadBalancer:
        """Return a load balancer; the core's own if it is not there (any more)."""
        return self.balancers.get(name, fallbacks.BALANCER)

    def recovery_strategy(self, name: str) -> RecoveryStrategy:
        """Return a recovery strategy; the core's own if it is not there (any more)."""
        return self.recovery.get(name, fallbacks.RECOVERY)

    def remedy(self, name: str) -> Remedy:
        """Return a rung; the core's own if it is not there, else its mildest fallback."""
        return self.remedies.get(name) or RUNGS.get(name) or fallbacks.REMEDY

    @property
    def convergence_options(self) -> dict[str, Any]:
        """The options type of each convergence type that says which options it takes."""
        return _options_types(self.convergence)

    @property
    def balancer_options(self) -> dict[str, Any]:
        """The options type of each load balancer that says which options it takes."""
        return _options_types(self.balancers)


def _options_types(strategies: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: abilities_of(one).options_type for name, one in strategies.items()}
    return {name: taken for name, taken in found.items() if taken is not None}
