"""Which class a failure is of: the plan's own patterns first, then the installed classifiers.

The class is kept with the failure, so that a replay asks nobody, and so that a person sees why
something was tried again, or was not.
"""

from __future__ import annotations

from collections.abc import Iterable

from anabranch.core.deciding.streams.setting_up import SETUP_FAILED
from anabranch.core.model.state import State, Stream
from anabranch.core.patterns import PatternRefused, compiled
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import EndedAttempt, FailureClass, Strategies
from anabranch.core.strategies.failures import CANNOT_START, UNKNOWN

LONGEST_EVIDENCE = 160


def classify(
    state: State, stream: Stream, strategies: Strategies, reason: str, log_tail: tuple[str, ...]
) -> FailureClass:
    """Return the class of an attempt's failure; *unknown* if nobody knows it."""
    exit_ = stream.exit
    if stream.setup.failure:  # its command never ran
        return _by_plan(state.plan, log_tail) or SETUP_FAILED
    if exit_ is not None and (exit_.error or exit_.code in (126, 127)):  # as a shell says it
        return CANNOT_START
    found = _by_plan(state.plan, log_tail)
    if found is not None:
        return found
    view = EndedAttempt(
        stream=stream.id,
        attempt=stream.attempt,
        exit_code=exit_.code if exit_ else None,
        signal=exit_.signal if exit_ else None,
        reason=reason,
        log_tail=log_tail,
    )
    for classifier in reversed(list(strategies.classifiers.values())):  # the built-in ones last
        found = classifier.classify(view)
        if found is not None:
            return found
    return UNKNOWN


def _by_plan(plan: Plan, log_tail: tuple[str, ...]) -> FailureClass | None:
    """Return the class that the plan gives to the newest line that it knows."""
    for line in reversed(log_tail):
        if _matches(plan.permanent_failures, line):
            return FailureClass("permanent, by the plan", True, line[:LONGEST_EVIDENCE])
        if _matches(plan.transient_failures, line):
            return FailureClass("transient, by the plan", False, line[:LONGEST_EVIDENCE])
    return None


def _matches(patterns: Iterable[str], line: str) -> bool:
    return any(_is_in(pattern, line) for pattern in patterns)


def _is_in(pattern: str, line: str) -> bool:
    try:
        return compiled(pattern).is_in(line)
    except PatternRefused:  # a plan of an older version, whose patterns could be others
        return False
