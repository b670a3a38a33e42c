"""Longest first: the stream with the longest path still ahead of it runs first.

This is list scheduling by upward rank (HEFT, Topcuoglu 2002). Because free slots pull from the
queue, rough estimates are enough.
"""

from __future__ import annotations

from anabranch.core.strategies import QueuedStream


class LongestFirst:
    """Orders the queue by priority, then by the time that still depends on a stream."""

    name = "longest-first"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place; smaller runs earlier."""
        return (-float(view.priority), -view.remaining_path_seconds)
