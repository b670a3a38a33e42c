"""The built-in recovery strategies."""

from __future__ import annotations

from anabranch.core.strategies import RecoveryStrategy
from anabranch.hookspecs import hookimpl
from anabranch_plugins.recovery.retry import RetryWithBackoff


@hookimpl
def anabranch_recovery_strategies() -> list[RecoveryStrategy]:
    return [RetryWithBackoff()]
