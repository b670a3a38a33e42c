"""What must hold of the lock table after every step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from anabranch.core.model.locks import Ask, Grant, LockTable, blockers, conflict
from anabranch.core.model.state import State


def broken_lock_promises(state: State) -> Iterator[str]:
    """Yield every promise that the lock table breaks, in words."""
    table = state.locks
    if not len(table.entries) and not len(table.holders):
        return
    grants = [g for entry in table.entries.values() for g in entry.grants]
    asks = [a for entry in table.entries.values() for a in entry.asks]
    yield from _exclusion(grants)
    yield from _fences(grants, state.seq)
    yield from _queues(table, asks)
    yield from _books(table, grants, asks)


def _exclusion(grants: list[Grant]) -> Iterator[str]:
    for one, other in combinations(grants, 2):
        if conflict(one, other):
            yield f"{one.stream} holds {one.path} and {other.stream} holds {other.path}"


def _fences(grants: list[Grant], newest: int) -> Iterator[str]:
    fences = [g.fence for g in grants]
    if len(set(fences)) != len(fences):
        yield f"a fence was given twice: {sorted(fences)}"
    if any(not 0 < fence <= newest for fence in fences):
        yield f"a fence is not an event: {sorted(fences)}"


def _queues(table: LockTable, asks: list[Ask]) -> Iterator[str]:
    """Yield who waits for nothing, and queues that are not in order."""
    for entry in table.entries.values():
        if list(entry.asks) != sorted(entry.asks, key=lambda a: a.rank):
            yield f"the queue of {entry.path} is out of order"
        if not entry.grants and not entry.asks:
            yield f"nobody has or wants {entry.path}"
    for ask in asks:
        if next(blockers(table, ask), None) is None:
            yield f"{ask.stream} waits for {ask.path} although nothing is in its way"


def _books(table: LockTable, grants: list[Grant], asks: list[Ask]) -> Iterator[str]:
    held = {(s, f, p) for s, h in table.holders.items() for f, p in h.held.items()}
    asked = {(s, t, p) for s, h in table.holders.items() for t, p in h.asked.items()}
    if held != {(g.stream, g.fence, g.path) for g in grants}:
        yield "the books of the holders and the grants of the paths differ"
    if asked != {(a.stream, a.ticket, a.path) for a in asks}:
        yield "the books of the holders and the queues of the paths differ"
