"""Streams that failed for good: what a person can look at, mend, and put into the queue again.

The name is that of message queues (Hohpe and Woolf, *Enterprise Integration Patterns*, 2003): what
could not be dealt with is not dropped, it is laid aside with everything known of it.
"""

from __future__ import annotations

from typing import Any

from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream


def dead_letters(state: State) -> list[Stream]:
    """Return the streams that failed and that nothing tries again by itself, in plan order."""
    streams = (state.streams[plan.id] for plan in state.plan.streams)
    return [s for s in streams if s.phase is Phase.FAILED]


def dead_letter_status(state: State) -> list[dict[str, Any]]:
    """Return the dead letters as ``status --json`` tells them."""
    return [
        {
            "stream": stream.id,
            "failure_class": stream.failure_class or None,
            "reason": stream.reason,
            "attempts": stream.attempt,
            "partial": list(stream.partial),
            "log": stream.log,
        }
        for stream in dead_letters(state)
    ]
