"""Retry: again after a growing, jittered delay, as often as the plan allows.

The delay is capped exponential backoff with full jitter (Brooker 2015). The jitter is drawn from
the attempt's seed, so the same attempt always gets the same delay and a run can be replayed.
"""

from __future__ import annotations

from random import Random

from anabranch.core.strategies import FailedAttempt, GiveUp, RecoveryDecision, Retry

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


class RetryWithBackoff:
    """Tries again unless the failure is permanent (the command cannot start at all)."""

    name = "retry"

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        """Return whether and when the stream is tried again."""
        if view.is_permanent:
            return GiveUp("it cannot be started, so trying again would not help")
        if view.retries >= view.max_retries:
            return GiveUp(f"all {view.max_retries} retries are used up")
        ceiling = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**view.retries)
        delay = Random(view.seed).uniform(0.0, ceiling)
        number = f"{view.retries + 1} of {view.max_retries}"
        return Retry(delay, f"retry {number} in {delay:.1f} s")
