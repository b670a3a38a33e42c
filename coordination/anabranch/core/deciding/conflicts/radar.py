"""The conflict radar: which running streams would not merge, known long before they meet.

While streams run their work is test-merged pairwise, outside the core. Here is decided which pairs
are worth a test (:func:`next_pairs`: both changed the same place, and one of the two has changed
since), and what a verdict means: a conflict is *foreseen* when it appears, *cleared* when it has
gone, when one of the streams begins anew, or when both have met.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations

import msgspec
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.messages import tell
from anabranch.core.ids import StreamId
from anabranch.core.model.foreseen import Foreseen, Pair
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State, Stream

COMPARABLE = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.CAPTURING, Phase.SUCCEEDED})
"""Phases in which a stream has work that can be compared."""

MOST_SHARING_A_PLACE = 40
"""A place that more streams than this have changed is looked at for these many only."""


class Work(msgspec.Struct, frozen=True):
    """What a stream has changed so far; ``stamp`` is another one whenever that changes."""

    stream: StreamId
    stamp: object
    paths: Collection[str]


class LastTrial(msgspec.Struct, frozen=True):
    """When a pair was test-merged last, and at which stamps."""

    at: float
    stamps: tuple[object, object]


def next_pairs(works: Iterable[Work], tested: Mapping[Pair, LastTrial], limit: int) -> list[Pair]:
    """Return the pairs to test next, the one that was looked at longest ago first.

    A pair is worth a test if both changed the same path, or one a folder that the other has files
    in, and one of the two has changed since the last test.
    """
    known = {work.stream: work for work in works}
    due: list[tuple[float, Pair]] = []
    for pair in _that_overlap(known):
        one, other = known[pair[0]], known[pair[1]]
        last = tested.get(pair)
        if last is None or last.stamps != (one.stamp, other.stamp):
            due.append((-1.0 if last is None else last.at, pair))
    return [pair for _, pair in sorted(due)[:limit]]


def _that_overlap(known: Mapping[StreamId, Work]) -> list[Pair]:
    places: defaultdict[str, list[StreamId]] = defaultdict(list)
    for work in known.values():
        for path in work.paths:
            places[path].append(work.stream)
    pairs: set[Pair] = set()
    for path, streams in places.items():
        near = streams[:MOST_SHARING_A_PLACE]
        pairs.update(pair_of(a, b) for a, b in combinations(near, 2))
        for folder in folders_of(path):
            for other in places.get(folder, ())[:MOST_SHARING_A_PLACE]:
                pairs.update(pair_of(stream, other) for stream in near if stream != other)
    return sorted(pairs)


def folders_of(path: str) -> Iterator[str]:
    """Yield every folder above a path."""
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)


def pair_of(one: StreamId, other: StreamId) -> Pair:
    """Return a pair by which both orders are the same."""
    return (one, other) if one < other else (other, one)


def have_met(state: State, pair: Pair) -> bool:
    """Say whether two streams have been merged, or are in a conflict that is more than foreseen."""
    points = state.points.values()
    return any(
        {*pair} <= {*p.merged} or any({*pair} <= {*c.streams} for c in p.conflicts) for p in points
    )


# --- verdicts ------------------------------------------------------------------------------------


def pair_tested(draft: Draft, fact: inputs.PairTested) -> None:
    """Note what a test merge found, if that is news and still about what runs now."""
    state, pair = draft.state, fact.streams
    streams = [state.streams.get(s) for s in pair]
    if any(
        s is None or s.attempt != attempt or s.phase not in COMPARABLE
        for s, attempt in zip(streams, fact.attempts, strict=True)
    ):
        return
    known = state.foreseen.get(pair)
    if not fact.paths:
        if known is not None:
            draft.emit(ev.ConflictCleared(streams=pair, reason="they would merge now"))
        return
    if known is not None and _names(known.paths) == _names(fact.paths):
        return
    draft.emit(ev.ConflictForeseen(streams=pair, attempts=fact.attempts, paths=fact.paths))
    if state.plan.tell_conflicts:
        _tell_both(draft, pair)


def _names(paths: Iterable[ev.ConflictedPath]) -> set[str]:
    return {p.path for p in paths}


def tell_conflict(draft: Draft, command: inputs.TellConflict) -> Refusal | None:
    """Let both sides of a foreseen conflict know of it."""
    pair = pair_of(*command.streams)
    if pair not in draft.state.foreseen:
        return Refusal(
            f"no conflict between {pair[0]} and {pair[1]} is foreseen",
            "`anabranch conflicts` lists what is",
        )
    _tell_both(draft, pair)
    return None


def _tell_both(draft: Draft, pair: Pair) -> None:
    found = draft.state.foreseen[pair]
    draft.emit(ev.ConflictTold(streams=pair))
    for stream, other in (pair, pair[::-1]):
        if not draft.stream(stream).has_ended:
            paths = [p.path for p in found.paths[:20]]
            text = f"your work and {other}'s would not merge: {', '.join(paths[:3])}"
            body = {"foreseen": {"with": other, "paths": paths}, "text": text}
            tell(draft, stream, body)


def follow_stream(draft: Draft, stream: Stream) -> None:
    """Forget what was foreseen about work that is not what it was."""
    for pair, found in list(draft.state.foreseen.items()):
        if stream.id in pair:
            attempt = found.attempts[pair.index(stream.id)]
            if stream.attempt != attempt or stream.phase not in COMPARABLE:
                reason = f"{stream.id} is {stream.phase}"
                draft.emit(ev.ConflictCleared(streams=pair, reason=reason))


def follow_point(draft: Draft, event: ev.PointEvent) -> None:
    """Forget what was foreseen of streams that have met: it has come, or has not."""
    if isinstance(event, ev.ConvergenceMerged):
        met, reason = set(event.merged), f"merged at {event.point}"
    elif isinstance(event, ev.ConflictFound):
        met, reason = set(event.conflict.streams), "it has become a conflict"
    else:
        return
    for pair in list(draft.state.foreseen):
        if met.issuperset(pair):
            draft.emit(ev.ConflictCleared(streams=pair, reason=reason))


# --- queries -------------------------------------------------------------------------------------


def in_order(foreseen: HashTrieMap[Pair, Foreseen]) -> list[Foreseen]:
    """Return what is foreseen, the oldest first."""
    return sorted(foreseen.values(), key=lambda f: (f.since, f.streams))


def foreseen_with(state: State, stream: StreamId) -> list[StreamId]:
    """Return with whom a stream would not merge."""
    pairs = (f.streams for f in in_order(state.foreseen) if stream in f.streams)
    return [b if a == stream else a for a, b in pairs]
