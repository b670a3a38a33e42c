"""Who is lent how many tokens: tables for what is meant, properties for what always holds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.engine.token_shares import Borrower, Moves, moves, to_lend


def wants(name: str, loan: int = 0, implicit: int = 1, limit: int | None = None) -> Borrower:
    """Give an attempt that has used all that it has."""
    return Borrower(name, implicit, loan, wants_more=True, limit=limit)


def leaves(name: str, loan: int, untouched: int | None = None) -> Borrower:
    """Give an attempt that has left all that it has in its fifo, for long or only just now."""
    lain = loan if untouched is None else untouched
    return Borrower(name, loan=loan, unused=loan, untouched=lain)


TABLE: dict[str, tuple[int, list[Borrower], Moves]] = {
    "alone, it may have the whole machine": (4, [wants("a")], Moves({}, {"a": 3}, {})),
    "all that want some get the same": (
        8,
        [wants("a"), wants("b")],
        Moves({}, {"a": 3, "b": 3}, {}),
    ),
    "as many streams as processors have nothing to share": (
        2,
        [wants("a"), wants("b"), wants("c")],
        Moves({}, {}, {}),
    ),
    "handlers are so many jobs": (4, [wants("fan", implicit=3)], Moves({}, {"fan": 1}, {})),
    "who does nothing leaves its own slot to others": (
        4,
        [wants("a"), Borrower("idle", implicit=0)],
        Moves({}, {"a": 3}, {}),
    ),
    "what lies about goes to where it is wanted": (
        4,
        [leaves("a", 2), wants("b")],
        Moves({"a": 2}, {"b": 2}, {}),
    ),
    "what came back only just now stays": (
        4,
        [leaves("a", 1, untouched=0), wants("b", 1)],
        Moves({}, {}, {}),
    ),
    "a new stream's own slot is made room for": (
        4,
        [leaves("a", 3, untouched=0), Borrower("b")],
        Moves({"a": 1}, {}, {}),
    ),
    "what is in use is taken when it comes back": (
        4,
        [wants("a", 3), Borrower("b")],
        Moves({}, {}, {"a": 1}),
    ),
    "who has more than an even share gives the rest up": (
        9,
        [wants("a", 7), wants("b")],
        Moves({}, {}, {"a": 3}),
    ),
    "who has lost tokens gets no more than its limit": (
        8,
        [wants("a", limit=1), wants("b")],
        Moves({}, {"a": 1, "b": 5}, {}),
    ),
}


@pytest.mark.parametrize("what", TABLE)
def test_tokens_go_to_where_they_should_be(what: str) -> None:
    slots, borrowers, expected = TABLE[what]
    assert moves(slots, borrowers) == expected


@st.composite
def borrower(draw: st.DrawFn) -> Borrower:
    """Draw an attempt in any condition."""
    loan = draw(st.integers(0, 12))
    unused = draw(st.integers(0, loan))
    return Borrower(
        name="",
        implicit=draw(st.integers(0, 4)),
        loan=loan,
        unused=unused,
        untouched=draw(st.integers(0, unused)),
        wants_more=draw(st.booleans()) and not unused,
        limit=draw(st.none() | st.integers(0, 5)),
    )


RUNS = st.lists(borrower(), max_size=8).map(
    lambda found: [
        Borrower(str(n), b.implicit, b.loan, b.unused, b.untouched, b.wants_more, b.limit)
        for n, b in enumerate(found)
    ]
)


@given(st.integers(1, 16), RUNS)
@example(
    15,
    [
        Borrower("a", implicit=4, wants_more=True),
        Borrower("b", implicit=2, loan=1, unused=1, untouched=1),
        Borrower("c", implicit=4, loan=5, unused=1),
    ],
)
def test_never_more_is_lent_than_there_is(slots: int, borrowers: list[Borrower]) -> None:
    """What is too much is taken or recalled, all of it; nothing is taken that is not there."""
    found, lendable = moves(slots, borrowers), to_lend(slots, borrowers)
    before = sum(b.loan for b in borrowers)
    after = before - sum(found.take.values()) + sum(found.give.values())
    assert after <= max(lendable, before)
    if before > lendable:
        assert after - sum(found.recall.values()) <= lendable
        assert not found.give
    by_name = {b.name: b for b in borrowers}
    assert all(0 < count <= by_name[name].unused for name, count in found.take.items())
    assert all(0 < count <= by_name[name].loan for name, count in found.recall.items())


@given(st.integers(1, 16), RUNS)
def test_only_who_wants_tokens_gets_some_and_evenly(slots: int, borrowers: list[Borrower]) -> None:
    found = moves(slots, borrowers)
    by_name = {b.name: b for b in borrowers}
    loans = {name: by_name[name].loan + count for name, count in found.give.items()}
    for name, count in found.give.items():
        one = by_name[name]
        assert one.wants_more
        assert one.limit is None or loans[name] <= one.limit
        assert count > 0
        others = (b for b in borrowers if b.wants_more and b.limit is None)
        assert all(loans[name] <= loans.get(b.name, b.loan) + 1 for b in others)


@given(st.integers(1, 16), RUNS)
def test_nothing_lies_idle_that_somebody_wants(slots: int, borrowers: list[Borrower]) -> None:
    found, lendable = moves(slots, borrowers), to_lend(slots, borrowers)
    out = sum(b.loan for b in borrowers) - sum(found.take.values()) + sum(found.give.values())
    if any(b.wants_more and b.limit is None for b in borrowers):
        assert out >= lendable


@given(st.integers(1, 16), st.integers(1, 6), st.data())
def test_it_comes_to_rest(slots: int, count: int, data: st.DataObject) -> None:
    """Streams that use all they get are moved nothing once each has its share."""
    loans = {str(n): 0 for n in range(count)}
    for _ in range(3):
        found = moves(slots, [wants(name, loan) for name, loan in loans.items()])
        for name, given_now in found.give.items():
            loans[name] += given_now
    assert moves(slots, [wants(name, loan) for name, loan in loans.items()]) == Moves({}, {}, {})
    assert max(loans.values()) - min(loans.values()) <= 1
