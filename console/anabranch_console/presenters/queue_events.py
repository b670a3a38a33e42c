"""What happened to the queues that slots own, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core.wording import listing

_MOST_NAMES = 4


def _names(streams: tuple[ev.QueuedAttempt, ...]) -> str:
    return listing([queued.stream for queued in streams], _MOST_NAMES)


def _assigned(event: ev.StreamsAssigned) -> str:
    return f"for slot {event.slot}: {_names(event.queued)}; {event.reason}"


def _given_back(event: ev.StreamsGivenBack) -> str:
    return f"for any slot: {_names(event.queued)}; {event.reason}"


def _asked(event: ev.StealAsked) -> str:
    return f"slot {event.thief} asks slot {event.victim} for {_names(event.queued)}"


def _stolen(event: ev.StreamsStolen) -> str:
    return f"from slot {event.victim} to {event.thief}: {_names(event.queued)}"


def _refused(event: ev.StealRefused) -> str:
    return f"from slot {event.victim} to {event.thief}: {event.reason}"


DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.StreamsAssigned: _assigned,
    ev.StreamsGivenBack: _given_back,
    ev.StealAsked: _asked,
    ev.StreamsStolen: _stolen,
    ev.StealRefused: _refused,
}
