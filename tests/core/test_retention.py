"""Which runs are old enough to go: never one that goes on, waits or is hosted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.plans.plan import KeepRuns
from anabranch.engine.retention import ENDINGS, Kept, chosen, due

STATES = (*ENDINGS, "running", "interrupted", "needs_operator", "open", "unreadable")
runs = st.lists(
    st.builds(
        Kept,
        run=st.integers(0, 10**6).map(str),
        state=st.sampled_from(STATES),
        is_hosted=st.booleans(),
        over_seconds=st.none() | st.floats(-1e6, 1e9),
    ),
    unique_by=lambda one: one.run,
)


@given(runs, st.floats(0, 1e9), st.lists(st.sampled_from(ENDINGS)))
def test_only_what_is_over_long_enough_and_ended_so_is_chosen(
    kept: list[Kept], older_than: float, states: list[str]
) -> None:
    names = chosen(kept, older_than, states)
    for one in kept:
        is_old = one.over_seconds is not None and one.over_seconds >= older_than
        may_go = one.state in (states or ENDINGS) and not one.is_hosted
        assert (one.run in names) == (is_old and may_go)
    assert names == [one.run for one in kept if one.run in names]


@given(runs, st.floats(0, 1e9), st.floats(0, 1e9), st.lists(st.sampled_from(ENDINGS)))
def test_who_asks_for_older_ones_gets_fewer(
    kept: list[Kept], one: float, other: float, states: list[str]
) -> None:
    more, fewer = (set(chosen(kept, age, states)) for age in sorted((one, other)))
    assert fewer <= more
    assert more <= set(chosen(kept, 0.0))


limits = st.none() | st.floats(0, 1e9)


@given(runs, st.builds(KeepRuns, limits, limits, limits, st.integers(0, 10)))
def test_by_itself_only_what_its_ending_has_a_limit_for_goes_and_the_newest_stay(
    known: list[Kept], policy: KeepRuns
) -> None:
    """``known`` is in the order of the runs, the newest first; the oldest go first."""
    names = due(known, policy)
    spared = {one.run for one in known[: policy.at_least]}
    for one in known:
        limit = policy.by_ending.get(one.state)
        is_due = limit is not None and one.run in chosen([one], limit) and one.run not in spared
        assert (one.run in names) == is_due
    assert names == [one.run for one in reversed(known) if one.run in names]
