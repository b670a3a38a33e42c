"""Which streams have handlers, and how many of them have come how far."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.handlers import handler_counts
from anabranch.core.written_names import name_of
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain
from anabranch.undecodable import UNDECODABLE

_PROGRESS = re.compile(
    r"\d+( of \d+)? done(, \d+ failed)?, [\d.]+ a second(, about \d+ s left)?", re.ASCII
)
"""What the handlers' program writes into the stream's log once a second."""


class HandlerTally(msgspec.Struct, frozen=True):
    """How many handlers of a stream have come how far, as it was said last, about once a second.

    ``total`` counts the items there are, or those seen so far while its source has not ended.
    ``succeeded`` counts those of earlier attempts too, ``failed`` those of this one and those that
    it leaves as they had failed, ``not_tried_again``; ``rate`` is how many of this attempt have
    ended a second.
    """

    total: int
    succeeded: int
    failed: int
    running: int
    is_total_known: bool = False
    rate: float = 0.0
    not_tried_again: int = 0

    @property
    def ended(self) -> int:
        """How many are not to be run any more, unless there is another attempt."""
        return self.succeeded + self.failed

    @property
    def left_seconds(self) -> float | None:
        """How long the rest takes at this rate; None if nobody can say."""
        if not self.is_total_known or self.rate <= 0:
            return None
        return max(0, self.total - self.ended) / self.rate


_DECODER = msgspec.json.Decoder(HandlerTally)


def tally_of(run: RunFolder, stream: StreamId) -> HandlerTally | None:
    """Return how far the handlers of a stream are; None if that was never said."""
    try:
        return _DECODER.decode(read_plain(run.handlers(stream) / "counts", SMALL_FILE_BYTES))
    except (OSError, *UNDECODABLE):
        return None


def without_progress(lines: Iterable[str]) -> list[str]:
    """Return the lines of a log of handlers but those that say how far they were."""
    return [line for line in lines if not _PROGRESS.fullmatch(line)]


def counts_of(state: State, run: RunFolder, stream: StreamId) -> dict[str, int]:
    """Return how many handlers of a stream have come how far."""
    said = tally_of(run, stream)
    total, running = (said.total, said.running) if said else (0, 0)
    return handler_counts(state, stream, total, running)


def have_handlers(state: State, run: RunFolder) -> frozenset[StreamId]:
    """Return the streams that fan out, and those whose program has handlers of its own."""
    try:
        counted = [StreamId(name_of(name)) for name in os.listdir(run.of_handlers)]
    except OSError:
        counted = []
    fanned = (plan.id for plan in state.plan.streams if plan.fan is not None)
    return frozenset(stream for stream in counted if stream in state.streams).union(fanned)


def with_counts(entries: list[dict[str, Any]], state: State, run: RunFolder) -> None:
    """Add to each entry of a stream with handlers how many there are, in which state."""
    have = have_handlers(state, run)
    for entry in entries:
        if entry["stream"] in have:
            entry["handlers"] = counts_of(state, run, StreamId(entry["stream"]))
