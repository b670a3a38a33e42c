"""Checks from outside: is a history linearizable, and did holders of a lock exclude each other?

A history is linearizable if every operation can be given one moment between its call and its
answer, such that each answer is what a plain variable would have said at that moment. The search
is that of Wing and Gong with the memory of Lowe: operations that may come next are tried, and no
pair of a set of operations done and a value is looked at twice. Keys are independent of each other,
so each is searched alone. An operation without an answer may have happened, or not, at any time.

Nothing here knows the product: it sees calls, answers and a clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

NEVER = float("inf")
MOST_STEPS = 1_000_000

Value = Hashable


@dataclass(frozen=True)
class Operation:
    """One call on a key, with the times of its call and its answer (never, if none came).

    A read has found ``value``. A write has put ``value``. A swap has put ``value`` where
    ``expected`` was, or was refused (``is_refused``) because something else was there.
    """

    kind: Literal["read", "write", "swap"]
    key: str
    value: Value
    called: float
    answered: float = NEVER
    expected: Value = None
    is_refused: bool = False

    @property
    def only_looks(self) -> bool:
        return self.kind == "read" or self.is_refused

    def fits(self, current: Value) -> bool:
        """Say whether the answer is right when ``current`` is the value."""
        if self.kind == "read":
            return current == self.value
        if self.kind == "swap":
            return (current != self.expected) is self.is_refused
        return True


@dataclass(frozen=True)
class Hold:
    """One stay under an exclusive lock, from after its grant to before its release."""

    who: str
    path: str
    fence: int
    entered: float
    left: float


def unexplained(history: Iterable[Operation], initial: Value = None) -> list[str]:
    """Return the keys whose operations have no order that explains them."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        is_known = operation.answered < NEVER or not operation.only_looks
        if is_known:
            by_key[operation.key].append(operation)
    return [key for key, found in sorted(by_key.items()) if not _is_explained(found, initial)]


def overlaps(holds: Iterable[Hold]) -> list[tuple[Hold, Hold]]:
    """Return the pairs of different holders that were under one lock at once."""
    found = []
    last: dict[str, Hold] = {}
    for hold in sorted(holds, key=lambda h: h.entered):
        before = last.get(hold.path)
        if before is not None and hold.entered < before.left and before.fence != hold.fence:
            found.append((before, hold))
        if before is None or hold.left > before.left:
            last[hold.path] = hold
    return found


def fences_that_fell(holds: Iterable[Hold]) -> list[tuple[Hold, Hold]]:
    """Return the pairs on one path of which the later one has not the larger fence."""
    found = []
    last: dict[str, Hold] = {}
    for hold in sorted(holds, key=lambda h: h.entered):
        before = last.get(hold.path)
        if before is not None and hold.fence <= before.fence:
            found.append((before, hold))
        last[hold.path] = hold
    return found


def _is_explained(operations: Sequence[Operation], initial: Value) -> bool:
    """Search for an order, depth first, the operations that were answered first tried first."""
    ordered = sorted(operations, key=lambda o: (o.answered, o.called))
    must = sum(1 << at for at, o in enumerate(ordered) if o.answered < NEVER)
    seen: set[tuple[int, Value]] = set()
    ahead: list[tuple[int, Value]] = [(0, initial)]
    for _ in range(MOST_STEPS):
        if not ahead:
            return False
        done, current = ahead.pop()
        done = _with_looks(ordered, done, current)
        if done & must == must:
            return True
        if (done, current) in seen:
            continue
        seen.add((done, current))
        fitting = [at for at in _next(ordered, done) if ordered[at].fits(current)]
        ahead += [(done | 1 << at, ordered[at].value) for at in reversed(fitting)]
    raise AssertionError(f"no verdict on {ordered[0].key} after {MOST_STEPS} steps")


def _with_looks(ordered: Sequence[Operation], done: int, current: Value) -> int:
    """Let everything that only looks happen now, if it fits: no later moment could be better."""
    while True:
        looks = [
            at
            for at in _next(ordered, done)
            if ordered[at].only_looks and ordered[at].fits(current)
        ]
        if not looks:
            return done
        for at in looks:
            done |= 1 << at


def _next(ordered: Sequence[Operation], done: int) -> list[int]:
    """Return what may come next: whatever was called before the first answer that is still due."""
    left = [at for at in range(len(ordered)) if not done >> at & 1]
    first = ordered[left[0]].answered if left else NEVER
    return [at for at in left if ordered[at].called <= first]
