"""How long what has come in waits until it is decided and durable, in bounded memory."""

from __future__ import annotations

from math import log2

import msgspec

LEAST_SECONDS = 10e-6
PER_DOUBLING = 3
BUCKETS = 64
"""Buckets on a scale of logarithms: from ten microseconds to twenty seconds, 26 % apart."""


class DecisionLatency(msgspec.Struct, frozen=True):
    """Figures of a run: percentiles are right within an eighth, ``max`` exactly."""

    p50_seconds: float
    p99_seconds: float
    max_seconds: float
    count: int


class LatencyHistogram:
    """Counts durations; its size does not depend on how many there were."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._most = 0.0

    def note(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[_bucket(seconds)] += 1
        self._most = max(self._most, seconds)

    def figures(self) -> DecisionLatency | None:
        """Return what was counted so far; None if nothing was. Any thread may ask."""
        counts, most = list(self._counts), self._most
        total = sum(counts)
        if not total:
            return None
        p50, p99 = (min(_percentile(counts, total * share), most) for share in (0.5, 0.99))
        return DecisionLatency(_rounded(p50), _rounded(p99), _rounded(most), total)


def _bucket(seconds: float) -> int:
    if seconds <= LEAST_SECONDS:
        return 0
    return min(int(log2(seconds / LEAST_SECONDS) * PER_DOUBLING) + 1, BUCKETS - 1)


def _percentile(counts: list[int], wanted: float) -> float:
    """Return the middle of the bucket in which a share of all has been reached, in seconds."""
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return float(LEAST_SECONDS * 2 ** ((bucket - 0.5) / PER_DOUBLING))
    return 0.0


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
