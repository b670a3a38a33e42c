"""Explicit arrivals: everybody's value for everybody, and nobody waits for a corpse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.deciding.points.arrivals import LARGEST_VALUE_BYTES
from anabranch.core.deciding.points.reducing import REDUCERS, reduce_values, why_not_reducible
from anabranch.core.ids import PointId, StreamId
from anabranch.testing import plan_of, point, stream
from tests.core.working import Crew


def crew_at(point_name: str, *names: str, reduce: str | None = None, **fields: Any) -> Crew:
    """Return a crew that all meets at one point."""
    options = {} if reduce is None else {"reduce": reduce}
    streams = [stream(n, converge=PointId(point_name), **fields) for n in names]
    plan = plan_of(*streams, point(point_name, options=options), max_parallel=len(names))
    crew = Crew(plan=plan)
    for name in names:
        crew.starts(name)
    return crew


def test_everybody_gets_everybodys_value_when_all_have_come() -> None:
    """The last to come is answered at once, the others under their tickets."""
    crew = crew_at("p", "a", "b", "c")
    first = crew.arrives("a", "p", {"x": 1}, request="mine")
    assert (first.outcome, first.facts["round"]) == ("waiting", 1)
    crew.arrives("b", "p", 2)
    last = crew.arrives("c", "p")
    expected = {"a": {"x": 1}, "b": 2, "c": None}
    assert (last.outcome, last.facts["state"]) == ("done", expected)
    crew.remembers()
    assert crew.hears_again("a", "mine").facts["state"] == expected
    assert next(e.request for e in crew.events(ev.ArrivalReleased)) == "mine"
    assert all(crew.phase(n) == "running" for n in "abc")


def test_the_process_goes_on_and_its_result_is_merged_at_its_end() -> None:
    """An arrival by a call is none of the result."""
    crew = crew_at("p", "a", "b")
    crew.arrives("a", "p", 1)
    crew.arrives("b", "p", 2)
    assert crew.state.points[PointId("p")].arrived == ()
    crew.ends("a")
    crew.ends("b")
    assert crew.state.points[PointId("p")].arrived == ("a", "b")


def test_a_point_gathers_round_after_round() -> None:
    """Like a barrier in a loop."""
    crew = crew_at("p", "a", "b", reduce="sum")
    for number in (1, 2, 3):
        crew.arrives("a", "p", number)
        answer = crew.arrives("b", "p", 10 * number)
        assert (answer.facts["round"], answer.facts["state"]) == (number, 11 * number)


def test_arriving_twice_in_a_round_is_arriving_once() -> None:
    """The first value counts."""
    crew = crew_at("p", "a", "b")
    first = crew.arrives("a", "p", 1)
    assert crew.arrives("a", "p", 5).facts["ticket"] == first.facts["ticket"]
    assert crew.arrives("b", "p", 2).facts["state"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("exit_code", [0, 1])
def test_who_has_ended_is_not_waited_for(exit_code: int) -> None:
    """However it ended; who ended well left its value, if it brought one."""
    crew = crew_at("p", "a", "b", "c")
    crew.arrives("a", "p", 1)
    crew.arrives("b", "p", 2)
    crew.ends("b", exit_code)
    crew.ends("c", exit_code)
    (event,) = crew.events(ev.ConvergenceAggregated)
    assert event.value == ({"a": 1, "b": 2} if exit_code == 0 else {"a": 1})


def test_an_attempt_that_failed_takes_its_value_along() -> None:
    """The next attempt arrives by itself, and is waited for."""
    crew = crew_at("p", "a", "b", max_retries=1)
    crew.arrives("a", "p", "old")
    crew.crashes("a")
    crew.arrives("b", "p", 2)
    assert not crew.events(ev.ConvergenceAggregated)
    crew.passes(120)
    crew.starts("a")
    assert crew.arrives("a", "p", "new").facts["state"] == {"a": "new", "b": 2}


def test_where_nobody_belongs_nobody_arrives() -> None:
    """A stream has its own point and the final one."""
    crew = crew_at("p", "a", "b")
    assert crew.arrives("a", "nowhere").outcome == "refused"
    crew = Crew("a", "b")
    assert crew.arrives("a", "final").outcome == "waiting"


def test_a_value_that_is_too_long_is_refused() -> None:
    """It belongs into a file; the longest that is taken is just as long as is told."""
    crew = crew_at("p", "a", "b")
    assert crew.arrives("b", "p", "x" * (LARGEST_VALUE_BYTES - 2)).outcome == "waiting"
    assert crew.arrives("a", "p", "x" * (LARGEST_VALUE_BYTES - 1)).outcome == "refused"
    answer = crew.arrives("a", "p", "x" * 70_000)
    assert (answer.outcome, "file" in answer.facts["hint"]) == ("refused", True)


@pytest.mark.parametrize("is_abandoned", [True, False])
def test_a_wait_at_a_point_can_end_before_the_others_have_come(is_abandoned: bool) -> None:
    """What was merely abandoned is brought all the same; what was given up was never there."""
    crew = crew_at("p", "a", "b", "c")
    ticket = int(crew.arrives("a", "p", 1).facts["ticket"])
    crew.arrives("b", "p", 2)
    assert crew.call(calls.Withdraw, "c", ticket=ticket).outcome == "refused"
    answer = crew.call(calls.Withdraw, "a", ticket=ticket, is_abandoned=is_abandoned)
    assert answer.outcome == "done"
    there = {a.stream: a.waits for a in crew.state.points[PointId("p")].gathering.arrivals}
    assert there == ({"a": False, "b": True} if is_abandoned else {"b": True})
    last = crew.arrives("c", "p", 3)
    if not is_abandoned:
        assert last.outcome == "waiting"
        last = crew.arrives("a", "p", 4)
    assert last.facts["state"] == {"a": 1 if is_abandoned else 4, "b": 2, "c": 3}


def test_who_waits_for_one_that_waits_for_him_is_told_so() -> None:
    """b starts when a has succeeded, and a waits for b: the ring is found at once."""
    plan = plan_of(stream("a", converge=PointId("p")), stream("b", "a", converge=PointId("p")))
    crew = Crew(plan=plan)
    crew.starts("a")
    answer = crew.arrives("a", "p", 1)
    assert answer.outcome == "refused"
    assert [e["kind"] for e in answer.facts["cycle"]] == ["point", "dependency"]
    assert crew.arrives("a", "p", 1, wait=False).outcome == "waiting"
    crew.ends("a")
    crew.starts("b")
    assert crew.arrives("b", "p", 2).facts["state"] == {"a": 1, "b": 2}


def test_too_few_slots_for_a_point_are_a_ring_too() -> None:
    """One slot, two streams that meet: the first can wait for ever."""
    plan = plan_of(*(stream(n, converge=PointId("p")) for n in "ab"), max_parallel=1)
    crew = Crew(plan=plan)
    crew.starts("a")
    answer = crew.arrives("a", "p", 1)
    assert answer.outcome == "refused"
    assert "a slot" in answer.facts["reason"]


def test_a_ring_over_a_point_and_resources_is_found_when_it_closes() -> None:
    """a waits at the point for b, b waits for what a holds."""
    crew = crew_at("p", "a", "b")
    crew.measures(cpu_cores=1, memory_mb=1000)
    crew.asks("a", cpu_cores=1)
    crew.arrives("a", "p")
    answer = crew.asks("b", cpu_cores=1)
    ring = crew.events(ev.DeadlockDetected)[0].cycle
    assert {e.kind for e in ring} == {"point", "resource"}
    assert answer.outcome == "refused"


def test_an_outside_stream_is_heard_if_it_comes_in_time() -> None:
    """Nobody waits for it; at the final point it is done with the others."""
    crew = Crew("a", "b")
    crew.registers("scout")
    crew.arrives("a", value=1)
    crew.arrives("scout", value=3)
    assert crew.arrives("b", value=2).facts["state"] == {"a": 1, "b": 2, "scout": 3}
    (left,) = crew.events(ev.StreamLeft)
    assert left.has_succeeded
    assert crew.state.registry.live(StreamId("scout")) is None


def test_the_end_of_a_round_is_a_sync_point_of_the_shared_state() -> None:
    """Snapshots become one version for all; what clashes is named, and the earlier one stands."""
    crew = crew_at("p", "a", "b", "c")
    base = crew.sets("a", "n", 0).facts["version"]
    crew.arrives("a", "p", {"base": base, "changes": {"n": 1, "x": 1}})
    crew.arrives("b", "p", {"base": base, "changes": {"n": 2, "y": 2}})
    answer = crew.arrives("c", "p", {"n": 5})
    assert answer.facts["version"] == crew.state.shared.head
    assert answer.facts["clashes"] == ["n"]
    texts = {key: crew.state.shared.text(key) for key in ("n", "x", "y")}
    assert texts == {"n": "1", "x": "1", "y": "2"}
    crew.remembers()


# ------------------------------------------------------------------ reducers


@pytest.mark.parametrize(
    ("reducer", "values", "expected"),
    [
        ("collect", {"a": 1, "b": None}, {"a": 1, "b": None}),
        ("merge", {"a": {"x": 1, "y": 1}, "b": {"y": 2}, "c": None}, {"x": 1, "y": 2}),
        ("sum", {"a": 1, "b": 2.5, "c": None}, 3.5),
        ("max", {"a": 1, "b": 2}, 2),
        ("min", {"a": 1, "b": 2}, 1),
        ("sum", {"a": None}, None),
    ],
)
def test_what_values_come_to(reducer: str, values: dict[StreamId, Any], expected: Any) -> None:
    """Nothing brought is nothing counted."""
    assert reduce_values(reducer, values) == expected


def test_a_value_that_cannot_be_reduced_is_refused_when_it_comes() -> None:
    """Not when the last has come."""
    crew = crew_at("p", "a", "b", reduce="sum")
    assert crew.arrives("a", "p", "text").outcome == "refused"
    assert crew.arrives("a", "p", True).outcome == "refused"
    assert crew.arrives("a", "p", None).outcome == "waiting"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [({"x": 1}, "waiting"), (None, "waiting"), ([1], "refused"), (1, "refused")],
)
def test_only_objects_can_be_merged(value: Any, outcome: str) -> None:
    assert crew_at("p", "a", "b", reduce="merge").arrives("a", "p", value).outcome == outcome


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(st.sampled_from(REDUCERS), st.lists(JSON, max_size=5))
def test_what_was_taken_can_be_reduced(reducer: str, values: list[Any]) -> None:
    """No set of values that were accepted one by one makes a reducer fail."""
    taken = [v for v in values if why_not_reducible(reducer, v) is None]
    reduce_values(reducer, {StreamId(f"s{n}"): v for n, v in enumerate(taken)})
