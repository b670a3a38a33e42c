"""What follows when an attempt does not succeed, is stopped, or is wanted once more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.views.projections import exit_code_of
from anabranch.testing import ByHand, stream
from tests.core.given import given


def lost(run: ByHand) -> None:
    run.run("a")
    run.lost("a")
    run.kept("a")


def crashed(run: ByHand) -> None:
    run.run("a")
    run.exited("a", None, signal=11)
    run.kept("a")


def no_workspace(run: ByHand) -> None:
    run.failed("a")


def no_process(run: ByHand) -> None:
    run.ready("a")
    run.failed("a", "no holder")


def not_executable(run: ByHand) -> None:
    run.run("a")
    run.exited("a", 127, error="no such file")
    run.kept("a")


def timed_out(run: ByHand) -> None:
    run.run("a")
    run.at(run.clock() + 5.0)
    assert run.phase("a") == "stopping"
    run.exited("a", None, signal=15)
    run.kept("a")


BAD_ENDS = [
    (lost, "its holder was killed"),
    (crashed, "ended by signal SIGSEGV"),
    (no_workspace, "permission denied"),
    (no_process, "no holder"),
    (timed_out, "it ran longer than its timeout of 5 s"),
]


@pytest.mark.parametrize(("ends", "reason"), BAD_ENDS)
def test_an_attempt_that_ends_badly_is_tried_again_as_often_as_the_plan_says(
    ends: Callable[[ByHand], None], reason: str
) -> None:
    run = given(stream("a", max_retries=1, timeout_seconds=5.0))
    ends(run)
    assert run.phase("a") == "retrying"
    assert run.stream("a").reason.startswith(reason)
    run.at(run.stream("a").not_before)
    assert run.stream("a").attempt == 2
    ends(run)
    assert run.phase("a") == "failed"
    assert run.stream("a").reason == reason


def test_a_strategy_that_is_not_there_any_more_leaves_the_retries_to_the_core() -> None:
    """As often as the plan allows, a second later; what would happen again is not tried again."""
    run = given(stream("a", max_retries=1), recovery="gone")
    crashed(run)
    assert (run.phase("a"), run.stream("a").not_before) == ("retrying", run.clock() + 1.0)
    run.at(run.stream("a").not_before)
    crashed(run)
    assert (run.phase("a"), run.stream("a").attempt) == ("failed", 2)
    run = given(stream("a", max_retries=1), recovery="gone")
    not_executable(run)
    assert run.phase("a") == "failed"


def test_a_command_that_cannot_be_run_is_not_tried_again() -> None:
    run = given(stream("a", max_retries=5))
    not_executable(run)
    assert run.phase("a") == "failed"
    assert run.stream("a").reason == "no such file"


def test_the_plan_says_which_exit_codes_are_good() -> None:
    run = given(stream("a", success_exit_codes=(0, 3)))
    run.run("a")
    run.exited("a", 3)
    assert run.kept("a")[1] == "stream_succeeded a"


def test_partial_work_is_kept_and_never_merged() -> None:
    run = given(stream("a", optional=True), stream("b"))
    run.fail("a")
    run.succeed("b")
    assert run.stream("a").partial == ("refs/a.1",)
    assert run.stream("a").result is None


def test_work_that_is_not_there_leaves_no_ref() -> None:
    run = given(stream("a"))
    run.run("a")
    run.exited("a", 1)
    assert "partial_captured a" not in run.kept("a", commit="")


# --- stopping ------------------------------------------------------------------------------------


def test_a_stream_is_stopped_from_wherever_it_is() -> None:
    """Waiting and queued ones at once; one that starts is ended when it has started."""
    four = [stream(f"s{n}") for n in range(4)]
    run = given(*four, stream("w", "s0"), max_parallel=3, balancer="plan-order")
    run.ready("s1")
    run.run("s2")
    for name in ("s3", "s0", "s1", "s2", "w"):
        run.stop(name)
    assert run.phases() == {
        "s0": "preparing",
        "s1": "starting",
        "s2": "stopping",
        "s3": "stopped",
        "w": "stopped",
    }
    assert run.ready("s0")[0] == "stream_stopped s0"
    assert run.started("s1") == ["stream_started s1", "stream_stop_requested s1"]
    assert [type(e) for e in run.effects] == [fx.StopProcess]
    run.exited("s2", None, signal=15)
    assert run.kept("s2") == ["partial_captured s2", "stream_stopped s2"]


def test_what_a_person_stopped_is_not_tried_again() -> None:
    run = given(stream("a", max_retries=3))
    run.run("a")
    run.stop("a")
    run.exited("a", 1)
    run.kept("a")
    assert run.phase("a") == "stopped"


def test_a_person_can_stop_what_the_engine_is_ending_to_try_again() -> None:
    """Its time was up, and it would be retried; the person's word weighs more."""
    run = given(stream("a", max_retries=3, timeout_seconds=5.0))
    run.run("a")
    run.at(5.0)
    assert run.stop("a") == ["stream_stop_requested a"]
    assert run.effects == ()
    run.exited("a", None, signal=15)
    run.kept("a")
    assert run.phase("a") == "stopped"


@pytest.mark.parametrize("whole_run", [True, False])
def test_a_stream_that_waits_for_a_retry_after_a_timeout_can_be_stopped(whole_run: bool) -> None:
    run = given(stream("a", max_retries=3, timeout_seconds=5.0))
    timed_out(run)
    run.stop(None if whole_run else "a")
    assert run.phase("a") == "stopped"
    assert run.state.has_ended


def test_a_run_that_is_stopped_before_its_base_is_known_ends() -> None:
    run = given(stream("a"), stream("b", "a"))
    early = ByHand(run.state.plan, run._strategies, has_base=False)
    early.stop()
    assert early.phases() == {"a": "stopped", "b": "stopped"}
    early.base()
    assert early.state.phase == "stopped"


def test_stopping_a_run_lets_what_is_being_kept_be_kept() -> None:
    run = given(stream("a"), stream("b", max_retries=2), stream("c", "a"))
    run.run("a", "b")
    run.exited("a")
    run.exited("b", 1)
    run.stop()
    run.kept("a")
    run.kept("b")
    assert run.phases() == {"a": "succeeded", "b": "failed", "c": "stopped"}
    assert run.state.phase == "stopped"


# --- once more -----------------------------------------------------------------------------------


def test_retrying_a_stream_takes_along_what_was_skipped_behind_it() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c", "b"), stream("d"), keep_going=True)
    run.succeed("d")
    run.fail("a")
    run.merged()
    assert run.state.phase == "failed"
    run.retry("a")
    assert run.phases() == {"a": "preparing", "b": "waiting", "c": "waiting", "d": "succeeded"}
    run.succeed("a", "b", "c")
    assert run.merged()[-1] == "run_converged"


def test_a_retried_stream_gets_a_new_attempt_and_all_its_retries() -> None:
    run = given(stream("a", max_retries=1))
    run.fail("a")
    run.at(60.0)
    run.fail("a")
    assert run.phase("a") == "failed"
    run.retry("a")
    assert (run.stream("a").attempt, run.stream("a").retries) == (3, 0)


def test_resuming_runs_what_did_not_succeed_and_keeps_what_did() -> None:
    run = given(stream("a"), stream("b"), stream("c", "b"), keep_going=True)
    run.succeed("a")
    run.fail("b")
    run.merged()
    run.resume()
    assert run.phases() == {"a": "succeeded", "b": "preparing", "c": "waiting"}


def test_resuming_a_stopped_run_goes_on_with_what_was_stopped() -> None:
    run = given(stream("a"))
    run.stop()
    run.ready("a")
    assert run.state.phase == "stopped"
    run.resume()
    run.succeed("a")
    assert run.merged()[-1] == "run_converged"


def test_resuming_a_converged_run_changes_nothing_but_is_noted() -> None:
    run = given(stream("a"))
    run.succeed("a")
    run.merged()
    assert run.resume() == ["run_resumed"]
    assert run.state.phase == "converged"


def test_looking_at_a_run_that_is_over_is_no_event() -> None:
    """Nor is what the machine does meanwhile; and what is asked for then is done as ever."""
    run = given(stream("a"))
    run.fail("a")
    assert run.resume(retry_failed=False) == []
    assert run.give(inputs.MachineLoad(memory_available_mb=1.0, memory_pressure=0.9)) == []
    assert run.state.phase == "failed"
    assert run.retry("a")[0] == "run_reopened"


@pytest.mark.parametrize(("code", "signal"), [(143, None), (None, 15)])
def test_one_ending_counts_the_same_however_it_is_spelt(
    code: int | None, signal: int | None
) -> None:
    """``sh -c 'kill -TERM $$'`` and ``sh -c '…'; exit $?``: the shell's spelling is the plan's."""
    run = given(stream("a", success_exit_codes=(143,)), stream("b"))
    run.run("a", "b")
    for name in ("a", "b"):
        run.exited(name, code, signal=signal)
        run.kept(name)
    assert (run.phase("a"), run.phase("b")) == ("succeeded", "failed")
    assert exit_code_of(run.stream("a")) == exit_code_of(run.stream("b")) == 143
    assert "None" not in run.stream("a").reason
