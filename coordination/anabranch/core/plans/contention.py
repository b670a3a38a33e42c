"""What one more stream at a time is learned to bring.

The same work takes longer with others beside it. Each of them is taken to slow a stream down by the
same share ``c`` of what it takes alone: ``d(w) = d(1) * (1 + c * (w - 1))``. Then ``w`` of them do
``w / (1 + c * (w - 1))`` times the work of one, which is Amdahl's law with ``c`` as the part that
nobody does side by side (Amdahl 1967). At 0 one more brings all of its work, at 1 nothing.

Of all pairs of the newest samples of the same work at widths that differ, the median counts (Theil
and Sen).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from anabranch.core.plans.estimates import RECENT, Sample, median

LEAST_FACTOR = 1.5
"""Widths that differ by less say nothing about each other."""
FEWEST_PAIRS = 6
MOST = 1.0
"""A stream that is slowed down by more than all of it is slowed down by all of it."""


def slowdown_of(works: Iterable[Sequence[Sample]]) -> float | None:
    """Return what each stream more costs the others, as a share (0..1) of what they take alone.

    Args:
        works: the samples of each work, which are compared among themselves only.

    None where too little is known.
    """
    slopes = [s for samples in works for s in _slopes(samples[-RECENT:])]
    return round(median(slopes), 3) if len(slopes) >= FEWEST_PAIRS else None


def marginal(slowdown: float, width: int) -> float:
    """Return what one more than ``width`` streams adds to the work done, in those of one alone."""
    return _throughput(slowdown, width + 1) - _throughput(slowdown, width)


def _throughput(slowdown: float, width: int) -> float:
    return width / (1.0 + slowdown * (width - 1))


def _slopes(samples: Sequence[Sample]) -> Iterator[float]:
    usable = [s for s in samples if s.work_seconds > 0 and s.width >= 1]
    for one, other in combinations(sorted(usable, key=lambda s: s.width), 2):
        if other.width < LEAST_FACTOR * one.width:
            continue
        longer = other.work_seconds - one.work_seconds
        scale = one.work_seconds * (other.width - 1) - other.work_seconds * (one.width - 1)
        slope = longer / scale if scale > 0 else MOST
        yield min(max(slope, 0.0), MOST)
