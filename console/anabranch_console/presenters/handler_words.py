"""How far the handlers of a stream are, in words: short for a row, whole for a panel or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.core import wording

if TYPE_CHECKING:
    from anabranch.engine.handlers import HandlerTally


def in_short(tally: HandlerTally, *, is_running: bool) -> str:
    """Return it for a row, what matters most first: ``12/2,000, 3 failed, 52/s, 15 s left``."""
    if not is_running:
        return _outcome(tally)
    parts = [done_in_short(tally)]
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    if tally.rate:
        parts.append(rate_in_words(tally.rate))
    if tally.left_seconds is not None:
        parts.append(f"{wording.length(tally.left_seconds)} left")
    return ", ".join(parts)


def _outcome(tally: HandlerTally) -> str:
    of = f" of {tally.total:,}" if tally.is_total_known else ""
    missing = tally.total - tally.ended
    parts = [f"{tally.failed:,}{of} failed" if tally.failed else f"{tally.succeeded:,}{of} done"]
    parts += [f"{tally.not_tried_again:,} not tried again"] if tally.not_tried_again else []
    parts += [f"{missing:,} not begun"] if tally.is_total_known and missing > 0 else []
    return ", ".join(parts)


def done_in_short(tally: HandlerTally) -> str:
    """Return how many have ended, of how many if anybody knows: ``12/2,000``, ``12 so far``."""
    if tally.is_total_known:
        return f"{tally.ended:,}/{tally.total:,}"
    return f"{tally.ended:,} so far"


def counts_in_words(tally: HandlerTally) -> str:
    """Return how many have succeeded, have failed and are at work."""
    of = f" of {tally.total:,}" if tally.is_total_known else ""
    parts = [f"{tally.succeeded:,}{of} done"]
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    parts += [f"{tally.not_tried_again:,} of them not tried again"] if tally.not_tried_again else []
    parts += [f"{tally.running:,} running"] if tally.running else []
    return ", ".join(parts)


def pace_in_words(tally: HandlerTally) -> str:
    """Return how fast they go and how long the rest takes, or why nobody can say."""
    if not tally.is_total_known:
        left = "how many are left is known when its source has ended"
    elif tally.left_seconds is None:
        left = "how long the rest takes is known when the first have ended"
    else:
        left = f"about {wording.length(tally.left_seconds)} left"
    return f"{rate_in_words(tally.rate)}, {left}" if tally.rate else left


def pace_in_short(tally: HandlerTally) -> str:
    """Return how fast they go, and how long the rest takes if that is known."""
    parts = [rate_in_words(tally.rate)] if tally.rate else ["none has ended yet"]
    if tally.left_seconds is not None:
        parts.append(f"{wording.length(tally.left_seconds)} left")
    return ", ".join(parts)


def rate_in_words(rate: float) -> str:
    """Return how many end in a second, or in a minute if they take long: ``52/s``, ``3.1/min``."""
    if rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
