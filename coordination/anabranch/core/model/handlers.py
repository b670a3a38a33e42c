"""What the state keeps of a stream's handlers: how many, never which."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt, StreamId


class Handled(msgspec.Struct, frozen=True, gc=False):
    """How the handlers of a stream's newest attempt have ended, and how far its book was read.

    What the attempt left out, as it was done before, has succeeded. The book is over all attempts.
    """

    attempt: Attempt = 0
    succeeded: int = 0
    failed: int = 0
    book_offset: int = 0


def results_key(stream: StreamId) -> str:
    """Return the key of the shared state under which a stream's results are."""
    return f"results/{stream}"
