"""The events of the guardian in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core import wording
from anabranch.core.views.memory import overrun_in_words
from anabranch.core.wording import width_in_words

WARNINGS = (
    *(ev.RecoveryStarted, ev.ParallelismChanged, ev.ConvergenceOverdue, ev.BreakerOpened),
    ev.StreamOverran,
)
BREAKERS = (ev.BreakerOpened, ev.BreakerHalfOpened, ev.BreakerClosed)
ERRORS = (ev.GuardianAlerted, ev.StrategyFaulted)


def in_words(event: ev.Event) -> str:
    """Return what the guardian did, in one sentence."""
    match event:
        case ev.RecoveryStarted():
            return f"{event.remedy}, by the {event.by}: {event.reason}"
        case ev.RecoveryFinished():
            outcome = event.outcome.replace("_", " ")
            return f"{event.remedy}: {outcome} after {wording.age(event.seconds)}; {event.reason}"
        case ev.StreamAsked():
            return f"asked by {event.way}: {event.outcome}"
        case ev.GuardianAlerted():
            return f"{event.diagnosis}: {event.reason}"
        case ev.StreamOverran():
            return (
                f"attempt {event.attempt} {overrun_in_words(event.used, event.limit, event.rule)}"
            )
        case ev.RetryScheduled():
            return f"tried again: {event.reason}"
        case ev.ParallelismChanged():
            return width_in_words(event.max_parallel, event.was, event.reason)
        case ev.StrategyFaulted():
            aside = "; it is not asked again" if event.is_set_aside else ""
            return f"{event.strategy} of {event.plugin}: {event.fault}{aside}"
        case ev.StrategyChosen():
            at = f" at {event.point}" if event.point else ""
            return f"{event.kind}{at}: {event.strategy}, no longer {event.was}; {event.reason}"
        case ev.ConvergenceOverdue():
            names = wording.listing([str(s) for s in event.waiting_for], 3)
            return f"waited for {wording.age(event.waited_seconds)}; holding it up: {names}"
        case ev.BreakerOpened():
            usual = f"{event.usual_rate:.0%} is usual"
            return f"{event.breaker} is held back: {event.reason}, where {usual}"
        case ev.BreakerHalfOpened():
            return f"{event.breaker}: one stream tries whether it goes again"
        case ev.BreakerClosed():
            return f"{event.breaker} runs again, says the {event.by}: {event.reason}"
    return ""


KINDS = (ev.RecoveryStarted, ev.RecoveryFinished, ev.GuardianAlerted, ev.ParallelismChanged)
DETAILS: dict[type[ev.Event], Callable[[Any], str]] = dict.fromkeys(
    (
        *KINDS,
        *BREAKERS,
        *(ev.StreamAsked, ev.ConvergenceOverdue, ev.StrategyFaulted, ev.StrategyChosen),
        ev.StreamOverran,
    ),
    in_words,
)
