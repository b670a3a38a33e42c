"""When a circuit breaker opens, and for how long: what streams and in-process handlers share.

It opens when clearly more fails than is usual. *Clearly* is the lower bound of the failure rate
with 95 % confidence (Wilson 1927).
"""

from __future__ import annotations

import math

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
"""How long a breaker stays open: twice as long each time, up to the longest."""

MOST_OPENINGS = 3
"""After so many in a row, failures of no known class are how the command is: it may fail."""

LEAST_RATE = 0.4
"""However low the usual rate, a breaker stays closed while less than this share surely fails."""

LEAST_FAILING = 2
"""One that fails alone is the retry strategy's business."""

_CONFIDENCE = 1.96


def surely_failing(failures: int, outcomes: int) -> float:
    """Return the share of failures (0..1) that there is at least, with 95 % confidence."""
    if not failures:
        return 0.0
    z2, share = _CONFIDENCE**2, failures / outcomes
    middle = share + z2 / (2 * outcomes)
    spread = _CONFIDENCE * math.sqrt((share * (1 - share) + z2 / (4 * outcomes)) / outcomes)
    return max(0.0, (middle - spread) / (1 + z2 / outcomes))


def is_clearly_more(failures: int, outcomes: int, usual_rate: float) -> bool:
    """Return whether clearly more fails than is usual (a share, 0..1)."""
    return surely_failing(failures, outcomes) > max(LEAST_RATE, usual_rate)


def seconds_open(openings: int) -> float:
    """Return how long a breaker stays open that has opened so often in a row before."""
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(openings, 16))
