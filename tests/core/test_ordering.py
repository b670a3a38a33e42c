"""Timed events come in the order of their stamps, window by window, and nobody holds that up."""

from __future__ import annotations

import random

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.calls import Broadcast
from anabranch.core.deciding.owed import owed
from anabranch.core.ids import StreamId
from anabranch.core.model.ordering import (
    MOST_WINDOWS_BEHIND,
    US,
    Held,
    Ordering,
    Stamp,
    is_late,
    next_end_us,
    releasable_us,
    split,
    stamped,
    with_held,
)
from anabranch.core.views.order import OrderCheck
from tests.core.talking import Talk

A, B = StreamId("a"), StreamId("b")
SIZE = 10 * US


def take(
    ordering: Ordering, source: StreamId, seconds: float, wall: float, number: int
) -> Ordering:
    stamp = stamped(ordering, source, round(seconds * US), round(wall * US))
    held = Held(stamp, number, 1, "x", None, is_late(ordering, stamp))
    return with_held(ordering, held)


def test_stamps_of_a_source_only_go_forward_and_never_into_the_future() -> None:
    ordering = Ordering(SIZE)
    first = stamped(ordering, A, 5 * US, 7 * US)
    assert first == Stamp(5 * US, 0, A)
    ordering = with_held(ordering, Held(first, 1, 1, ""))
    assert stamped(ordering, A, 4 * US, 8 * US) == Stamp(5 * US, 1, A)
    assert stamped(ordering, A, 99 * US, 8 * US) == Stamp(8 * US, 0, A)
    assert stamped(ordering, B, None, 8 * US) == Stamp(8 * US, 0, B)


def test_a_window_waits_for_the_slowest_of_those_who_live() -> None:
    ordering = take(take(Ordering(SIZE), A, 12.0, 12.0, 1), B, 9.0, 12.0, 2)
    assert releasable_us(ordering, [A, B], 12 * US) == 0
    assert releasable_us(ordering, [A], 12 * US) == SIZE
    ordering = take(ordering, B, 11.0, 13.0, 3)
    assert releasable_us(ordering, [A, B], 13 * US) == SIZE
    due, rest = split(ordering, SIZE)
    assert [held.id for held in due] == [2]
    assert [held.id for held in rest] == [3, 1]


@settings(max_examples=200, deadline=None)
@drawn(st.integers(0, 10**6))
def test_any_order_of_arrival_brings_the_same_order_and_nobody_holds_it_up(seed: int) -> None:
    """Sources dawdle, fall silent and end: windows come out in order, and soon enough."""
    rng = random.Random(seed)
    sources = [StreamId(f"s{n}") for n in range(rng.randint(1, 4))]
    live, wall, number = list(sources), 0.0, 0
    ordering = Ordering(SIZE)
    out: list[Held] = []
    while live or ordering.held:
        wall += rng.uniform(0.0, 6.0)
        if live and rng.random() < 0.7:
            number += 1
            told = wall - rng.choice((0.0, 0.0, 3.0, 40.0))
            ordering = take(ordering, rng.choice(live), max(0.0, told), wall, number)
        if live and (rng.random() < 0.1 or number > 40):
            live.remove(rng.choice(live))
        end = releasable_us(ordering, live, round(wall * US))
        if end > ordering.released_us:
            due, rest = split(ordering, end)
            assert list(due) == sorted(due)
            assert all(held.is_late or held.stamp.physical_us < end for held in due)
            out += due
            ordering = Ordering(SIZE, rest, ordering.said, end)
        for held in ordering.held:
            age = round(wall * US) - held.stamp.physical_us
            assert held.is_late or age <= (MOST_WINDOWS_BEHIND + 1) * SIZE
        assert (next_end_us(ordering) is None) == (not ordering.held)
    assert sorted(held.id for held in out) == list(range(1, number + 1))
    in_time = [held.stamp for held in out if not held.is_late]
    assert in_time == sorted(in_time)


@settings(max_examples=100, deadline=None)
@drawn(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 9.9)), max_size=20), st.randoms())
def test_whatever_order_sources_are_heard_in_the_window_is_the_same(
    told: list[tuple[str, float]], chance: random.Random
) -> None:
    """Each source tells its own in order; how they come in between each other is chance."""
    of_each = {s: sorted(at for source, at in told if source == s) for s in "abc"}

    def released() -> list[Stamp]:
        ordering, left = Ordering(SIZE), {s: list(ats) for s, ats in of_each.items() if ats}
        while left:
            source = chance.choice(sorted(left))
            ordering = take(ordering, StreamId(source), left[source].pop(0), 10.0, 1)
            left = {s: ats for s, ats in left.items() if ats}
        return [held.stamp for held in split(ordering, SIZE)[0]]

    assert released() == released() == sorted(released())


def timed(talk: Talk, by: str, body: int, stamp: float | None = None) -> dict[str, object]:
    answer = talk.call(Broadcast, by, body=body, window_seconds=10.0, stamp=stamp)
    assert answer.outcome == "done", answer
    return dict(answer.facts)


def test_timed_events_are_read_in_order_of_their_stamps_once_their_window_is_over() -> None:
    talk = Talk("a", "b", "c")
    talk.passes(8.0)
    assert timed(talk, "a", 3, 7.0)["window_ends"] == 10.0
    timed(talk, "b", 1, 2.0)
    timed(talk, "b", 2, 5.0)
    assert talk.reads("c") == []
    talk.passes(4.0)
    timed(talk, "a", 5)
    assert talk.reads("c") == [], "b has said nothing that is past the window"
    timed(talk, "b", 4, 11.0)
    found = talk.reads("c")
    assert [(m["from"], m["body"]) for m in found] == [("b", 1), ("b", 2), ("a", 3)]
    assert found[0]["stamp"] == {"at": 2.0, "logical": 0, "source": "b", "is_late": False}
    talk.remembers()
    late = timed(talk, "b", 0, 3.0)
    assert late["is_late"] is False, "a source's own stamps only go forward"
    assert timed(talk, "c", 9, 1.0)["is_late"] is True
    talk.passes(28.1)
    bodies = [(m["body"], m["stamp"]["is_late"]) for m in talk.reads("c") if m["is_new"]]
    assert bodies == [(4, False), (0, False), (5, False)]
    closed = [r.event for r in talk.records if isinstance(r.event, ev.WindowClosed)]
    assert [(w.end_us // US, w.released, w.late) for w in closed] == [(10, 3, 0), (20, 4, 1)]
    check = OrderCheck()
    for record in talk.records:
        check.take(record)
    assert check.found()["check"] == "ok"


def test_a_stamp_without_a_window_is_refused() -> None:
    talk = Talk("a", "b")
    answer = talk.call(Broadcast, "a", body=1, stamp=3.0)
    assert answer.outcome == "refused"


def test_a_silent_stream_holds_a_window_for_two_more_at_most_and_a_clock_rings_then() -> None:
    talk = Talk("a", "b")
    timed(talk, "b", 0)
    talk.passes(12.0)
    timed(talk, "a", 1)
    (wake,) = [e for e in owed(talk.state) if isinstance(e, fx.WakeAt) and "timed" in e.subject]
    assert 30.0 <= wake.at < 30.1
    talk.passes(wake.at - talk.now)
    assert [m["body"] for m in talk.reads("a")] == [0]
    (later,) = [e for e in owed(talk.state) if isinstance(e, fx.WakeAt) and "timed" in e.subject]
    assert 40.0 <= later.at < 40.1


def test_who_has_ended_holds_nothing() -> None:
    talk = Talk("a", "b")
    timed(talk, "b", 0)
    talk.passes(5.0)
    talk.ends("b")
    assert [m["body"] for m in talk.reads("a")] == [0]
    assert [e for e in owed(talk.state) if isinstance(e, fx.WakeAt) and "timed" in e.subject] == []
