"""What an attempt gives back when its process is gone, in the same decision as the news of it."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core.deciding import messages, questions, resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.locks import locks
from anabranch.core.deciding.points import arrivals
from anabranch.core.deciding.points import checkpoints as point_checkpoints
from anabranch.core.deciding.streams import checkpoints as stream_checkpoints
from anabranch.core.model.state import Stream

GIVES_BACK: tuple[Callable[[Draft, Stream], None], ...] = (
    messages.leave,
    questions.give_back,
    locks.give_back,
    resources.give_back,
    arrivals.give_back,
    stream_checkpoints.give_back,
    point_checkpoints.give_back,
)
"""One function a concern; called often, so each is quick for a stream that holds nothing."""


def leave(draft: Draft, stream: Stream) -> None:
    """Release all that a stream without a process still holds or waits for."""
    for give_back in GIVES_BACK:
        give_back(draft, stream)
