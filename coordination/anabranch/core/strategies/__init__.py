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
from anabranch.core.strategies.balancing import LoadBalancer, QueuedStream
from anabranch.core.strategies.convergence import (
    Abandon,
    Checkpoint,
    Converge,
    ConvergenceType,
    PointDecision,
    PointView,
    WaitForMore,
    options_for,
)
from anabranch.core.strategies.failures import EndedAttempt, FailureClass, FailureClassifier
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

__all__ = [
    "Abandon",
    "Ask",
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
    "GiveUp",
    "LoadBalancer",
    "PointDecision",
    "PointView",
    "QueuedStream",
    "RecoveryDecision",
    "RecoveryStrategy",
    "Remedy",
    "RemedyDecision",
    "Retry",
    "RunAlone",
    "Strategies",
    "Trouble",
    "WaitForMore",
    "options_for",
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

    @property
    def early_convergence(self) -> frozenset[str]:
        """The convergence types that merge streams before all of them are there."""
        return self._that("merges_early")

    @property
    def checkpointing_convergence(self) -> frozenset[str]:
        """The convergence types that merge snapshots of streams while they run."""
        return self._that("takes_checkpoints")

    @property
    def convergence_options(self) -> dict[str, Any]:
        """The options type of each convergence type that says which options it takes."""
        found = {n: getattr(t, "options_type", None) for n, t in self.convergence.items()}
        return {name: kind for name, kind in found.items() if kind is not None}

    def _that(self, ability: str) -> frozenset[str]:
        return frozenset(n for n, t in self.convergence.items() if getattr(t, ability, False))
