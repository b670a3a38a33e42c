"""Who is ended when memory is short: one rule, in one sentence, and nothing else decides it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from anabranch.core.ids import StreamId

RULE = (
    "First whoever is above its own ceiling, the most in proportion; then, and only while the "
    "machine itself is short of memory at two looks in a row, whoever is most above what it asked "
    "for or was learned to take, but never the last one that runs."
)

ABOVE_CEILING = "it is above its own ceiling, the most in proportion"
ABOVE_EXPECTED = (
    "the machine is short of memory, and it is the most above what it asked for or was learned "
    "to take"
)


class Candidate(NamedTuple):
    """A running stream: what it has, its ceiling if it has one, and what it was expected to need.

    Nothing is expected of one that asks for nothing and has not run before.
    """

    stream: StreamId
    used_mb: float
    limit_mb: float | None = None
    expected_mb: float = 0.0


class Victim(NamedTuple):
    """Who is to be ended, what it was measured by, and by which part of the rule."""

    stream: StreamId
    used_mb: float
    limit_mb: float
    rule: str


def victim(candidates: Iterable[Candidate], *, is_short: bool) -> Victim | None:
    """Return who is ended by the rule (:data:`RULE`), None if nobody is.

    Args:
        candidates: all streams that run and are not being ended.
        is_short: whether the machine itself is short of memory, at two looks in a row.
    """
    running = sorted(candidates)  # of two that are alike always the same
    return _above_ceiling(running) or (_above_expected(running) if is_short else None)


def _above_ceiling(running: list[Candidate]) -> Victim | None:
    found = [
        (c.used_mb / c.limit_mb, Victim(c.stream, c.used_mb, c.limit_mb, ABOVE_CEILING))
        for c in running
        if c.limit_mb is not None and c.used_mb > c.limit_mb
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _above_expected(running: list[Candidate]) -> Victim | None:
    if len(running) < 2:
        return None
    worst = max(running, key=lambda c: c.used_mb - c.expected_mb)
    if worst.used_mb <= worst.expected_mb:
        return None  # all are within what they were expected to need: somebody else takes it
    return Victim(worst.stream, worst.used_mb, worst.expected_mb, ABOVE_EXPECTED)
