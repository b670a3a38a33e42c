"""Runs of stragglers, simulated with and without copies: the same results, and one commit each."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan
from anabranch.testing import Simulation, plan_of, stream
from anabranch.testing.simulation import NO_TROUBLE, Trouble, random_trouble
from anabranch.testing.trying import strategies_with

SEEDS = int(os.environ.get("ANABRANCH_SEEDS", "40"))


def straggling_plan(seed: int) -> Plan:
    """Return a plan in which most streams take longer than usual, and may have a copy."""
    rng = Random(f"stragglers/{seed}")
    streams = [
        stream(
            f"s{number}",
            *(f"s{n}" for n in rng.sample(range(number), min(number, rng.choice((0, 1, 2))))),
            is_repeatable=rng.random() < 0.9,
            estimate_basis="learned",
            long_seconds=rng.choice((0.3, 1.0, 2.0)),
            max_retries=2,
            resources=rng.choice(({}, {}, {"db": 1.0})),
        )
        for number in range(rng.randint(3, 20))
    ]
    return plan_of(*streams, max_parallel=rng.randint(2, 8), resources={"db": 2.0})


def simulated(plan: Plan, seed: int, trouble: Trouble) -> Simulation:
    run = Simulation(seed, strategies_with(), plan, trouble)
    run.run()
    return run


def result_of(run: Simulation) -> dict[str, str]:
    """Return the merged tree, without the numbers of the attempts that wrote it."""
    tree = run.state.points[FINAL_POINT].tree
    assert tree is not None
    return {path: text.partition(",")[0] for path, text in run.world.git.tree(tree).items()}


def assert_nothing_was_done_twice(state: State, records: list[ev.Recorded]) -> None:
    """Each stream has one result, of an attempt that was not fenced, and no right twice."""
    results: Counter[str] = Counter()
    fenced: set[tuple[str, int]] = set()
    for record in records:
        match record.event:
            case ev.ResultCaptured(stream=name, attempt=attempt):
                results[name] += 1
                assert (name, attempt) not in fenced
            case ev.AttemptFenced(stream=name, attempt=attempt):
                fenced.add((name, attempt))
    assert set(results.values()) == {1}
    assert set(results) == set(state.streams)
    assert not state.copies
    assert state.counts.active == 0


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_result_is_the_same_with_copies_and_without(seed: int) -> None:
    plan = straggling_plan(seed)
    without = simulated(plan, seed, NO_TROUBLE)
    copied = simulated(replace(plan, has_speculation=True), seed, NO_TROUBLE)
    assert result_of(copied) == result_of(without)
    assert copied.state.phase == without.state.phase == "converged"
    assert_nothing_was_done_twice(copied.state, copied.store.records)
    known = copied.state.speculation
    assert known.fenced <= known.copies
    assert known.won <= known.copies


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_engine_may_die_at_any_moment_beside_two_attempts(seed: int) -> None:
    """Nothing else goes wrong: what was granted before an append, or after it, is granted once."""
    trouble = replace(
        random_trouble(Random(seed)), faults=NO_TROUBLE.faults, crash=0.15, commands=0
    )
    run = simulated(replace(straggling_plan(seed), has_speculation=True), seed, trouble)
    assert run.state.phase == "converged"
    assert_nothing_was_done_twice(run.state, run.store.records)
    assert result_of(run)


def test_copies_are_met() -> None:
    seen: Counter[str] = Counter()
    for seed in range(10):
        plan = replace(straggling_plan(seed), has_speculation=True)
        seen += simulated(plan, seed, NO_TROUBLE).sometimes
    for kind in ("stream_copied", "commit_granted", "attempt_fenced", "copy_ended"):
        assert seen[kind], kind
