"""Services: ready is what others wait for, they hold no slot, and nobody waits for their end."""

from __future__ import annotations

from typing import Any

import pytest

from anabranch.core import effects as fx
from anabranch.core.deciding.streams.health import Health, Look
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.state import Stream
from anabranch.core.plans.extending import why_not_extended
from anabranch.core.plans.plan import ReadyPlan, StreamPlan
from anabranch.testing import ByHand, plan_of, stream
from tests.core.talking import STRATEGIES

READY = ReadyPlan(port="web", http="/health", timeout_seconds=5.0)


def service(name: str, *after: str, ready: ReadyPlan | None = READY, **fields: Any) -> StreamPlan:
    return stream(name, *after, kind="service", ready=ready, ports=("web",), **fields)


@pytest.fixture
def run() -> ByHand:
    """One slot: a service, two jobs that need it, and one that does not."""
    plan = plan_of(
        service("api", max_retries=1),
        stream("e2e", "api:ready"),
        stream("load", "e2e"),
        stream("lint"),
        max_parallel=1,
    )
    return ByHand(plan, STRATEGIES)


def of(run: ByHand, name: str) -> Stream:
    return run.state.streams[StreamId(name)]


def test_dependents_wait_until_it_is_ready_and_not_for_its_end(run: ByHand) -> None:
    run.run("api")
    assert run.phase("e2e") == "waiting"
    assert of(run, "api").public_state == "running"
    waits = [e for e in run.all_effects if isinstance(e, fx.AwaitReadiness)]
    assert [(w.stream, w.attempt, w.until) for w in waits] == [("api", 1, 5.0)]
    run.succeed("lint")
    assert "service_ready api" in run.is_ready("api")
    assert of(run, "api").public_state == "ready"
    assert run.phase("e2e") == "preparing"
    assert of(run, "e2e").inherits.heir_of is None


def test_it_holds_no_slot(run: ByHand) -> None:
    """Both it and a job are at work where one slot is."""
    assert (run.phase("api"), run.phase("lint")) == ("preparing", "preparing")
    assert (run.state.counts.active, run.state.counts.services) == (1, 1)


def test_it_is_ended_when_nobody_needs_it_and_the_run_converges(run: ByHand) -> None:
    run.run("api")
    run.succeed("lint")
    run.is_ready("api")
    run.succeed("e2e")
    assert not of(run, "api").stop, "load depends on it through another"
    words = run.succeed("load")
    assert "service_let_go api" in words
    assert of(run, "api").stop is not None
    run.merged()
    assert run.state.phase.value == "running"
    run.exited("api", 143)
    run.kept("api")
    assert of(run, "api").public_state == "succeeded"
    assert of(run, "api").reason == "nobody needs it any more"
    assert of(run, "api").partial == ("refs/api.1",)
    assert of(run, "api").result is None
    assert run.state.phase.value == "converged"
    assert run.state.points[FINAL_POINT].merged == ("lint", "e2e", "load")


def test_one_on_which_nobody_depends_is_ended_when_all_jobs_are_over() -> None:
    run = ByHand(plan_of(service("db", ready=None), stream("a")), STRATEGIES)
    run.run("db")
    assert of(run, "db").public_state == "ready"
    run.succeed("a")
    run.merged()
    assert of(run, "db").serving.let_go == "all jobs are over"
    run.exited("db", None, signal=15)
    run.kept("db", "")
    assert run.state.phase.value == "converged"


def test_one_that_is_ready_at_its_start_is_there_for_those_who_waited() -> None:
    """They are told in the same step, when nothing else goes on."""
    run = ByHand(plan_of(service("db", ready=None), stream("a", "db:ready")), STRATEGIES)
    run.run("db")
    assert (of(run, "db").public_state, run.phase("a")) == ("ready", "preparing")


def test_one_that_is_needed_by_nobody_before_it_began_never_begins() -> None:
    plan = plan_of(stream("slow"), service("api", "slow"), stream("e2e", "api:ready"))
    run = ByHand(plan, STRATEGIES)
    run.fail("slow")
    assert run.phase("api") == "skipped"
    assert run.phase("e2e") == "skipped"
    assert run.state.phase.value == "failed"


def test_one_that_is_not_ready_in_its_time_is_a_failure_that_is_tried_again(run: ByHand) -> None:
    run.run("api")
    run.is_not_ready("api")
    run.exited("api", 143)
    words = run.kept("api")
    assert "retry_scheduled api" in words
    assert "it was not ready within 5 s: connection refused" in of(run, "api").reason
    run.at(100.0)
    run.run("api")
    run.is_not_ready("api")
    run.exited("api", 143)
    run.kept("api")
    assert run.phase("api") == "failed"
    assert run.phase("e2e") == "skipped"


@pytest.mark.parametrize(
    ("restart", "code", "phase"),
    [
        ("never", 1, "failed"),
        ("never", 0, "succeeded"),
        ("on_failure", 1, "retrying"),
        ("on_failure", 0, "succeeded"),
        ("always", 1, "retrying"),
        ("always", 0, "retrying"),
    ],
)
def test_it_is_started_again_as_the_plan_says(restart: str, code: int, phase: str) -> None:
    retries = 0 if restart == "never" else 2
    plan = plan_of(service("api", restart=restart, max_retries=retries), stream("e2e", "api:ready"))
    run = ByHand(plan, STRATEGIES)
    run.run("api")
    run.exited("api", code)
    run.kept("api")
    assert run.phase("api") == phase


W, F, N = True, False, None
"""What a look says: it is well, it is not, or nothing at all."""


@pytest.mark.parametrize(
    ("looks", "failures", "since"),
    [
        ((), 0, 0.0),
        ((W, W), 0, 0.0),
        ((F,), 1, 0.0),
        ((F, F, F), 3, 0.0),
        ((W, F, F, F), 3, 1.0),
        ((F, F, W, F), 1, 3.0),
        ((F, N, F, N, F), 3, 0.0),
        ((N, N, N, N), 0, 0.0),
    ],
)
def test_so_many_failed_looks_in_a_row_say_that_it_answers_no_more(
    looks: tuple[bool | None, ...], failures: int, since: float
) -> None:
    health = Health()
    for at, is_well in enumerate(looks):
        health = health.after(Look(float(at), is_well, f"look {at}"))
    assert (health.failures, health.since) == (failures, since)
    assert health.is_unhealthy(READY) == (failures >= 3)
    assert not health.is_unhealthy(ReadyPlan(port="web", failures=0))
    assert not health.is_unhealthy(ReadyPlan(log="up"))


@pytest.mark.parametrize(
    ("ready", "is_watched"),
    [
        (READY, True),
        (ReadyPlan(command="pg_isready"), True),
        (ReadyPlan(log="up"), False),
        (ReadyPlan(port="web", failures=0), False),
        (None, False),
    ],
)
def test_one_that_is_ready_is_watched(ready: ReadyPlan | None, is_watched: bool) -> None:
    run = ByHand(plan_of(service("api", ready=ready), stream("e2e", "api:ready")), STRATEGIES)
    run.run("api")
    if ready is not None:
        run.is_ready("api")
    assert of(run, "api").is_ready
    watches = [e for e in run.all_effects if isinstance(e, fx.WatchHealth)]
    assert [(w.stream, w.attempt) for w in watches] == [("api", 1)] * is_watched
    words = run.is_unhealthy("api")
    assert ("service_unhealthy api" in words) == is_watched


@pytest.mark.parametrize(
    ("restart", "phase", "other"),
    [
        ("never", "failed", "skipped"),
        ("on_failure", "retrying", "waiting"),
        ("always", "retrying", "waiting"),
    ],
)
def test_one_that_answers_no_more_has_failed(restart: str, phase: str, other: str) -> None:
    """It is ended, and started again as the plan says; who has not begun waits and says why."""
    retries = 0 if restart == "never" else 2
    api = service("api", restart=restart, max_retries=retries)
    late = stream("late", "api:ready", "slow")
    run = ByHand(plan_of(api, stream("e2e", "api:ready"), stream("slow"), late), STRATEGIES)
    run.run("api", "slow")
    run.is_ready("api")
    run.run("e2e")
    run.at(50.0)
    assert "service_unhealthy api" in run.is_unhealthy("api", since=30.0)
    assert (of(run, "api").public_state, run.phase("api")) == ("unhealthy", "stopping")
    assert run.phase("e2e") == "running", "who has begun goes on"
    run.exited("api", 143)
    run.kept("api")
    assert (run.phase("api"), run.phase("late")) == (phase, other)
    assert "it was ready, and answers no more: GET /health: 503" in of(run, "api").reason


def test_who_waits_for_one_that_was_unhealthy_is_told_so() -> None:
    plan = plan_of(
        service("api", max_retries=5),
        stream("e2e", "api:ready", max_retries=5),
        stream("b", "api:ready", "c"),
        stream("c"),
    )
    run = ByHand(plan, STRATEGIES)
    run.run("api", "c")
    run.is_ready("api")
    run.run("e2e")
    run.is_unhealthy("api")
    run.exited("e2e", 1)
    run.kept("e2e")
    run.at(100.0)
    run.exited("api", 143)
    run.kept("api")
    run.at(200.0)
    why = "api was unhealthy: GET /health: 503, 3 looks in a row"
    assert reason_for(run.state, of(run, "e2e")) == f"ready; {why}"
    which = why.replace("api was", "api, which was")
    assert reason_for(run.state, of(run, "b")) == f"waits for {which}, c"
    run.run("api")
    run.is_ready("api")
    assert run.phase("e2e") == "preparing"
    assert of(run, "api").serving.unhealthy is None


def test_one_that_answers_no_more_when_nobody_needs_it_has_not_failed(run: ByHand) -> None:
    run.run("api")
    run.succeed("lint")
    run.is_ready("api")
    run.succeed("e2e")
    run.run("load")
    run.is_unhealthy("api")
    run.exited("load", 0)
    run.kept("load")
    run.merged()
    run.exited("api", 143)
    run.kept("api")
    assert of(run, "api").public_state == "succeeded"
    assert run.state.phase.value == "converged"


def test_who_is_tried_again_waits_until_it_is_ready_again() -> None:
    plan = plan_of(
        service("api", max_retries=5), stream("e2e", "api:ready", max_retries=5), stream("other")
    )
    run = ByHand(plan, STRATEGIES)
    run.run("api", "other")
    run.is_ready("api")
    run.run("e2e")
    run.exited("api", 1)
    run.kept("api")
    run.exited("e2e", 1)
    run.kept("e2e")
    run.at(100.0)
    assert run.phase("e2e") == "queued"
    assert reason_for(run.state, of(run, "e2e")) == "ready; api is not ready any more"
    run.run("api")
    run.is_ready("api")
    assert run.phase("e2e") == "preparing"


def test_it_comes_back_with_who_needs_it(run: ByHand) -> None:
    run.run("api")
    run.succeed("lint")
    run.is_ready("api")
    run.fail("e2e")
    run.merged()
    run.exited("api", 143)
    run.kept("api")
    assert run.state.phase.value == "failed"
    run.retry("e2e")
    assert run.phase("api") == "preparing"
    assert run.phase("e2e") == "waiting"
    run.run("api")
    run.is_ready("api")
    run.succeed("e2e", "load")
    run.merged()
    run.exited("api", 143)
    run.kept("api")
    assert run.state.phase.value == "converged"


def test_a_run_that_waits_for_a_person_does_not_wait_for_services() -> None:
    plan = plan_of(service("api"), stream("e2e", "api:ready"), stream("b", "e2e", "c"), stream("c"))
    run = ByHand(plan, STRATEGIES)
    run.run("api")
    run.is_ready("api")
    run.succeed("e2e", "c")
    run.conflicted("b", "e2e", "c")
    assert of(run, "api").serving.let_go == "nothing goes on that needs it"
    run.exited("api", 143)
    run.kept("api")
    assert run.state.phase.value == "needs_operator"
    run.resume()
    assert not of(run, "api").has_ended


def test_a_person_stops_one(run: ByHand) -> None:
    run.run("api")
    run.stop("api")
    run.exited("api", 143)
    run.kept("api")
    assert run.phase("api") == "stopped"
    assert run.phase("e2e") == "skipped"


def test_one_that_took_too_much_memory_is_not_tried_again_alone() -> None:
    """It would be for ever, and whoever needs it could not begin beside it."""
    plan = plan_of(service("api", max_retries=1), stream("e2e", "api:ready"))
    run = ByHand(plan, STRATEGIES)
    run.run("api")
    run.exited("api", 137, memory_kills=1)
    run.kept("api")
    run.at(100.0)
    assert of(run, "api").retries == 1
    run.run("api")
    run.is_ready("api")
    assert run.state.alone == ()
    assert run.phase("e2e") == "preparing"


def test_nobody_who_is_added_waits_for_the_end_of_one() -> None:
    plan = plan_of(service("api"), stream("a"))
    assert why_not_extended(plan, stream("b", "api")) == (
        "api is a service, and is not expected to end",
        "wait until it is ready",
    )
    assert why_not_extended(plan, stream("b", "a:ready")) is not None
    assert why_not_extended(plan, stream("b", "api:ready")) is None
