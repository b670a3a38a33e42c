"""What becomes of handlers: how many have come how far, and the error that names the failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_NAMED = 10
LONGEST_NAME = 80


@dataclass
class Counts:
    """How many handlers have come how far.

    ``total`` is how many items were taken so far, ``expected`` how many there are, None while
    nobody knows; ``before`` how many of those that succeeded did so in an earlier start of the
    same run; ``waiting`` how many are to be tried again later.
    """

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    before: int = 0
    expected: int | None = None

    @property
    def ended(self) -> int:
        """How many have come to an end."""
        return self.succeeded + self.failed


class HandlersFailed(ExceptionGroup[Exception]):
    """Some handlers have failed; the others have finished.

    ``results`` has what each handler returned, in the order of the items, and at the place of one
    that failed its exception. ``counts`` says how many have come how far.
    """

    results: Sequence[Any] = ()
    counts: Counts = Counts()


def failed(
    failures: Mapping[int, Exception],
    names: Mapping[int, str],
    results: Sequence[Any],
    counts: Counts,
    stopped: str,
) -> HandlersFailed:
    """Return the error for handlers that have failed, by their places."""
    places = sorted(failures)
    first = "; ".join(f"{names[at]}: {in_words(failures[at])}" for at in places[:MOST_NAMED])
    more = f"; and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
    end = f"; stopped: {stopped}" if stopped else ""
    text = f"{len(places)} of {counts.total} handlers failed: {first}{more}{end}"
    group = HandlersFailed(text, [failures[at] for at in places])
    group.results, group.counts = results, counts
    return group


def named(place: int, item: object) -> str:
    """Return what a handler is called: its place, and its item as far as that is short."""
    return f"handler {place} ({shortened(repr(item))})"


def in_words(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    text = " ".join(str(error).split())
    return shortened(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def shortened(text: str) -> str:
    """Return a text, its beginning if it is long."""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
