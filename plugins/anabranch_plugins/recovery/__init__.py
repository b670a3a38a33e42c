"""The built-in recovery strategies."""

from __future__ import annotations

from anabranch.core.strategies import RecoveryStrategy, Remedy
from anabranch.core.strategies.rungs import RUNGS
from anabranch.hookspecs import hookimpl
from anabranch_plugins.recovery.retry import RetryWithBackoff


@hookimpl
def anabranch_recovery_strategies() -> list[RecoveryStrategy]:
    return [RetryWithBackoff()]


@hookimpl
def anabranch_remedies() -> list[Remedy]:
    return list(RUNGS.values())
