"""The events of copies in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core.wording import counted, length


def in_words(event: ev.Event) -> str:
    """Return what happened to two attempts of a stream, in one sentence."""
    match event:
        case ev.StreamCopied():
            elapsed, long = length(event.elapsed_seconds, 1), length(event.long_seconds, 1)
            idle = counted(event.idle_slots, "slot")
            return (
                f"attempt {event.attempt} begins beside attempt {event.of}, in slot {event.slot}: "
                f"that one has worked for {elapsed}, past its p95 of {long}, with {idle} idle"
            )
        case ev.CommitGranted():
            return (
                f"attempt {event.attempt} has the right to commit, attempt {event.over} has not: "
                f"{event.reason}"
            )
        case ev.CopyTookOver():
            return f"attempt {event.attempt} goes on as the stream: {event.reason}"
        case ev.AttemptFenced():
            return f"attempt {event.attempt} is fenced: {event.reason}"
        case ev.CopyEnded():
            return f"attempt {event.attempt} is over and counts for nothing: {event.reason}"
    return ""


KINDS = (ev.StreamCopied, ev.CommitGranted, ev.CopyTookOver, ev.AttemptFenced, ev.CopyEnded)
DETAILS: dict[type[ev.Event], Callable[[Any], str]] = dict.fromkeys(KINDS, in_words)
