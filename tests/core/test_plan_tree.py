"""The graph as a tree: each stream once, under the one that it waits for the longest."""

from __future__ import annotations

import random

from anabranch.core.ids import StreamId
from anabranch.core.plans.forecast import Expected
from anabranch.core.views.outlook import outlook
from anabranch.core.views.plan_tree import MOST_DRAWN, Node, critical_streams, plan_tree
from anabranch.testing import ByHand, stream
from tests.core.given import given


def tree(run: ByHand) -> tuple[Node, ...]:
    found = outlook(run.state, run.clock())
    return plan_tree(run.state, found.streams if found is not None else {})


def drawn(run: ByHand) -> list[str]:
    return [
        f"{'  ' * node.depth}{node.stream}{''.join(f' < {other}' for other in node.others)}"
        for node in tree(run)
    ]


def test_who_waits_stands_under_the_one_that_is_expected_last() -> None:
    run = given(
        stream("quick", estimate_seconds=1.0),
        stream("slow", estimate_seconds=9.0),
        stream("after", "quick", "slow"),
        stream("last", "after"),
    )
    assert drawn(run) == ["quick", "slow", "  after < quick", "    last"]


def test_what_is_over_counts_by_when_it_was() -> None:
    run = given(
        stream("first", estimate_seconds=9.0),
        stream("second", estimate_seconds=1.0),
        stream("after", "first", "second"),
        max_parallel=2,
    )
    assert drawn(run) == ["first", "  after < second", "second"]
    run.succeed("first")
    run.clock.advance(5.0)
    run.succeed("second")
    assert drawn(run) == ["first", "second", "  after < first"]


def test_each_says_how_many_stand_below_and_where_branches_end() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c", "b"), stream("d", "a"), stream("e"))
    found = {str(node.stream): node for node in tree(run)}
    assert [found[name].below for name in "abcde"] == [3, 1, 0, 0, 0]
    assert found["a"].is_last == (False,)
    assert found["c"].is_last == (False, False, True)
    assert found["d"].is_last == (False, True)


def test_a_long_chain_is_no_matter() -> None:
    names = [f"s{number}" for number in range(500)]
    chain = [stream(name, *names[at - 1 : at] if at else ()) for at, name in enumerate(names)]
    found = tree(given(*chain))
    assert [node.depth for node in found] == list(range(500))
    assert max(len(node.is_last) for node in found) == MOST_DRAWN


def test_every_stream_stands_once_and_behind_whom_it_stands_under() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        names = [f"s{number}" for number in range(chance.randint(1, 30))]
        plans = [
            stream(
                name,
                *chance.sample(names[:at], chance.randint(0, min(at, 3))),
                estimate_seconds=chance.uniform(0.1, 9.0),
            )
            for at, name in enumerate(names)
        ]
        run = given(*plans)
        found = tree(run)
        assert sorted(node.stream for node in found) == sorted(names)
        needed = {s.id: len(s.depends_on) for s in run.state.plan.streams}
        stack: list[StreamId] = []
        for node in found:
            del stack[node.depth :]
            above = stack[-1] if stack else None
            on = {d.stream for d in run.state.stream_plan(node.stream).depends_on}
            assert (above in on) if above else not on
            assert len(node.others) == max(0, needed[node.stream] - 1)
            stack.append(node.stream)


def test_without_a_forecast_the_tree_stands_all_the_same() -> None:
    run = given(stream("a"), stream("b", "a:started"))
    assert [n.depth for n in plan_tree(run.state, {})] == [0, 1]
    late = {StreamId("a"): Expected(5.0, 9.0, 0.0, is_critical=True)}
    assert [n.depth for n in plan_tree(run.state, late)] == [0, 1]


def test_what_decided_the_length_is_a_chain_of_those_that_ran() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c"), max_parallel=2)
    run.run("a")
    run.clock.advance(30.0)
    run.succeed("a")
    assert critical_streams(run.state, run.clock()) == ("a",)
