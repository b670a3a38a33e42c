"""Who has come to a convergence point by a call, and with what value.

A point gathers in rounds. A round is over when every participant has arrived or departed; what the
values came to is kept until the next round is over.
"""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.core.ids import Attempt, Seq, StreamId

AGGREGATED = "aggregated"
"""The outcome that stands for a round's value where answers are kept; nobody hears it as such."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One stream at the point; ``waits`` if it goes on only when the others have come."""

    ticket: Seq
    stream: StreamId
    attempt: Attempt
    request: str
    value: Any
    since: float
    waits: bool


class Gathering(msgspec.Struct, frozen=True, gc=False):
    """The round that is open, and what the one before it came to."""

    round: int = 1
    arrivals: tuple[Arrival, ...] = ()
    aggregate: Any = None
    streams: tuple[StreamId, ...] = ()
    version: int = 0
    clashes: tuple[str, ...] = ()

    def arrival_of(self, stream: StreamId) -> Arrival | None:
        """Return a stream's arrival in the open round."""
        return next((a for a in self.arrivals if a.stream == stream), None)
