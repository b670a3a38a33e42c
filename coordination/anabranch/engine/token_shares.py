"""Who is lent how many tokens: all of it arithmetic, nothing of it known to the core.

A stream's programs may run one job without a token (its handlers: one each), which is its
*implicit* share. What the machine has beyond that is lent, evenly among those who want it. Nobody
can be made to give a token back: what lies unused in one fifo is moved to where it is wanted, and
where more is out than there should be, tokens are *recalled*: taken as they come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Borrower(msgspec.Struct, frozen=True):
    """An attempt that runs, and what it has.

    Args:
        name: that of the attempt.
        implicit: how many jobs it may run without a token; 0 while it does nothing.
        loan: how many tokens it was lent and has not given back.
        unused: how many of them lie in its fifo now.
        untouched: how many have lain there for a while; never more than ``unused``.
        wants_more: whether it may have a use for one more.
        limit: the most it is lent, None for as many as there are.
    """

    name: str
    implicit: int = 1
    loan: int = 0
    unused: int = 0
    untouched: int = 0
    wants_more: bool = False
    limit: int | None = None


class Moves(msgspec.Struct, frozen=True):
    """How many tokens go where, by the name of the attempt."""

    take: dict[str, int]
    give: dict[str, int]
    recall: dict[str, int]


def to_lend(slots: int, borrowers: Sequence[Borrower]) -> int:
    """Return how many tokens there are for a machine of so many slots."""
    return max(0, slots - sum(b.implicit for b in borrowers))


def moves(slots: int, borrowers: Sequence[Borrower]) -> Moves:
    """Return what to do so that no more is lent than there is, and evenly.

    Where too much is lent nothing is given, also of what others leave: first it has to be back.
    """
    lendable = to_lend(slots, borrowers)
    sheet = _Sheet(borrowers)
    debt = sum(sheet.loans.values()) - lendable
    sheet.pay_back(debt)
    if debt <= 0:
        sheet.lend(-debt)
    sheet.level(lendable)
    return Moves(sheet.take, sheet.give, sheet.recall)


class _Sheet:
    """The loans as they become while moves are found."""

    def __init__(self, borrowers: Sequence[Borrower]) -> None:
        self._borrowers = borrowers
        self.loans = {b.name: b.loan for b in borrowers}
        self.take: dict[str, int] = {}
        self.give: dict[str, int] = {}
        self.recall: dict[str, int] = {}

    def pay_back(self, debt: int) -> None:
        """Take what is unused, and recall the rest, always from who has most."""
        unused = {b.name: b.unused for b in self._borrowers if b.unused}
        while debt > 0 and unused:
            name = max(unused, key=self._loan)
            debt -= self._take(name, unused)
        while debt > 0:
            name = max(self.loans, key=lambda each: self._loan(each) - self.recall.get(each, 0))
            self.recall[name] = self.recall.get(name, 0) + 1
            debt -= 1

    def lend(self, free: int) -> None:
        """Give to who wants more, one after the other, first what is free, then what others leave.

        What was just taken is not given out again in the same breath.
        """
        spare = {
            b.name: b.untouched
            for b in self._borrowers
            if b.untouched and not b.wants_more and b.name not in self.take
        }
        while wanting := self._wanting():
            if free > 0:
                free -= 1
            elif spare and free == 0:
                self._take(max(spare, key=self._loan), spare)
            else:
                return
            name = min(wanting, key=self._loan)
            self.give[name] = self.give.get(name, 0) + 1
            self.loans[name] += 1

    def level(self, lendable: int) -> None:
        """Recall what some have above an even share while others want theirs."""
        wanting = self._wanting()
        if not wanting or self.recall:
            return
        sharing = {b.name for b in self._borrowers if b.implicit and (b.loan or b.wants_more)}
        share = lendable // max(1, len(sharing))
        missing = sum(max(0, share - self.loans[name]) for name in wanting)
        for name in sorted(self.loans, key=self._loan, reverse=True):
            above = min(missing, self.loans[name] - share)
            if above > 0:
                self.recall[name] = above
                missing -= above

    def _wanting(self) -> list[str]:
        return [
            b.name
            for b in self._borrowers
            if b.wants_more and (b.limit is None or self.loans[b.name] < b.limit)
        ]

    def _take(self, name: str, left: dict[str, int]) -> int:
        """Take one token from where some are left; return how many that was."""
        left[name] -= 1
        if not left[name]:
            del left[name]
        self.take[name] = self.take.get(name, 0) + 1
        self.loans[name] -= 1
        return 1

    def _loan(self, name: str) -> int:
        return self.loans[name]
