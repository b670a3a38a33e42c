"""How long streams are expected to take: what counts of what was learned, and what is a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.plans.estimates import (
    FEWEST_FOR_A_TAIL,
    Estimate,
    Learned,
    Sample,
    percentile_seconds,
)
from anabranch.core.plans.plan import Work

BUILD, TEST, LINT = (Work("p", name, f"make {name}") for name in ("build", "test", "lint"))


def one(*samples: tuple[float, float], width: float = 1.0) -> Estimate:
    """Return the estimate of a work from (seconds, width) of its samples."""
    kept = tuple(Sample(f"r{n}", seconds, at) for n, (seconds, at) in enumerate(samples))
    return Learned({BUILD: kept}).estimates([BUILD], width)[0]


def test_without_samples_it_is_a_guess_that_says_so() -> None:
    assert Learned().estimates([BUILD], 4.0) == [Estimate(1.0, "guessed", 0, None)]
    assert one() == Estimate(1.0, "guessed", 0, None)


@pytest.mark.parametrize(
    ("samples", "width", "seconds", "runs"),
    [
        ([(10.0, 1.0)], 1.0, 10.0, 1),
        ([(10.0, 1.0), (14.0, 1.0)], 1.0, 12.0, 2),
        ([(10.0, 1.0), (11.0, 1.0), (600.0, 1.0)], 1.0, 11.0, 3),
        ([(13.0, 2.0), (627.0, 50.0)], 2.0, 13.0, 1),
        ([(13.0, 2.0), (627.0, 50.0)], 40.0, 627.0, 1),
        ([(13.0, 2.0), (627.0, 50.0)], 4.0, 13.0, 1),
        ([(13.0, 1.0), (15.0, 2.0)], 1.0, 14.0, 2),
        ([(float("nan"), 1.0), (5.0, 1.0)], 1.0, 5.0, 1),
        ([(float("inf"), 1.0), (-1.0, 1.0), (5.0, 1.0)], 1.0, 5.0, 1),
    ],
)
def test_the_median_of_what_was_learned_at_the_nearest_width_counts(
    samples: list[tuple[float, float]], width: float, seconds: float, runs: int
) -> None:
    found = one(*samples, width=width)
    assert (found.seconds, found.basis, found.runs) == (seconds, "learned", runs)


def test_what_is_usual_and_what_is_unusually_long_is_known_from_five_on() -> None:
    assert one(*[(1.0, 1.0)] * 4).long_seconds is None
    assert one(*[(1.0, 1.0)] * 4, (9.0, 1.0)).long_seconds == 9.0
    assert one(*[(1.0, 1.0)] * 4).usual_seconds is None
    assert one(*[(1.0, 1.0)] * 4, (9.0, 1.0)).usual_seconds == 1.0


@pytest.mark.parametrize(
    ("count", "share", "rank"),
    [(5, 0.5, 3), (6, 0.5, 3), (20, 0.5, 10), (5, 0.95, 5), (19, 0.95, 19), (20, 0.95, 19)],
)
def test_a_percentile_is_the_sample_of_the_nearest_rank(
    count: int, share: float, rank: int
) -> None:
    """The smallest that at least that share does not exceed: of twenty, one may be longer."""
    samples = [Sample(f"r{n}", float(n)) for n in range(count, 0, -1)]
    assert percentile_seconds(samples, share) == float(rank)


@given(st.lists(st.floats(0, 1e4), max_size=40), st.floats(0, 1))
def test_a_percentile_was_seen_and_grows_with_its_share(seen: list[float], share: float) -> None:
    samples = [Sample("r", seconds) for seconds in seen]
    found, median = percentile_seconds(samples, share), percentile_seconds(samples, 0.5)
    if len(seen) < FEWEST_FOR_A_TAIL:
        assert found is None
        return
    assert found is not None
    assert median is not None
    assert found in seen
    assert sum(one <= found for one in seen) >= share * len(seen)
    assert (found >= median) if share >= 0.5 else (found <= median)


def test_an_estimate_follows_what_the_work_has_become() -> None:
    """The newest seven decide it; the tail remembers further back."""
    found = one(*[(60.0, 1.0)] * 13, *[(10.0, 1.0)] * 7)
    assert (found.seconds, found.usual_seconds, found.long_seconds) == (10.0, 60.0, 60.0)


def test_others_speak_for_a_work_that_nobody_has_seen() -> None:
    """The same command under another name first, then the middle of the plan."""
    renamed, new = Work("p", "compile", "make build"), Work("p", "docs", "make docs")
    learned = Learned({BUILD: (Sample("r", 8.0),), TEST: (Sample("r", 20.0),)})
    found = learned.estimates([renamed, TEST, new], 1.0)
    assert [(e.seconds, e.basis) for e in found] == [
        (8.0, "class"),
        (20.0, "learned"),
        (14.0, "class"),
    ]
    assert learned.estimates([LINT], 1.0) == [Estimate()]


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(1, 64)), min_size=1, max_size=9),
    st.floats(1, 64),
)
def test_an_estimate_is_among_what_was_seen(
    samples: list[tuple[float, float]], width: float
) -> None:
    seen = [seconds for seconds, _ in samples]
    assert min(seen) <= one(*samples, width=width).seconds <= max(seen)
