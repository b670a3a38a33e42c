"""Balancers that place: what they are shown, what is done with answers, and that nobody starves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given as with_examples
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams.placing import PATIENCE_SECONDS, placing_view
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.slots import Slot
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.strategies import (
    Placement,
    Placing,
    QueuedStream,
    answers,
    rank_of,
)
from anabranch.core.strategies.placing import in_order, placing
from anabranch.engine.guarded_strategies import Guard, guarded
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, strategies_with, stream
from anabranch.testing.conformance import BUDGET_SECONDS
from anabranch.testing.laws import LAWS
from anabranch.testing.pressing import random_pressure
from anabranch.testing.staged_run import StagedRun
from anabranch.testing.views import SeededSource, draw_options, draw_placing

STRATEGIES = load_plugins().strategies
BUILT_IN = [name for name in STRATEGIES.balancers if ":" not in name]
PLACERS = [name for name in BUILT_IN if placing(STRATEGIES.balancers[name])]


class Made:
    """A load balancer that places as one function says, and counts how often it is asked."""

    name = "made"

    def __init__(self, place: Callable[[Placing], Sequence[Any]]) -> None:
        self._place = place
        self.views: list[Placing] = []

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        self.views.append(view)
        return self._place(view)


def nobody(view: Placing) -> Sequence[Placement]:
    return ()


def begun(plan: Plan, balancer: Any) -> ByHand:
    return ByHand(replace(plan, balancer=balancer.name), strategies_with(balancer))


def admitted(run: ByHand) -> list[tuple[str, int]]:
    events = [r.event for r in run.records if isinstance(r.event, ev.StreamAdmitted)]
    return [(e.stream, e.slot) for e in events]


# --- what it is shown ----------------------------------------------------------------------------


def test_it_is_shown_the_whole_queue_the_slots_and_what_runs() -> None:
    first = Made(lambda view: [Placement(view.queue[0].stream, 2, "the second slot")])
    plan = plan_of(
        stream("a", priority=9, estimate_seconds=30.0, capabilities=("web",)),
        stream("b", estimate_seconds=5.0, resources={"tokens": 2.0}),
        stream("c", estimate_seconds=5.0),
        stream("d", "b", estimate_seconds=5.0),
        stream("later", after_seconds=100.0),
        max_parallel=2,
        resources={"tokens": 3.0},
    )
    run = begun(plan, first)
    assert admitted(run) == [("a", 2)]
    run.run("a")
    run.clock.advance(10.0)
    run.give(inputs.TimeReached(cause=1))
    view = first.views[-1]
    assert [q.stream for q in view.queue] == ["b", "c"]
    assert (view.queue[0].waiters, view.queue[0].resources) == (1, {"tokens": 2.0})
    assert [s.number for s in view.slots] == [1]
    assert (view.free, view.max_parallel) == ({"tokens": 3.0}, 2)
    (running,) = view.running
    assert (running.stream, running.slot) == ("a", 2)
    assert (running.elapsed_seconds, running.rest_seconds) == (10.0, 20.0)
    run.exited("a")
    run.kept("a")
    slots = {s.number: s for s in first.views[-1].slots}
    assert (slots[2].last, slots[2].last_capabilities) == ("a", ("web",))
    assert (slots[2].leases, slots[2].busy_seconds) == (1, 10.0)
    assert (slots[1].leases, slots[1].last) == (0, None)


def test_it_is_shown_what_is_free_of_what_the_queue_asks_for() -> None:
    """Of nothing else; and of what a stream asks for only since it ran out of memory."""
    made = Made(lambda view: [Placement(view.queue[0].stream, 1, "so")])
    members = (
        stream("a", limits={"memory_mb": 200.0}),
        stream("b", "a", resources={"tokens": 1.0}),
    )
    run = begun(plan_of(*members, resources={"memory_mb": 5000.0, "tokens": 3.0}), made)
    assert made.views[-1].free == {}
    run.run("a")
    run.give(inputs.MemorySeen(uses=(inputs.MemoryUse(StreamId("a"), Attempt(1), 300.0),)))
    run.exited("a", code=None, signal=9)
    run.kept("a")
    run.at(1.0)
    assert made.views[-1].free == {"memory_mb": 5000.0}
    run.succeed("a")
    assert made.views[-1].free == {"tokens": 3.0}


def test_the_seed_is_of_the_run_and_of_the_turn() -> None:
    """What was drawn stands in the event, so a replay asks nobody."""
    made = Made(lambda view: [Placement(view.queue[0].stream, view.slots[0].number, "so")])
    plan = plan_of(*(stream(n) for n in "abc"), max_parallel=1)
    run = begun(plan, made)
    run.succeed("a")
    seeds = [view.seed for view in made.views]
    assert len(set(seeds)) == len(seeds)
    again = Made(made._place)
    begun(plan, again).succeed("a")
    assert [view.seed for view in again.views] == seeds


def test_it_is_asked_once_a_turn_and_not_for_nothing() -> None:
    made = Made(lambda view: [Placement(view.queue[0].stream, view.slots[0].number, "one")])
    run = begun(plan_of(*(stream(n) for n in "abcd"), max_parallel=3), made)
    assert admitted(run) == [("a", 1)]
    assert len(made.views) == 1
    run.ready("a")
    assert (len(made.views), len(admitted(run))) == (2, 2)
    run.ready("b")
    assert (len(made.views), len(admitted(run))) == (3, 3)
    run.started("a")
    assert len(made.views) == 3


def test_one_that_only_ranks_leads_to_the_same_as_when_it_is_asked_to_place() -> None:
    """The quick way and the way by a view are one."""

    class Both:
        name = "longest-first"

        def rank(self, view: QueuedStream) -> tuple[float, ...]:
            return rank_of(view)

        def place(self, view: Placing, now: float) -> Sequence[Placement]:
            return in_order(view, "so")

    for seed in range(40):
        plan, seconds = staged(seed, 30)
        ranked = StagedRun(plan, STRATEGIES, seconds)
        placed = StagedRun(plan, strategies_with(Both()), seconds)
        assert [replace(lease, reason="so") for lease in ranked.leases] == placed.leases


# --- what is done with its answer ----------------------------------------------------------------


def all_in_one(view: Placing) -> list[Placement]:
    return [Placement(s.stream, 1, "all") for s in view.queue[:2]]


WRONG: dict[str, Callable[[Placing], Any]] = {
    "raises": lambda view: [1 / 0],
    "nothing": lambda view: None,
    "text": lambda view: "all of them",
    "unknown": lambda view: [Placement(StreamId("x"), 1, "x")],
    "not a name": lambda view: [Placement([], 1, "x")],  # type: ignore[arg-type]
    "one stream twice": lambda view: [Placement(view.queue[0].stream, n, "x") for n in (1, 2)],
    "one slot twice": all_in_one,
    "more than slots": lambda view: [Placement(s.stream, s.position, "x") for s in view.queue],
    "no such slot": lambda view: [Placement(view.queue[0].stream, 99, "x")],
    "a slot like one": lambda view: [Placement(view.queue[0].stream, True, "x")],
    "no reason": lambda view: [Placement(view.queue[0].stream, 1, None)],  # type: ignore[arg-type]
    "changes": lambda view: view.queue[0].resources.update(a=1.0),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_is_the_plugins_fault_and_the_engines_own_places_count(wrong: str) -> None:
    guard = Guard()
    balancer = Made(WRONG[wrong])
    plan = plan_of(*(stream(n) for n in "abc"), max_parallel=2, balancer="made")
    run = ByHand(plan, guarded(strategies_with(balancer), guard))
    assert admitted(run) == [("a", 1), ("b", 2)]
    (fault,) = guard.news()
    assert fault.strategy == "made"


def test_what_does_not_fit_is_left_out_also_without_a_guard() -> None:
    balancer = Made(
        lambda view: [
            Placement(StreamId("x"), 1, "unknown"),
            Placement(StreamId("b"), 7, "no such slot"),
            Placement(StreamId("b"), 2, "right"),
            Placement(StreamId("a"), 2, "taken"),
        ]
    )
    run = begun(plan_of(*(stream(n) for n in "abc"), max_parallel=2), balancer)
    assert admitted(run) == [("b", 2)]


def test_streams_that_ask_for_too_much_together_do_not_fit() -> None:
    guard = Guard()
    hungry = [stream(n, resources={"tokens": 2.0}) for n in "ab"]
    plan = plan_of(*hungry, max_parallel=2, balancer="made", resources={"tokens": 3.0})
    both = Made(lambda v: [Placement(q.stream, n, "x") for n, q in enumerate(v.queue, 1)])
    run = ByHand(plan, guarded(strategies_with(both), guard))
    assert admitted(run) == [("a", 1)]
    assert "more together than there is" in guard.news()[0].fault


# --- nobody starves ------------------------------------------------------------------------------


def test_one_that_places_nobody_is_borne_for_so_long() -> None:
    run = begun(plan_of(stream("a"), stream("b"), max_parallel=2), Made(nobody))
    assert admitted(run) == []
    wakes = [e for e in run.effects if getattr(e, "subject", "") == "placing"]
    assert [getattr(w, "at", None) for w in wakes] == [PATIENCE_SECONDS]
    run.at(PATIENCE_SECONDS - 0.1)
    assert admitted(run) == []
    run.at(PATIENCE_SECONDS)
    assert admitted(run) == [("a", 1), ("b", 2)]
    assert "by the engine" in run.stream("a").placed_because


def without_the_first(view: Placing) -> list[Placement]:
    others = [s for s in view.queue if s.position]
    return [Placement(s.stream, n.number, "so") for s, n in zip(others, view.slots, strict=False)]


def staged(seed: int, size: int = 500, width: int = 8) -> tuple[Plan, dict[StreamId, float]]:
    """Return a plan in layers whose durations are known within a factor of two, and the truth."""
    rng = Random(seed)
    streams: list[StreamPlan] = []
    seconds: dict[StreamId, float] = {}
    for number in range(size):
        estimate = rng.choice((1.0, 3.0, 10.0, 40.0)) * rng.uniform(0.5, 1.5)
        after = rng.sample(range(number), min(number, rng.choice((0, 0, 0, 1, 2))))
        streams.append(
            stream(
                f"s{number}",
                *(f"s{other}" for other in after),
                estimate_seconds=estimate,
                priority=rng.choice((0,) * 20 + (1,)),
                capabilities=(rng.choice(("web", "docs")),) if rng.random() < 0.3 else (),
            )
        )
        seconds[StreamId(f"s{number}")] = estimate * 2.0 ** rng.uniform(-1.0, 1.0)
    return plan_of(*streams, max_parallel=width), seconds


@pytest.mark.parametrize("name", [*BUILT_IN, "keeps one waiting", "places nobody"])
def test_nobody_starves_in_a_staged_run_of_five_hundred(name: str) -> None:
    """Everybody runs once; and under a built-in one no slot is free while somebody could run."""
    plan, seconds = staged(1)
    mine = Made(without_the_first if name == "keeps one waiting" else nobody)
    chosen = name if name in BUILT_IN else mine.name
    run = StagedRun(replace(plan, balancer=chosen), strategies_with(mine), seconds)
    assert sorted(lease.stream for lease in run.leases) == sorted(seconds)
    assert run.state.counts.ended == 500
    starts: dict[tuple[int, int], str] = {(x.slot, x.incarnation): x.stream for x in run.leases}
    assert len(starts) == 500
    if name in BUILT_IN:
        assert run.efficiency() > 0.9


@pytest.mark.parametrize("name", BUILT_IN)
def test_slots_stay_true_while_the_width_changes(name: str) -> None:
    """Wider, narrower, wider again: checked at every step, and the surplus runs out."""
    plan, seconds = staged(2, 60)
    rng = Random(name)
    pressed = {float(at): random_pressure(rng) for at in range(3, 200, 3)}
    adaptive = replace(plan, balancer=name, is_adaptive=True, max_parallel=4)
    run = StagedRun(adaptive, STRATEGIES, seconds, is_checked=True, at=pressed)
    widths = [change.width for change in run.state.width.changes]
    assert any(b > a for a, b in pairwise(widths))
    assert any(b < a for a, b in pairwise(widths))
    assert len(run.leases) == 60
    assert max(lease.slot for lease in run.leases) > 4
    assert len({(lease.slot, lease.incarnation) for lease in run.leases}) == 60


@pytest.mark.parametrize("name", BUILT_IN)
def test_another_one_places_from_the_next_turn_on(name: str) -> None:
    """Chosen while a run goes on, in every pair of those that are built in."""
    plan, seconds = staged(3, 40, 4)
    chosen = {
        4.0 * n: inputs.ChooseStrategy(kind="balancer", strategy=other)
        for n, other in enumerate((*BUILT_IN, name, *reversed(BUILT_IN)), 1)
    }
    run = StagedRun(replace(plan, balancer=name), STRATEGIES, seconds, is_checked=True, at=chosen)
    assert sorted(lease.stream for lease in run.leases) == sorted(seconds)
    assert len({lease.reason for lease in run.leases}) > 2


def test_the_default_comes_within_two_percent_of_the_lower_bound() -> None:
    """With durations that are known within a factor of two; others are further away."""
    shares: dict[str, list[float]] = {"longest-first": [], "plan-order": []}
    for seed in range(6):
        plan, seconds = staged(seed, 300)
        for name, found in shares.items():
            run = StagedRun(replace(plan, balancer=name), STRATEGIES, seconds)
            found.append(run.efficiency())
    assert median(shares["longest-first"]) > 0.98
    assert median(shares["plan-order"]) < 0.95


# --- laws of those that are built in -------------------------------------------------------------


def options_for(name: str, source: SeededSource) -> Any:
    taken = STRATEGIES.balancer_options.get(name)
    return None if taken is None else draw_options(source, taken)


@pytest.mark.parametrize("name", PLACERS)
@settings(max_examples=200, deadline=None)
@with_examples(seed=st.integers(0, 2**32), size=st.integers(1, 30))
def test_every_placement_fits_and_slots_are_used(name: str, seed: int, size: int) -> None:
    """Same view, same answer; and no slot stays free for which somebody is left that fits."""
    balancer = placing(STRATEGIES.balancers[name])
    assert balancer is not None
    source = SeededSource(seed, size)
    view, now = draw_placing(source, options_for(name, source))
    found = balancer.place(view, now)
    assert found == balancer.place(view, now)
    assert tuple(found) == answers.placements(found, view)
    for law in LAWS[Placing]:
        assert not law(balancer.place, (view, now), found)
    taken = {placement.stream for placement in found}
    left = dict(view.free)
    for one in view.queue:
        for resource, amount in one.resources.items() if one.stream in taken else ():
            left[resource] -= amount
    if len(found) < len(view.slots):
        for one in view.queue:
            fits = all(amount <= left[r] for r, amount in one.resources.items())
            assert one.stream in taken or not fits


@pytest.mark.parametrize("name", PLACERS)
def test_two_thousand_are_placed_within_the_budget(name: str) -> None:
    balancer = placing(STRATEGIES.balancers[name])
    assert balancer is not None
    plan = plan_of(*(stream(f"s{n}") for n in range(2_000)), max_parallel=1_000)
    run = ByHand(replace(plan, balancer="made"), strategies_with(Made(nobody)), is_checked=False)
    queue = [run.state.streams[name] for _, _, name in run.state.ready]
    slots = [Slot(number) for number in range(1, 1_001)]

    def turn() -> float:
        begun_at = time.thread_time()
        draft = Draft(run.state, 1.0, STRATEGIES, None)
        view = placing_view(draft, STRATEGIES.balancers[name], queue, slots)
        found = balancer.place(view, 1.0)
        assert len(found) == 1_000
        return time.thread_time() - begun_at

    assert min(turn() for _ in range(5)) < BUDGET_SECONDS


@settings(max_examples=300, deadline=None)
@with_examples(seed=st.integers(0, 2**32), size=st.integers(1, 30))
def test_affinity_has_a_price_and_is_never_a_wall(seed: int, size: int) -> None:
    """Nobody waits for one that is less urgent by more than the price; all slots are used."""
    source = SeededSource(seed, size)
    price = source.real(0.0, 50.0)
    view, now = draw_placing(source, {"price_seconds": price})
    view = replace(
        view, slots=tuple(replace(s, last=StreamId(f"d{s.number % 3}")) for s in view.slots)
    )
    free = tuple(
        replace(
            QueuedStream(one.stream, one.position, 0, 1.0, source.real(1.0, 100.0), 1),
            depends_on=(StreamId(f"d{source.whole(0, 5)}"),),
        )
        for one in view.queue
    )
    affinity = placing(STRATEGIES.balancers["affinity"])
    assert affinity is not None
    placed = {p.stream for p in affinity.place(replace(view, queue=free), now)}
    assert len(placed) == min(len(free), len(view.slots))
    ranks = {one.stream: rank_of(one)[0] for one in free}
    left = [rank for name, rank in ranks.items() if name not in placed]
    for name in placed:
        assert all(ranks[name] <= rank + price + 1e-6 for rank in left)


def test_affinity_brings_a_stream_to_where_its_like_has_run() -> None:
    """Within the price the one that is near goes first, beyond it the more urgent one."""
    plan = plan_of(
        stream("base", priority=1, capabilities=("web",)),
        stream("other", priority=1),
        stream("near", capabilities=("web",), estimate_seconds=10.0),
        stream("far", estimate_seconds=14.0),
        max_parallel=2,
        balancer="affinity",
    )
    near = ByHand(replace(plan, balancer_options={"price_seconds": 5.0}), STRATEGIES)
    near.succeed("base")
    assert admitted(near)[-1] == ("near", near.stream("base").slot)
    assert near.stream("near").placed_because == "near to base, which ran there last"
    cheap = ByHand(replace(plan, balancer_options={"price_seconds": 3.0}), STRATEGIES)
    cheap.succeed("base")
    assert admitted(cheap)[-1] == ("far", cheap.stream("base").slot)


def test_round_robin_takes_slots_in_turn_and_least_loaded_the_least_busy() -> None:
    plan = plan_of(*(stream(n) for n in "abcd"), max_parallel=3, balancer="round-robin")
    turns = ByHand(plan, STRATEGIES)
    assert admitted(turns) == [("a", 1), ("b", 2), ("c", 3)]
    plan = plan_of(stream("a"), stream("b"), stream("c", "a", "b"), max_parallel=2)
    least = ByHand(replace(plan, balancer="least-loaded"), STRATEGIES)
    least.clock.advance(5.0)
    least.succeed("b")
    least.clock.advance(5.0)
    least.succeed("a")
    assert admitted(least)[-1] == ("c", least.stream("b").slot)
