"""Finding the guilty: always, in few runs, alone or in a pair, whatever was built on what."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.core.deciding.points.bisection import (
    BaseFails,
    Guilty,
    Passes,
    Probe,
    Streams,
    Unreliable,
    next_step,
)
from anabranch.core.ids import StreamId

Closure = Callable[[StreamId], set[StreamId]]


def named(size: int) -> list[StreamId]:
    return [StreamId(f"s{n:02}") for n in range(size)]


def alone(stream: StreamId) -> set[StreamId]:
    return {stream}


def search(
    order: list[StreamId], fails: Callable[[Streams], bool], closure: Closure = alone
) -> tuple[object, int]:
    """Run checks until nothing is left to check; return the verdict and how many runs it took."""
    known: dict[Streams, bool] = {}
    again: dict[Streams, bool] = {}
    while True:
        step = next_step(order, closure, known, again)
        if not isinstance(step, Probe):
            return step, len(known) + len(again)
        wanted = frozenset(step.streams)
        found = again if step.is_again else known
        assert wanted not in found, "nothing is checked twice but what is to be confirmed"
        assert not step.is_again or wanted in known
        assert all(closure(s) & set(order) <= wanted for s in wanted), "only closed sets can merge"
        found[wanted] = not fails(wanted)


def bound(size: int, is_pair: bool) -> int:
    """The whole, nothing, the late one alone, a binary search for each, and two looked at again."""
    steps = ceil(log2(size)) if size > 1 else 0
    return 5 + steps * (2 if is_pair else 1)


@pytest.mark.parametrize("size", range(1, 17))
def test_one_guilty_stream_is_found(size: int) -> None:
    """Wherever it stands; the number of runs stays within the bound."""
    order = named(size)
    for guilty in order:
        found, runs = search(order, {guilty}.issubset)
        assert found == Guilty((guilty,))
        assert runs <= bound(size, is_pair=False)


@pytest.mark.parametrize("size", range(2, 17))
def test_a_pair_that_is_guilty_only_together_is_found(size: int) -> None:
    """Either alone passes; the later one is the one to leave out."""
    order = named(size)
    for pair in combinations(order, 2):
        found, runs = search(order, set(pair).issubset)
        assert found == Guilty(pair)
        assert runs <= bound(size, is_pair=True)


@pytest.mark.parametrize("size", range(2, 17))
def test_two_guilty_streams_are_found_one_after_the_other(size: int) -> None:
    """The first is left out, and the second is found in what is left."""
    order = named(size)
    for pair in combinations(order, 2):
        left, guilty = list(order), list[StreamId]()
        innocent = set(pair).isdisjoint
        while not isinstance(found := search(left, lambda s: not innocent(s))[0], Passes):  # noqa: B023
            assert isinstance(found, Guilty)
            guilty.append(found.streams[-1])
            left.remove(found.streams[-1])
        assert sorted(guilty) == sorted(pair)


def test_what_passes_takes_one_run_and_a_bad_base_blames_nobody() -> None:
    """A check that fails without anybody's work says nothing about anybody."""
    assert search(named(8), lambda some: False) == (Passes(), 1)
    assert search(named(8), lambda some: True) == (BaseFails(), 3)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_with_any_dependencies_the_guilty_are_found(data: st.DataObject) -> None:
    """Sets to check are closed; who is guilty alone is found with what it was built on."""
    size = data.draw(st.integers(1, 16))
    order = named(size)
    below: dict[StreamId, set[StreamId]] = {}
    for place, stream in enumerate(order):
        direct = data.draw(st.sets(st.sampled_from(order[:place]), max_size=2)) if place else set()
        below[stream] = {stream}.union(*(below[d] for d in direct))
    guilty = data.draw(st.sets(st.sampled_from(order), min_size=1, max_size=2))
    found, runs = search(order, lambda some: guilty <= some, lambda s: below[s])
    assert isinstance(found, Guilty)
    assert found.streams[-1] == max(guilty)
    assert set(found.streams) <= guilty
    assert runs <= bound(size, is_pair=True)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 16), st.integers(1, 30), st.sets(st.integers(1, 30), max_size=3))
def test_a_check_that_fails_by_chance_accuses_nobody(
    size: int, first: int, others: set[int]
) -> None:
    """Whatever its first failures are, nobody is guilty of what does not come out twice."""
    run = 0

    def fails(some: Streams) -> bool:
        nonlocal run
        run += 1
        return run == 1 or (run in others and run < first)

    seen: dict[Streams, set[bool]] = {}

    def watched(some: Streams) -> bool:
        found = fails(some)
        seen.setdefault(some, set()).add(found)
        return found

    step, _ = search(named(size), watched)
    assert isinstance(step, Unreliable | BaseFails | Guilty)
    if isinstance(step, Unreliable):
        assert seen[frozenset(step.streams)] == {True, False}
    if isinstance(step, Guilty):
        assert any(
            outcome == {True} and set(step.streams) <= some for some, outcome in seen.items()
        )
        assert run > 3


def test_one_failure_and_then_none_is_chance() -> None:
    """The first run fails, all later ones pass: nobody is left out."""
    for size in range(1, 17):
        runs = iter([True])
        step, _ = search(named(size), lambda _, runs=runs: next(runs, False))  # type: ignore[misc]
        assert isinstance(step, Unreliable)
