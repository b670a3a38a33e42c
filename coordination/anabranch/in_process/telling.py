"""Telling, once a second, how far the handlers of a call are."""

from __future__ import annotations

import asyncio
import sys

from anabranch.in_process.accounts import Account
from anabranch.in_process.outcomes import Counts

EVERY_SECONDS = 1.0


async def tell_how_far(account: Account) -> None:
    """Write down the counts; in a stream, say them in its log while anything ends.

    Silence is a sign that nothing gets on, so what stands still is silent.
    """
    clock = asyncio.get_running_loop().time
    began, said = clock(), 0
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        account.write_counts()
        ended = account.counts.ended
        if account.is_in_stream and ended != said:
            said = ended
            print(in_words(account.counts, clock() - began), file=sys.stderr, flush=True)


def in_words(counts: Counts, seconds: float) -> str:
    """Return how far handlers are after so many seconds, in a line."""
    rate = (counts.ended - counts.before) / max(seconds, 0.001)
    failed = f", {counts.failed} failed" if counts.failed else ""
    if counts.expected is None:
        return f"{counts.succeeded} done{failed}, {rate:.1f} a second"
    left = (counts.expected - counts.ended) / max(rate, 0.001)
    done = f"{counts.succeeded} of {counts.expected} done{failed}"
    return f"{done}, {rate:.1f} a second, about {left:.0f} s left"
