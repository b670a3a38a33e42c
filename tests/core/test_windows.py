"""When streams may start, as far as clocks decide: a time of day, a spread, a rate."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.streams.windows import next_start, spread
from anabranch.core.deciding.waiting.reasons import Wait, waits_of
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import RunId, StreamId
from anabranch.core.plans.plan import RatePlan
from anabranch.core.views.outlook import outlook
from anabranch.testing import ByHand, stream
from tests.core.given import given

A, B = StreamId("a"), StreamId("b")


def time_found(
    run: ByHand, name: str, due_at: float, seen_wall: float = 0.0, cause: int = 0
) -> list[str]:
    """Whoever looks at the wall says when a stream's time comes."""
    return run.give(
        inputs.TimeFound(
            stream=StreamId(name),
            due_at=due_at,
            due_wall=due_at,
            seen_wall=seen_wall or run.clock(),
            shown="2026-03-29 03:00 CEST",
            cause=cause or run.stream(name).window.cause,
        )
    )


def sought(run: ByHand) -> list[fx.FindTime]:
    return [effect for effect in run.effects if isinstance(effect, fx.FindTime)]


def test_a_stream_waits_for_its_time_of_day_and_holds_no_slot() -> None:
    run = given(stream("a", at="03:00", zone="Europe/Berlin"), stream("b"), max_parallel=1)
    assert run.phases() == {"a": "waiting", "b": "preparing"}
    assert time_found(run, "a", 50.0) == ["window_found a"]
    assert waits_of(run.state, A) == [Wait("time", "2026-03-29 03:00 CEST", None, 0.0, 50.0)]
    assert reason_for(run.state, run.stream("a")) == "waits for 2026-03-29 03:00 CEST"
    run.succeed("b")
    run.merged()
    assert not run.state.has_ended
    run.clock.advance_to(50.0)
    assert time_found(run, "a", 50.0) == ["stream_queued a", "stream_admitted a"]
    run.succeed("a")
    assert [e for e in run.records if isinstance(e.event, ev.WindowMissed)] == []


def test_its_time_is_sought_on_the_wall_and_again_by_another_engine() -> None:
    """The core asks; what it asks is owed until the time has come, and never after it."""
    run = given(stream("a", at="03:00", zone="Europe/Berlin"))
    wanted = fx.FindTime(stream=A, at="03:00", zone="Europe/Berlin", after_wall=0.0, cause=3)
    assert [e for e in run.all_effects if isinstance(e, fx.FindTime)] == [wanted]
    time_found(run, "a", 50.0)
    run.resume()
    from anabranch.core.deciding.owed import owed

    assert wanted in owed(run.state)
    run.clock.advance_to(50.0)
    time_found(run, "a", 50.0)
    assert [e for e in owed(run.state) if isinstance(e, fx.FindTime)] == []
    assert time_found(run, "a", 50.0) == []


def test_the_first_time_after_the_start_of_the_run_counts_though_it_waits_for_others() -> None:
    """It is known before the others are done, and looked at anew when they are."""
    run = given(stream("a"), stream("b", "a", at="03:00", catch_up="skip"))
    time_found(run, "b", 50.0)
    assert [w.kind for w in waits_of(run.state, B)] == ["dependency"]
    found = outlook(run.state, 0.0)
    assert found is not None
    assert found.streams[B].start == 50.0
    run.clock.advance_to(50.0)
    assert time_found(run, "b", 50.0) == []
    run.clock.advance_to(200.0)
    run.succeed("a")
    assert time_found(run, "b", 50.0, seen_wall=200.0) == ["window_missed b"]
    (again,) = sought(run)
    assert again.after_wall == 200.0
    assert "passed 2 min ago while it waited for others: it waits for the next one" in (
        run.stream("b").reason
    )
    assert time_found(run, "b", 86_450.0) == ["window_found b"]
    run.clock.advance_to(86_450.0)
    assert time_found(run, "b", 86_450.0)[0] == "stream_queued b"


@pytest.mark.parametrize(
    ("catch_up", "late", "events"),
    [
        ("once", 30.0, ["stream_queued a", "stream_admitted a"]),
        ("skip", 30.0, ["stream_queued a", "stream_admitted a"]),
        ("once", 7200.0, ["window_missed a", "stream_queued a", "stream_admitted a"]),
        ("skip", 7200.0, ["window_missed a"]),
    ],
)
def test_a_time_that_nobody_could_start_it_at(
    catch_up: str, late: float, events: list[str]
) -> None:
    """Whatever the reason, it is told, and it starts at most once; a minute is not late."""
    run = given(stream("a", at="03:00", catch_up=catch_up))
    time_found(run, "a", 50.0)
    run.clock.advance_to(50.0 + late)
    cause = run.stream("a").window.cause
    assert time_found(run, "a", 50.0) == events
    assert time_found(run, "a", 50.0, cause=cause) == []
    for record in run.records:
        if isinstance(record.event, ev.WindowMissed):
            assert record.event.late_seconds == late
            assert "passed 2 h ago while nobody hosted the run" in record.event.reason


def test_a_clock_that_is_set_moves_the_time_and_that_is_told() -> None:
    run = given(stream("a", at="03:00"))
    time_found(run, "a", 50.0)
    assert time_found(run, "a", 50.5) == []
    assert time_found(run, "a", 3650.0) == ["window_found a"]
    moved = run.records[-1].event
    assert isinstance(moved, ev.WindowFound)
    assert moved.moved_seconds == 3600.0
    assert moved.reason == "the clock was set, or the machine slept: 60 min later"
    run.clock.advance_to(50.0)
    assert run.give(inputs.TimeReached(cause=1)) == []
    assert run.phase("a") == "waiting"


def test_stopped_while_it_waits_a_person_has_it_start_at_once() -> None:
    run = given(stream("a", at="03:00"), stream("b"))
    time_found(run, "a", 50.0)
    assert run.stop("a") == ["stream_stopped a"]
    assert time_found(run, "a", 50.0) == []
    assert "stream_admitted a" in run.retry("a")
    run.fail("a")


def test_a_run_that_goes_on_waits_again_and_what_has_had_its_time_does_not() -> None:
    run = given(stream("a", at="03:00"), stream("b", at="04:00"), keep_going=True)
    run.clock.advance_to(50.0)
    time_found(run, "a", 50.0)
    run.fail("a")
    time_found(run, "b", 90.0)
    run.stop()
    assert run.state.phase == "stopped"
    run.resume()
    assert run.phases() == {"a": "preparing", "b": "waiting"}
    assert [w.kind for w in waits_of(run.state, B)] == ["time"]
    time_found(run, "b", 90.0)
    assert run.phase("b") == "waiting"


def test_what_it_needs_may_fail_while_it_waits() -> None:
    run = given(stream("a"), stream("b", "a", at="03:00"))
    time_found(run, "b", 50.0)
    run.fail("a")
    assert run.phase("b") == "skipped"
    assert run.state.has_ended


# --- spread --------------------------------------------------------------------------------------


def test_a_spread_delays_the_first_start_and_is_in_the_event() -> None:
    run = given(stream("a", spread_seconds=600.0, max_retries=1))
    (queued,) = [r.event for r in run.records if isinstance(r.event, ev.StreamQueued)]
    assert 0.0 < queued.not_before < 600.0
    assert queued.window == "its moment within 10 min"
    (wait,) = waits_of(run.state, A)
    assert (wait.kind, wait.name, wait.until) == ("time", queued.window, queued.not_before)
    assert run.at(queued.not_before - 0.1) == []
    assert run.at(queued.not_before) == ["stream_admitted a"]
    run.fail("a")
    run.at(run.stream("a").not_before)
    assert run.phase("a") == "preparing"


def test_a_spread_begins_at_the_time_of_day_and_the_forecast_counts_both() -> None:
    run = given(stream("a", at="03:00", spread_seconds=600.0), stream("b", "a"))
    time_found(run, "a", 1000.0)
    found = outlook(run.state, 0.0)
    assert found is not None
    expected = found.streams[A].start
    assert 1000.0 < expected < 1600.0
    assert found.streams[B].start == found.streams[A].end
    run.clock.advance_to(1000.0)
    time_found(run, "a", 1000.0)
    assert run.stream("a").not_before == expected


@settings(max_examples=200)
@drawn(st.text("abc", min_size=1, max_size=4), st.integers(1, 50), st.floats(0.0, 1e6))
def test_a_share_lies_in_the_spread_and_is_always_the_same(
    name: str, attempt: int, seconds: float
) -> None:
    plan = stream(name, spread_seconds=seconds)
    found = spread(RunId("r"), plan, attempt)
    assert 0.0 <= found <= seconds
    assert found == spread(RunId("r"), plan, attempt)


def test_shares_are_spread_evenly() -> None:
    shares = sorted(spread(RunId("r"), stream(f"s{n}", spread_seconds=1.0), 1) for n in range(1000))
    assert max(abs(share - n / 1000) for n, share in enumerate(shares)) < 0.05


# --- rate ----------------------------------------------------------------------------------------


def test_attempts_keep_to_the_rate_and_say_what_they_wait_for() -> None:
    run = given(stream("a", rate=RatePlan(2, 100.0), max_retries=5))
    starts = []
    for _ in range(4):
        while run.phase("a") != "preparing":
            run.at(max(run.stream("a").not_before, run.clock()))
        run.clock.advance(1.0)
        starts.append(run.clock())
        run.fail("a")
        while run.phase("a") == "retrying":
            run.at(run.stream("a").not_before)
        if len(starts) == 2:
            (wait,) = waits_of(run.state, A)
            assert (wait.name, wait.until) == ("its rate, 2 starts in 100 s", starts[0] + 100.0)
            assert reason_for(run.state, run.stream("a")) == f"waits for {wait.name}"
    assert all(later - first >= 100.0 for first, later in zip(starts, starts[2:], strict=False))


@settings(max_examples=300)
@drawn(
    st.integers(1, 4),
    st.floats(0.1, 100.0),
    st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 5.0)), max_size=30),
)
def test_no_window_ever_holds_more_starts_than_the_rate_says(
    at_most: int, per: float, wishes: list[tuple[float, float]]
) -> None:
    """Whenever a start is wished for, and however long it then takes to come about."""
    rate, now = RatePlan(at_most, per), 0.0
    starts: tuple[float, ...] = ()
    for pause, takes in wishes:
        now = max(now + pause, next_start(starts, rate)) + takes
        starts = (*starts, now)
    for n, start in enumerate(starts):
        assert sum(start - other < per - 1e-6 for other in starts[: n + 1]) <= at_most
