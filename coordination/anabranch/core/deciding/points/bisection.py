"""Finding whose work makes a merged result fail its check, in few runs of the check.

A set of streams is *closed* when it holds everybody whom its members were built on; only closed
sets are merged and checked. One that does not merge (another stream settled it) does not pass.
Streams in merge order make a chain of closed sets, its prefixes. If the whole fails and nothing at
all passes, somewhere along the chain the check begins to fail; a binary search finds the stream
with which it does (as ``git bisect`` does for commits). That stream is guilty alone if it fails
with no more than what it was built on. Otherwise it fails together with an earlier one, found by a
second binary search, over prefixes that hold it (this is the two-element case of delta debugging,
Zeller and Hildebrandt 2002).

Checks can be flaky, and nobody is accused on one run: what an accusation stands on, the set that
fails and its neighbour that passes, is checked once more. If either comes out differently now, the
check is not reliable, and nobody is guilty.

Checked are the whole, nothing at all, then at most ``2 * ceil(log2 n) + 1`` sets for n streams, and
two of these once more. What follows is decided from the results known so far, so nothing is kept
between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from anabranch.core.ids import StreamId

Streams = frozenset[StreamId]


class Probe(msgspec.Struct, frozen=True):
    """Check these streams next, in this order; ``is_again``: whatever is known of them."""

    streams: tuple[StreamId, ...]
    is_again: bool = False


class Passes(msgspec.Struct, frozen=True):
    """The whole passes."""


class BaseFails(msgspec.Struct, frozen=True):
    """The check fails without anybody's work: nobody is guilty."""


class Guilty(msgspec.Struct, frozen=True):
    """``streams`` make it fail together; the last of them is the one to leave out."""

    streams: tuple[StreamId, ...]


class Unreliable(msgspec.Struct, frozen=True):
    """The check of the same ``streams`` has passed once and failed once."""

    streams: tuple[StreamId, ...]


Step = Probe | Passes | BaseFails | Guilty | Unreliable


def next_step(
    order: Sequence[StreamId],
    closure: Callable[[StreamId], set[StreamId]],
    known: Mapping[Streams, bool],
    again: Mapping[Streams, bool],
) -> Step:
    """Return what follows from what is known.

    Args:
        order: the streams in merge order, so that every prefix is closed.
        closure: returns a stream with everybody whom it was built on.
        known: whether a set of streams passes.
        again: the same, from a second look.
    """
    if frozenset(order) not in known:
        return Probe(tuple(order))
    if known[frozenset(order)]:
        return Passes()
    if frozenset() not in known:
        return Probe(())
    if not known[frozenset()]:
        return _confirmed(order, {frozenset(): False}, again) or BaseFails()
    prefixes = [frozenset(order[:size]) for size in range(len(order) + 1)]
    place = _first_failing(prefixes, known)
    if isinstance(place, frozenset):
        return _probe(order, place)
    late = order[place - 1]
    alone = frozenset(closure(late)) & prefixes[place]
    if alone not in known:
        return _probe(order, alone)
    if not known[alone]:
        looks = {alone: False, prefixes[place - 1]: True}
        return _confirmed(order, looks, again) or Guilty((late,))
    others = [stream for stream in order[: place - 1] if stream not in alone]
    joined = [alone | frozenset(others[:size]) for size in range(len(others) + 1)]
    partner = _first_failing(joined, known)
    if isinstance(partner, frozenset):
        return _probe(order, partner)
    looks = {joined[partner]: False, joined[partner - 1]: True}
    return _confirmed(order, looks, again) or Guilty((others[partner - 1], late))


def _confirmed(
    order: Sequence[StreamId], looks: Mapping[Streams, bool], again: Mapping[Streams, bool]
) -> Step | None:
    """Return None once all have come out twice as they should, else what follows instead."""
    for streams, has_passed in looks.items():
        if streams not in again:
            return Probe(_probe(order, streams).streams, is_again=True)
        if again[streams] is not has_passed:
            return Unreliable(_probe(order, streams).streams)
    return None


def _probe(order: Sequence[StreamId], wanted: Streams) -> Probe:
    return Probe(tuple(stream for stream in order if stream in wanted))


def _first_failing(chain: Sequence[Streams], known: Mapping[Streams, bool]) -> int | Streams:
    """Return where a chain begins to fail, or the set to look at next; its last is known to."""
    low = max((i for i, s in enumerate(chain) if known.get(s) is True), default=0)
    high = min((i for i, s in enumerate(chain) if known.get(s) is False and i > low), default=low)
    while high - low > 1:
        middle = (low + high) // 2
        found = known.get(chain[middle])
        if found is None:
            return chain[middle]
        low, high = (middle, high) if found else (low, middle)
    return high
