"""What follows from a plan's dependencies: cycles, waves, the critical path, slack, estimates."""

from __future__ import annotations

import time
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plans.cycles import find_cycles
from anabranch.core.plans.graph import (
    critical_path,
    descendants,
    ended_before,
    estimated_seconds,
    lower_bound_seconds,
    never_startable,
    slack,
    waves,
)
from anabranch.core.plans.plan import Dependency, DependencyCondition, Plan, PointPlan, StreamPlan
from anabranch.core.plans.topology import Topology


def stream(
    name: str,
    *depends_on: str | tuple[str, DependencyCondition],
    seconds: float = 1.0,
    after: float = 0.0,
    converge: str = FINAL_POINT,
) -> StreamPlan:
    edges = [(edge, "succeeded") if isinstance(edge, str) else edge for edge in depends_on]
    return StreamPlan(
        id=StreamId(name),
        command=("true",),
        command_text="true",
        depends_on=tuple(Dependency(StreamId(to), condition) for to, condition in edges),  # type: ignore[arg-type]
        estimate_seconds=seconds,
        after_seconds=after,
        converge=PointId(converge),
    )


def plan(*streams: StreamPlan) -> Plan:
    named = dict.fromkeys([*(each.converge for each in streams if each.converge != FINAL_POINT)])
    points = tuple(
        PointPlan(point, streams=tuple(each.id for each in streams if each.converge == point))
        for point in [*named, FINAL_POINT]
    )
    return Plan(name="p", streams=streams, points=points, max_parallel=4)


@st.composite
def random_plans(draw: st.DrawFn, most: int = 8) -> Plan:
    """A plan whose file order says nothing about who waits for whom."""
    size = draw(st.integers(1, most))
    order = draw(st.permutations(range(size)))
    made: dict[int, StreamPlan] = {}
    for place, number in enumerate(order):
        earlier = draw(st.sets(st.sampled_from(order[:place]), max_size=3)) if place else set()
        made[number] = stream(
            f"s{number}",
            *(f"s{other}" for other in sorted(earlier)),
            seconds=float(draw(st.integers(0, 9))),
        )
    return plan(*(made[number] for number in range(size)))


def longest_path(whole: Plan) -> float:
    """By enumeration: the longest sum of estimates along any chain of dependencies."""
    streams = {each.id: each for each in whole.streams}

    def length(name: StreamId) -> float:
        below = [length(edge.stream) for edge in streams[name].depends_on]
        return streams[name].estimate_seconds + max(below, default=0.0)

    return max(length(name) for name in streams)


def has_cycle(edges: dict[StreamId, list[StreamId]]) -> bool:
    """By enumeration: whether no order of the names respects every edge."""
    return not any(
        all(order.index(to) < order.index(name) for name in edges for to in edges[name])
        for order in permutations(edges)
    )


def edges_of(**edges: str) -> dict[StreamId, list[StreamId]]:
    return {StreamId(name): [StreamId(to) for to in many] for name, many in edges.items()}


def test_a_cycle_is_named_once_and_in_order_from_its_first_member() -> None:
    """The order is that of the edges, however the walk came upon the cycle."""
    assert find_cycles(edges_of(z="a", a="b", b="c", c="a")) == [["a", "b", "c"]]


def test_a_stream_that_waits_for_itself_is_a_cycle_of_one() -> None:
    """The shortest cycle there is."""
    assert find_cycles(edges_of(a="a", b="a")) == [["a"]]


def test_two_cycles_through_one_stream_are_both_named() -> None:
    """Mending one of them would leave the other."""
    assert find_cycles(edges_of(a="bc", b="a", c="a")) == [["a", "b"], ["a", "c"]]


def test_a_cycle_behind_another_one_is_named_too() -> None:
    """An edge into a part of the graph that was searched before still counts."""
    assert find_cycles(edges_of(a="bd", b="c", c="a", d="c")) == [["a", "b", "c"], ["a", "d", "c"]]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=5, max_size=5))
def test_cycles_are_found_exactly_where_no_order_exists(targets: list[list[int]]) -> None:
    """Every named cycle follows edges, visits no one twice, and none is named twice."""
    names = "abcde"
    edges = edges_of(
        **{names[at]: "".join(names[to] for to in many) for at, many in enumerate(targets)}
    )
    cycles = find_cycles(edges)
    assert bool(cycles) == has_cycle(edges)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert all(
            to in edges[name] for name, to in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        )
    assert len({tuple(cycle) for cycle in cycles}) == len(cycles)


def test_a_wave_waits_only_for_earlier_ones() -> None:
    """Within a wave the order is that of the plan."""
    whole = plan(stream("z"), stream("d", "b", "c"), stream("c", "a"), stream("b"), stream("a"))
    assert waves(whole) == [["z", "b", "a"], ["c"], ["d"]]


@settings(max_examples=80, deadline=None)
@given(random_plans())
def test_waves_respect_every_edge_and_hold_every_stream(whole: Plan) -> None:
    """Each stream stands in the first wave that its dependencies allow."""
    level = {name: number for number, wave in enumerate(waves(whole)) for name in wave}
    assert len(level) == len(whole.streams)
    for each in whole.streams:
        below = max((level[edge.stream] for edge in each.depends_on), default=-1)
        assert level[each.id] == below + 1


@settings(max_examples=80, deadline=None)
@given(random_plans())
def test_the_critical_path_is_the_longest_chain_and_has_no_slack(whole: Plan) -> None:
    """Its length is that of the enumeration, its members follow edges, no slack is negative."""
    path, length = critical_path(whole)
    streams = {each.id: each for each in whole.streams}
    spare = slack(whole)
    assert length == pytest.approx(longest_path(whole))
    assert sum(streams[name].estimate_seconds for name in path) == pytest.approx(length)
    for before, after in pairwise(path):
        assert before in {edge.stream for edge in streams[after].depends_on}
    assert min(spare.values()) >= 0
    assert all(spare[name] == 0 for name in path)


@settings(max_examples=80, deadline=None)
@given(random_plans(), st.integers(1, 4))
def test_the_estimate_lies_between_the_lower_bound_and_twice_of_it(whole: Plan, slots: int) -> None:
    """List scheduling is never worse than the critical path and the work a slot together."""
    bound = lower_bound_seconds(whole, slots)
    assert bound - 1e-6 <= estimated_seconds(whole, slots) <= 2 * bound + 1e-6


def test_a_path_counts_the_longest_way_to_the_end() -> None:
    """A stream's own estimate is part of it."""
    whole = plan(
        stream("a", seconds=2), stream("b", "a", seconds=3), stream("c", "a"), stream("d", "b", "c")
    )
    assert Topology(whole).path_seconds == {"a": 6, "b": 4, "c": 2, "d": 1}
    assert slack(whole) == {"a": 0, "b": 0, "c": 2, "d": 0}


def test_one_slot_takes_as_long_as_all_the_work() -> None:
    """And enough slots take as long as the critical path."""
    whole = plan(*(stream(f"s{number}", seconds=2) for number in range(5)))
    assert [estimated_seconds(whole, slots) for slots in (1, 2, 5)] == [10, 6, 2]


def test_a_stream_that_waits_for_a_start_runs_beside_the_other() -> None:
    """It is a wave later, but the time of the other one does not count."""
    whole = plan(stream("server", seconds=9), stream("client", ("server", "started"), seconds=2))
    assert waves(whole) == [["server"], ["client"]]
    assert critical_path(whole) == (["server"], 9)
    assert estimated_seconds(whole, 2) == 9
    assert ended_before(whole) == {"server": 0, "client": 0}


def test_the_delay_of_a_stream_lengthens_the_path_but_takes_no_slot() -> None:
    """`after` is time between a stream's dependencies and its start."""
    whole = plan(stream("a"), stream("b", "a", after=5), stream("c", seconds=3))
    assert critical_path(whole) == (["a", "b"], 7)
    assert estimated_seconds(whole, 1) == 7
    assert slack(whole) == {"a": 0, "b": 0, "c": 4}


def test_who_waits_for_a_point_waits_for_all_of_its_streams() -> None:
    """Under the condition `converged` one dependency stands for everyone who meets there."""
    whole = plan(
        stream("a", converge="p"),
        stream("b", converge="p", seconds=4),
        stream("c", ("a", "converged")),
    )
    assert waves(whole) == [["a", "b"], ["c"]]
    assert critical_path(whole) == (["b", "c"], 5)
    assert descendants(whole, StreamId("b")) == ["c"]
    assert ended_before(whole) == {"a": 0, "b": 0, "c": 0b11}


def test_who_waits_for_the_point_that_waits_for_it_never_starts() -> None:
    """Nor do those behind it; the others are counted as if these were not there."""
    whole = plan(stream("a"), stream("b", ("a", "converged"), seconds=9), stream("c", "b"))
    assert never_startable(whole) == ["b", "c"]
    assert waves(whole) == [["a"]]
    assert critical_path(whole) == (["a"], 1)
    assert estimated_seconds(whole, 2) == 1
    assert slack(whole) == {"a": 0, "b": 0, "c": 0}


def test_a_plan_in_which_nothing_starts_takes_no_time() -> None:
    """Every answer exists for it all the same."""
    whole = plan(stream("a", ("a", "converged")))
    assert critical_path(whole) == ([], 0)
    assert waves(whole) == []
    assert estimated_seconds(whole, 1) == 0


def test_the_lower_bound_counts_only_what_ran_when_durations_are_known() -> None:
    """A stream without a duration did not run."""
    whole = plan(stream("a"), stream("b", "a", after=60), stream("c"))
    assert lower_bound_seconds(whole, 1, {StreamId("a"): 2.0, StreamId("c"): 3.0}) == 5
    assert lower_bound_seconds(whole, 2, {StreamId("a"): 2.0, StreamId("c"): 3.0}) == 3


def test_descendants_come_in_plan_order_without_the_stream_itself() -> None:
    """Directly and through others."""
    whole = plan(stream("d", "b"), stream("b", "a"), stream("a"), stream("x"))
    assert descendants(whole, StreamId("a")) == ["d", "b"]


def test_ten_thousand_streams_in_one_chain_are_answered_at_once() -> None:
    """Nothing recurses and nothing is quadratic."""
    whole = plan(stream("s0"), *(stream(f"s{at}", f"s{at - 1}") for at in range(1, 10_000)))
    begin = time.process_time()
    assert len(waves(whole)) == 10_000
    assert critical_path(whole)[1] == 10_000
    assert estimated_seconds(whole, 8) == 10_000
    assert set(slack(whole).values()) == {0.0}
    edges = {each.id: [edge.stream for edge in each.depends_on] for each in whole.streams}
    edges[StreamId("s0")] = [StreamId("s9999")]
    assert [len(cycle) for cycle in find_cycles(edges)] == [10_000]
    assert time.process_time() - begin < 10


def test_a_point_between_thousands_of_streams_stays_cheap() -> None:
    """Five thousand who wait for five thousand need no edge for every pair."""
    first = [stream(f"a{at}", converge="p") for at in range(5_000)]
    second = [stream(f"b{at}", ("a0", "converged")) for at in range(5_000)]
    begin = time.process_time()
    assert [len(wave) for wave in waves(plan(*first, *second))] == [5_000, 5_000]
    assert time.process_time() - begin < 10
