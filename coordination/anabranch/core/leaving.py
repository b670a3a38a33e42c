"""What an attempt gives back when its process is gone, in the same decision as the news of it."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core import arrivals, checkpoints, locks, messages, point_checkpoints, resources
from anabranch.core.draft import Draft
from anabranch.core.state import Stream

GIVES_BACK: tuple[Callable[[Draft, Stream], None], ...] = (
    messages.leave,
    locks.give_back,
    resources.give_back,
    arrivals.give_back,
    checkpoints.give_back,
    point_checkpoints.give_back,
)
"""One function a concern; called often, so each is quick for a stream that holds nothing."""


def leave(draft: Draft, stream: Stream) -> None:
    """Release all that a stream without a process still holds or waits for."""
    for give_back in GIVES_BACK:
        give_back(draft, stream)
