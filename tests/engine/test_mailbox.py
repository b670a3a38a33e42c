"""What has come in: in its order, and how long it took until that was decided."""

from __future__ import annotations

import sys

import pytest

from anabranch.core.inputs import TimeReached
from anabranch.engine.latency import BUCKETS, LatencyHistogram
from anabranch.engine.mailbox import Mailbox
from anabranch.testing import FakeClock

WITHIN = 0.13
"""How far a percentile may be off: half of a bucket."""


def test_nothing_is_known_before_the_first() -> None:
    assert LatencyHistogram().figures() is None


@pytest.mark.parametrize("scale", [1e-4, 1e-3, 0.02, 1.0])
def test_percentiles_are_right_within_half_a_bucket(scale: float) -> None:
    histogram = LatencyHistogram()
    for number in range(1, 1001):
        histogram.note(number * scale / 1000)
    found = histogram.figures()
    assert found is not None
    assert found.count == 1000
    assert found.max_seconds == pytest.approx(scale)
    assert found.p50_seconds == pytest.approx(scale / 2, rel=WITHIN)
    assert found.p99_seconds == pytest.approx(scale * 0.99, rel=WITHIN)
    assert found.p50_seconds <= found.p99_seconds <= found.max_seconds


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e-5, 20.0, 3600.0, 1e12])
def test_any_duration_has_a_place(seconds: float) -> None:
    """A clock that was set back, or an engine that stood still for an hour, breaks nothing."""
    histogram = LatencyHistogram()
    histogram.note(seconds)
    found = histogram.figures()
    assert found is not None
    assert found.max_seconds == pytest.approx(max(seconds, 0.0), abs=1e-6)


def test_a_million_durations_take_the_room_of_one() -> None:
    histogram = LatencyHistogram()
    counts = histogram._counts
    for number in range(10_000):
        histogram.note(number * 1e-6)
    assert histogram._counts is counts
    assert len(counts) == BUCKETS
    assert sys.getsizeof(counts) < 1024


def test_what_is_put_back_waits_since_it_came() -> None:
    """A disk that is full for a minute shows: the decision took that minute."""
    clock = FakeClock()
    mailbox = Mailbox(clock)
    mailbox.post(TimeReached())
    clock.advance(60.0)
    first = mailbox.take(10)
    mailbox.post(TimeReached())
    mailbox.put_back(first)
    assert [letter.arrived for letter in mailbox] == [0.0, 60.0]
    clock.advance(2.0)
    mailbox.decided(mailbox.take(10))
    found = mailbox.latency.figures()
    assert found is not None
    assert (found.count, found.max_seconds) == (2, 62.0)
    assert not mailbox


def test_no_more_is_taken_than_was_asked_for() -> None:
    mailbox = Mailbox(FakeClock())
    for _ in range(5):
        mailbox.post(TimeReached())
    mailbox.post_first(TimeReached(cause=7))
    assert [letter.given.cause for letter in mailbox.take(2)] == [7, None]
    assert len(list(mailbox)) == 4
