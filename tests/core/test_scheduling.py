"""Who runs when: conditions, slots, order, delays, and waits that can never end."""

from __future__ import annotations

import pytest

from anabranch.core import effects as fx
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import PointId
from anabranch.testing import ByHand, point, stream
from tests.core.given import given

P = PointId("p")


def _other_ends(run: ByHand, how: str) -> None:
    match how:
        case "succeeds":
            run.succeed("a")
        case "fails":
            run.fail("a")
        case "is stopped":
            run.stop("a")
            run.ready("a")
        case "starts":
            run.run("a")
        case "cannot start":
            run.ready("a")
            run.exited("a", 127, error="no such file")
            run.kept("a", "", files_changed=0)
        case "ends unseen":
            run.ready("a")
            run.exited("a", 1)


@pytest.mark.parametrize(
    ("condition", "how", "phase"),
    [
        ("succeeded", "starts", "waiting"),
        ("succeeded", "succeeds", "preparing"),
        ("succeeded", "fails", "skipped"),
        ("succeeded", "is stopped", "skipped"),
        ("completed", "starts", "waiting"),
        ("completed", "succeeds", "preparing"),
        ("completed", "fails", "preparing"),
        ("completed", "is stopped", "preparing"),
        ("started", "starts", "preparing"),
        ("started", "ends unseen", "preparing"),
        ("started", "is stopped", "skipped"),
        ("started", "cannot start", "skipped"),
    ],
)
def test_a_dependency_is_met_or_can_never_be(condition: str, how: str, phase: str) -> None:
    run = given(stream("a", optional=True), stream("b", f"a:{condition}"))
    _other_ends(run, how)
    assert run.phase("b") == phase


def test_converged_waits_for_the_point_and_not_for_the_stream() -> None:
    run = given(stream("a", converge=P), stream("b", converge=P), stream("c", "a:converged"))
    run.succeed("a")
    assert run.phase("c") == "waiting"
    run.succeed("b")
    assert run.phase("c") == "waiting"
    run.merged("p")
    assert run.phase("c") == "preparing"


def test_a_stream_left_out_of_its_point_has_not_converged() -> None:
    run = given(
        *(stream("a", converge=P), stream("b", converge=P)),
        *(stream("c", "b:converged"), stream("d", "a:converged")),
        point("p", on_conflict="quarantine"),
    )
    run.succeed("a", "b")
    run.merged("p", without=("b",))
    assert run.phases()["c"] == "skipped"
    assert run.phases()["d"] == "preparing"


def test_a_point_that_is_given_up_never_converges() -> None:
    run = given(
        *(stream("a", converge=P), stream("b", converge=P), stream("c", "a:converged")),
        point("p", on_conflict="stop"),
    )
    run.succeed("a", "b")
    run.merged("p", without=("b",))
    assert run.stream("c").reason == "p never converges: b conflicts with what is there, in f.txt"


def test_who_waits_for_himself_by_way_of_a_point_is_skipped_in_the_end() -> None:
    """The final point waits for b, and b for the final point: nothing hangs."""
    run = given(stream("a"), stream("b", "a:converged", optional=True))
    run.succeed("a")
    assert run.phase("b") == "skipped"
    assert run.merged()[-1] == "run_converged"


def test_what_is_queued_is_skipped_when_what_it_needs_is_taken_away() -> None:
    """It waited for a slot while the work it would have been built on was left out."""
    run = given(
        *(stream("a", converge=P), stream("b", converge=P)),
        *(stream("long"), stream("c", "b", max_retries=1)),
        point("p", on_conflict="quarantine"),
        max_parallel=2,
    )
    run.succeed("a")
    run.succeed("b")
    run.fail("c")
    assert run.phase("c") == "retrying"
    run.merged("p", without=("b",))
    assert run.phase("c") == "skipped"


def test_a_retry_is_not_scheduled_when_what_it_needs_was_taken_away_meanwhile() -> None:
    run = given(
        *(stream("a", converge=P), stream("b", converge=P), stream("c", "b", max_retries=1)),
        point("p", on_conflict="quarantine"),
    )
    run.run("a")
    run.succeed("b")
    run.run("c")
    run.exited("a")
    run.kept("a")
    run.merged("p", without=("b",))
    run.exited("c", 1)
    run.kept("c")
    assert run.phase("c") == "skipped"


def test_slots_are_never_exceeded_and_are_used_again() -> None:
    run = given(*(stream(f"s{n}") for n in range(5)), max_parallel=2)
    for n in range(5):
        assert run.state.counts.active <= 2
        run.succeed(f"s{n}")
    assert run.state.counts.ended == 5


def test_a_retry_comes_at_its_time_and_not_before() -> None:
    """Whatever else the clock rings for meanwhile."""
    run = given(stream("a", max_retries=1))
    run.fail("a")
    due = run.stream("a").not_before
    assert due > run.clock()
    run.at(due - 0.01)
    assert run.phase("a") == "retrying"
    run.at(due)
    assert run.phase("a") == "preparing"


def test_a_stream_that_waits_for_a_retry_holds_no_slot() -> None:
    run = given(stream("a", max_retries=1), stream("b"), max_parallel=1)
    assert run.phases() == {"a": "preparing", "b": "queued"}
    run.fail("a")
    assert run.phases() == {"a": "retrying", "b": "preparing"}


def test_the_balancer_orders_the_queue_and_priority_comes_first() -> None:
    run = given(
        stream("small"),
        stream("long", estimate_seconds=9.0),
        stream("urgent", priority=1),
        max_parallel=1,
    )
    order = []
    for _ in range(3):
        name = next(s for s, phase in run.phases().items() if phase == "preparing")
        order.append(name)
        run.succeed(name)
    assert order == ["urgent", "long", "small"]


def test_one_that_is_tried_again_goes_before_its_equals_that_have_not_run() -> None:
    """It is ready since it was first: what fails for everybody is found out by few."""
    run = given(*(stream(name, max_retries=1) for name in "abc"), max_parallel=1)
    run.run("a")
    run.at(20.0)
    run.fail("a")
    assert run.phases() == {"a": "retrying", "b": "preparing", "c": "queued"}
    run.at(60.0)
    assert [name for _, _, name in run.state.ready] == ["a", "c"]
    run.succeed("b")
    assert run.phases() == {"a": "preparing", "b": "succeeded", "c": "queued"}


def test_plan_order_is_a_balancer_too() -> None:
    run = given(
        stream("small"), stream("long", estimate_seconds=9.0), max_parallel=1, balancer="plan-order"
    )
    assert run.phase("small") == "preparing"


def test_after_counts_from_the_dependencies_and_holds_no_slot() -> None:
    run = given(stream("a"), stream("b", "a", after_seconds=10.0), stream("c", "a"), max_parallel=1)
    run.clock.advance(5.0)
    run.succeed("a")
    assert run.stream("b").not_before == 15.0
    assert reason_for(run.state, run.stream("b")) == "waits for its time"
    assert any(isinstance(e, fx.WakeAt) and e.at == 15.0 for e in run.effects)
    run.succeed("c")
    assert run.phase("b") == "queued"
    assert run.at(14.0) == []
    assert run.at(15.0) == ["stream_admitted b"]


def test_after_a_failure_that_counts_nothing_new_is_started() -> None:
    run = given(stream("a"), stream("b"), stream("c"), max_parallel=2)
    run.run("b")
    run.fail("a")
    assert run.phases() == {"a": "failed", "b": "running", "c": "skipped"}
    assert run.stream("c").reason.startswith("a failed, so nothing new was started")


@pytest.mark.parametrize(("optional", "keep_going"), [(True, False), (False, True), (True, True)])
def test_a_failure_that_does_not_count_lets_the_rest_run(optional: bool, keep_going: bool) -> None:
    run = given(stream("a", optional=optional), stream("b"), max_parallel=1, keep_going=keep_going)
    run.fail("a")
    assert run.phase("b") == "preparing"


def test_reasons_of_a_failed_run_name_the_roots_first() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c", "b"))
    run.fail("a")
    assert run.state.phase == "failed"
    assert run.state.reason == "a: exit 1; 2 more"
