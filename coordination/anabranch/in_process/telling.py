"""Telling, once a second, how far the handlers of a call are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from anabranch.in_process.outcomes import Counts

EVERY_SECONDS = 1.0


async def tell_how_far(counts: Counts, write: Callable[[], None], *, is_said: bool) -> None:
    """Write down the counts, for ever; say them, too, if that is asked, while anything ends.

    Silence is a sign that nothing gets on, so what stands still is silent.
    """
    clock = asyncio.get_running_loop().time
    began, said = clock(), 0
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        write()
        if is_said and counts.ended != said:
            said = counts.ended
            say(in_words(counts, clock() - began))


def say(text: str) -> None:
    """Print a line for whoever reads the log of a stream, if anybody does."""
    with suppress(OSError, ValueError):  # stderr may be closed
        print(text, file=sys.stderr, flush=True)


def in_words(counts: Counts, seconds: float) -> str:
    """Return how far handlers are after so many seconds, in a line."""
    rate = (counts.ended - counts.before) / max(seconds, 0.001)
    failed = f", {counts.failed} failed" if counts.failed else ""
    if counts.expected is None:
        return f"{counts.succeeded} done{failed}, {rate:.1f} a second"
    left = (counts.expected - counts.ended) / max(rate, 0.001)
    done = f"{counts.succeeded} of {counts.expected} done{failed}"
    return f"{done}, {rate:.1f} a second, about {left:.0f} s left"
