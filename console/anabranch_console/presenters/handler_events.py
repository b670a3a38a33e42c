"""The ends of handlers in words: a failure is news, one success among thousands is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core import wording

_SHORT = 80


def is_noise(event: ev.Event) -> bool:
    """Say whether an event is shown where all are asked for, and only counted elsewhere."""
    if isinstance(event, ev.HandlerFinished):
        return event.outcome == "succeeded"
    return isinstance(event, ev.HandlersSkipped | ev.HandlersLeft | ev.HandlerRequestsHeard)


def in_words(event: ev.HandlerFinished) -> str:
    """Return which handler has ended, and how."""
    item = event.item if len(event.item) <= _SHORT else f"{event.item[: _SHORT - 1]}…"
    again = f", try {event.tries}" if event.tries > 1 else ""
    return f"handler {event.handler} ({item}){again}: {_how(event)}"


def _how(event: ev.HandlerFinished) -> str:
    if event.reason:
        return event.reason
    if event.signal is not None:
        return f"ended by signal {event.signal}"
    after = f" after {wording.length(event.seconds, 1)}" if event.seconds >= 0.1 else ""
    return f"exit {event.exit_code}{after}"


def _skipped(event: ev.HandlersSkipped) -> str:
    return f"{wording.counted(event.count, 'handler')} left out, done before"


def _left(event: ev.HandlersLeft) -> str:
    return f"{wording.counted(event.count, 'handler')} that had failed are not tried again"


def _stopped(event: ev.HandlersStopped) -> str:
    return f"not all were run: {event.reason}"


def _requested(event: ev.HandlerRecoveryRequested) -> str:
    alone = (
        f" in attempt {event.attempt}, without the others that failed" if event.is_chosen else ""
    )
    return f"handler {event.handler} is to be tried again{alone}: {event.reason}"


def _passed_on(event: ev.HandlerRecoveryPassedOn) -> str:
    return f"handler {event.handler}: who runs it has the word"


def _heard(event: ev.HandlerRequestsHeard) -> str:
    return f"{wording.counted(len(event.requests), 'request')} for single handlers taken up"


def _late(event: ev.HandlersAskedLate) -> str:
    asked = wording.counted(len(event.requests), "handler")
    return f"{asked} asked for as attempt {event.attempt} ended: the next one runs what was asked"


DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.HandlerFinished: in_words,
    ev.HandlersSkipped: _skipped,
    ev.HandlersLeft: _left,
    ev.HandlersStopped: _stopped,
    ev.HandlerRecoveryRequested: _requested,
    ev.HandlerRecoveryPassedOn: _passed_on,
    ev.HandlerRequestsHeard: _heard,
    ev.HandlersAskedLate: _late,
}
