"""The lock table: who holds what, who waits for what, and who blocks whom.

The rules, all of them:

- Two asks *conflict* if their paths overlap, they are not both reads, and they are of different
  streams. A stream never blocks itself.
- An ask waits for every conflicting grant, and for every conflicting ask that came before it, so
  nobody is overtaken and no writer starves behind readers.
- An *upgrade* (write, for a path that the stream holds for reading) goes before all other asks: it
  waits for conflicting grants and earlier upgrades only. A sole reader is upgraded at once.
- An ask passes by one that waits for a grant of its own stream: waiting for it would be waiting
  for itself.

All paths are normalised (:mod:`anabranch.core.globs`). Literal ones are found by name; only
patterns are compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import msgspec
from rpds import HashTrieMap

from anabranch.core.events import Edge
from anabranch.core.globs import is_literal, overlap
from anabranch.core.ids import Attempt, LockMode, Seq, StreamId

CONTENTION_SECONDS = 60.0


class Grant(msgspec.Struct, frozen=True, gc=False):
    """One lease on one path; ``waited`` is how many seconds ``request`` took to get it."""

    fence: Seq
    stream: StreamId
    attempt: Attempt
    path: str
    mode: LockMode
    since: float
    waited: float = 0.0
    request: str = ""


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A wish for a lock; one that waits has a ticket. ``holder`` is who kept it waiting first."""

    stream: StreamId
    attempt: Attempt
    path: str
    mode: LockMode
    upgrades: Seq | None = None
    ticket: Seq = 0
    request: str = ""
    since: float = 0.0
    holder: StreamId = StreamId("")

    @property
    def rank(self) -> tuple[bool, Seq]:
        """Its place in every queue: upgrades first, then by ticket."""
        return (self.upgrades is None, self.ticket)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One path that somebody holds or wants; ``asks`` in order of rank."""

    path: str
    grants: tuple[Grant, ...] = ()
    asks: tuple[Ask, ...] = ()


class Holder(msgspec.Struct, frozen=True, gc=False):
    """What one stream holds (fence to path) and waits for (ticket to path), under one lease.

    ``until`` is when the lease runs out (run seconds); ``doubted_by`` is the event that says that
    it has once already, or 0.
    """

    attempt: Attempt
    until: float = 0.0
    doubted_by: Seq = 0
    held: HashTrieMap[Seq, str] = HashTrieMap()
    asked: HashTrieMap[Seq, str] = HashTrieMap()


class Contention(msgspec.Struct, frozen=True, gc=False):
    """A wait that is over."""

    path: str
    mode: LockMode
    stream: StreamId
    holder: StreamId
    since: float
    until: float
    outcome: str


class Deadlock(msgspec.Struct, frozen=True, gc=False):
    """A cycle that was found and broken."""

    at: float
    victim: StreamId
    cycle: tuple[Edge, ...]


class Violation(msgspec.Struct, frozen=True, gc=False):
    """A write against the locks, or outside what the plan lets a stream write."""

    stream: StreamId
    attempt: Attempt
    path: str
    holder: StreamId | None
    at: float
    reason: str
    is_allowed: bool = False


class LockTable(msgspec.Struct, frozen=True, gc=False):
    """All locks of a run. ``patterns`` names the paths that are not literal."""

    entries: HashTrieMap[str, Entry] = HashTrieMap()
    patterns: HashTrieMap[str, bool] = HashTrieMap()
    holders: HashTrieMap[StreamId, Holder] = HashTrieMap()
    violations: HashTrieMap[StreamId, tuple[Violation, ...]] = HashTrieMap()
    contentions: tuple[Contention, ...] = ()
    deadlocks: tuple[Deadlock, ...] = ()


def conflict(one: Grant | Ask, other: Grant | Ask) -> bool:
    """Return whether two of different streams exclude each other."""
    return (
        one.stream != other.stream
        and (one.mode == "write" or other.mode == "write")
        and overlap(one.path, other.path)
    )


def entries_over(table: LockTable, path: str) -> Iterator[Entry]:
    """Yield the entries that overlap a path, its own first."""
    own = table.entries.get(path)
    if own is not None:
        yield own
    for other in _neighbours.of(table, path):
        yield table.entries[other]


class _Neighbours:
    """Which entries of a table overlap a path, remembered while the table is the same one.

    One decision asks for the same few paths again and again, and tables never change.
    """

    def __init__(self) -> None:
        self._known: tuple[object, dict[str, tuple[str, ...]]] = (None, {})

    def of(self, table: LockTable, path: str) -> tuple[str, ...]:
        entries, known = self._known
        if entries is not table.entries or len(known) > _MOST_REMEMBERED:
            known = {}
            self._known = (table.entries, known)
        found = known.get(path)
        if found is None:
            others = table.patterns if is_literal(path) else table.entries
            found = known[path] = tuple(o for o in others if o != path and overlap(path, o))
        return found


_MOST_REMEMBERED = 512
_neighbours = _Neighbours()


def blockers(table: LockTable, ask: Ask) -> Iterator[Grant | Ask]:
    """Yield everything that an ask has to wait for."""
    for entry in entries_over(table, ask.path):
        for grant in entry.grants:
            if conflict(grant, ask):
                yield grant
        yield from _asks_before(table, entry, ask)


def grants_before(table: LockTable, ask: Ask) -> Iterator[Grant]:
    """Yield every lease that an ask waits for, on its own path and on those that overlap it."""
    for entry in entries_over(table, ask.path):
        yield from (grant for grant in entry.grants if conflict(grant, ask))


def _asks_before(table: LockTable, entry: Entry, ask: Ask) -> Iterator[Ask]:
    for other in entry.asks:
        if other.ticket == ask.ticket or (ask.ticket and other.rank > ask.rank):
            return
        if ask.upgrades is not None and other.upgrades is None:
            return
        if conflict(other, ask) and not waits_for_stream(table, other, ask.stream):
            yield other


def waits_for_stream(table: LockTable, ask: Ask, stream: StreamId) -> bool:
    """Return whether an ask is kept waiting by a grant of a stream."""
    holder = table.holders.get(stream)
    if holder is None or not len(holder.held):
        return False
    if len(holder.held) <= len(table.patterns):
        return any(conflict(grant, ask) for grant in grants_of(table, stream))
    grants = (grant for entry in entries_over(table, ask.path) for grant in entry.grants)
    return any(grant.stream == stream and conflict(grant, ask) for grant in grants)


def grants_of(table: LockTable, stream: StreamId) -> Iterator[Grant]:
    """Yield what a stream holds."""
    holder = table.holders.get(stream)
    if holder is not None:
        for fence, path in holder.held.items():
            yield next(g for g in table.entries[path].grants if g.fence == fence)


def asks_of(table: LockTable, stream: StreamId) -> Iterator[Ask]:
    """Yield what a stream waits for."""
    holder = table.holders.get(stream)
    if holder is not None:
        for ticket, path in holder.asked.items():
            yield next(a for a in table.entries[path].asks if a.ticket == ticket)


def grant_at(table: LockTable, stream: StreamId, path: str) -> Grant | None:
    """Return a stream's grant of exactly this path."""
    entry = table.entries.get(path)
    return next((g for g in entry.grants if g.stream == stream), None) if entry else None


def ask_at(table: LockTable, stream: StreamId, path: str) -> Ask | None:
    """Return a stream's waiting ask for exactly this path."""
    entry = table.entries.get(path)
    return next((a for a in entry.asks if a.stream == stream), None) if entry else None


def essential_blockers(table: LockTable, ask: Ask) -> Iterator[Grant | Ask]:
    """Yield blockers from which all of :func:`blockers` can be reached, as few as is easy.

    In the queue of one path the nearest writer before an ask stands for everyone before it, if
    its stream holds nothing (so it passes nobody by). That keeps the graph of a long queue small.
    """
    own = table.entries.get(ask.path)
    at = bisect_left(own.asks, ask.rank, key=lambda other: other.rank) if own else 0
    asker = table.holders.get(ask.stream)
    holds_some = asker is not None and len(asker.held) > 0
    nearest = []
    while own is not None and at > 0 and ask.upgrades is None:
        at -= 1
        other = own.asks[at]
        is_passed_by = holds_some and waits_for_stream(table, other, ask.stream)
        if conflict(other, ask) and not is_passed_by:
            nearest.append(other)
            if other.mode == "write" and not table.holders[other.stream].held:
                yield from nearest
                yield from (b for b in blockers(table, ask) if b.path != ask.path)
                return
    yield from blockers(table, ask)


def shown(stream: StreamId) -> str:
    """Return a holder's name; the operator's is ``operator``."""
    return stream or "operator"
