"""Longest first: the stream with the longest path still ahead of it runs first.

This is list scheduling by upward rank (HEFT, Topcuoglu 2002). Because free slots pull from the
queue, rough estimates are enough. How many wait for a stream, how long it sometimes takes, the
plan's priority and how long it has been ready count as well (:mod:`anabranch.core.strategies`).
"""

from __future__ import annotations

from anabranch.core.strategies import QueuedStream, rank_of


class LongestFirst:
    """Orders the queue by urgency: seconds of path, impact, history, priority and age."""

    name = "longest-first"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place; smaller runs earlier."""
        return rank_of(view)
