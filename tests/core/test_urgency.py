"""Who goes first: a sum of seconds, in which nobody is outweighed for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.strategies import QueuedStream, rank_of, urgency_of
from anabranch.core.views.outlook import place_in_queue, urgency
from anabranch.testing import plan_of, stream
from tests.core.working import Crew

PLAIN = QueuedStream(StreamId("s"), 0, 0, 10.0, 30.0, 1)


def total(**facts: Any) -> float:
    return urgency_of(replace(PLAIN, **facts), facts.pop("now", 0.0)).total


def test_each_part_makes_more_urgent() -> None:
    assert total() == 30.0
    assert total(remaining_path_seconds=60.0) == 60.0
    assert total(waiters=20, mean_seconds=10.0, max_parallel=4) == 35.0
    assert total(long_seconds=25.0) == 45.0
    assert total(long_seconds=5.0) == 30.0
    assert total(priority=1) == 3630.0
    assert urgency_of(replace(PLAIN, queued_at=10.0), 20.0).age == 1.0


QUEUED = st.builds(
    QueuedStream,
    stream=st.just(StreamId("s")),
    position=st.integers(0, 99),
    priority=st.integers(-3, 3),
    estimate_seconds=st.floats(0, 1e4),
    remaining_path_seconds=st.floats(0, 1e5),
    attempt=st.just(1),
    long_seconds=st.none() | st.floats(0, 1e4),
    waiters=st.integers(0, 1000),
    mean_seconds=st.floats(0, 1e3),
    max_parallel=st.integers(1, 64),
    queued_at=st.floats(0, 1e5),
)


@given(QUEUED, QUEUED, st.floats(0, 1e6))
def test_the_order_is_by_urgency_whenever_it_is_asked(
    one: QueuedStream, other: QueuedStream, later: float
) -> None:
    """All age alike, so ranks need not be made anew as time goes by."""
    now = max(one.queued_at, other.queued_at) + later
    difference = urgency_of(one, now).total - urgency_of(other, now).total
    if abs(difference) > 1e-3:
        assert (rank_of(one) < rank_of(other)) == (difference > 0)


@given(QUEUED, QUEUED)
def test_nobody_starves(waiting: QueuedStream, newcomer: QueuedStream) -> None:
    """Whoever has waited ten times as long as a newcomer is more urgent goes before it."""
    ahead = urgency_of(newcomer, 0.0).total - urgency_of(waiting, 0.0).total
    late = replace(newcomer, queued_at=waiting.queued_at + 10.0 * max(0.0, ahead) + 1.0)
    assert rank_of(waiting) < rank_of(late)


def test_the_queue_says_where_each_stands_and_why() -> None:
    plan = plan_of(
        stream("running"),
        stream("short", estimate_seconds=1.0),
        stream("long", estimate_seconds=50.0),
        max_parallel=1,
        balancer="longest-first",
    )
    crew = Crew("long", plan=plan)
    queue = [name for _, _, name in crew.state.ready]
    assert queue == ["running", "short"]
    crew.now = 4.0
    parts = urgency(crew.state, StreamId("short"), crew.now)
    assert parts is not None
    assert (parts.path, parts.age, place_in_queue(crew.state, StreamId("short"))) == (1.0, 0.4, 2)
    assert urgency(crew.state, StreamId("long"), crew.now) is None


def test_choosing_a_balancer_reorders_the_queue_once() -> None:
    plan = plan_of(
        stream("first", estimate_seconds=1.0),
        stream("busy", estimate_seconds=99.0),
        stream("long", estimate_seconds=50.0),
        max_parallel=1,
        balancer="longest-first",
    )
    crew = Crew("busy", plan=plan)
    assert [name for _, _, name in crew.state.ready] == ["long", "first"]
    crew._step(inputs.ChooseStrategy(kind="balancer", strategy="plan-order"))
    assert [name for _, _, name in crew.state.ready] == ["first", "long"]
    assert crew.events(ev.QueueRanked)[0].reason == "plan-order was chosen as load balancer"
    crew._step(inputs.ChooseStrategy(kind="balancer", strategy="longest-first"))
    assert [name for _, _, name in crew.state.ready] == ["long", "first"]
    assert len(crew.events(ev.QueueRanked)) == 2
