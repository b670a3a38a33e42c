"""One decision at a time: what follows from an input, and which commands are refused, and how."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.testing import ByHand, point, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import given

A, B = StreamId("a"), StreamId("b")


def test_a_chain_runs_from_its_base_to_its_end() -> None:
    """The whole way of two streams, step by step."""
    run = given(stream("a"), stream("b", "a"))
    assert run.phases() == {"a": "preparing", "b": "waiting"}
    assert run.ready("a") == ["workspace_prepared a"]
    assert run.started("a") == ["stream_started a"]
    assert run.exited("a") == ["stream_exited a"]
    assert run.kept("a") == [
        *("result_captured a", "stream_succeeded a", "stream_queued b", "stream_admitted b")
    ]
    assert run.succeed("b") == [
        *("result_captured b", "stream_succeeded b", "convergence_started final")
    ]
    assert run.merged() == ["convergence_merged final", "run_converged"]


def test_nothing_starts_before_the_base_is_known() -> None:
    run = given(stream("a"))
    early = ByHand(run.state.plan, run._strategies, has_base=False)
    assert early.phase("a") == "queued"
    assert early.effects == (fx.CaptureBase(cause=1),)
    assert early.base() == ["base_captured", "stream_admitted a"]


def test_without_a_base_the_run_fails_and_can_be_taken_up_again() -> None:
    """All streams are skipped with the reason; a resumed run asks for the base once more."""
    run = given(stream("a"), stream("b", "a"))
    early = ByHand(run.state.plan, run._strategies, has_base=False)
    early.give(inputs.BaseNotFound(reason="no commit yet", cause=1))
    assert early.phases() == {"a": "skipped", "b": "skipped"}
    assert early.state.phase == "failed"
    assert "run_reopened" in early.resume()
    assert fx.CaptureBase(cause=1) in early.effects
    early.base()
    early.succeed("a", "b")
    assert early.merged()[-1] == "run_converged"


def test_a_base_that_is_found_and_then_not_is_found() -> None:
    """What comes late, or after the end, changes nothing."""
    run = given(stream("a"))
    assert run.give(inputs.BaseNotFound(reason="no commit yet", cause=1)) == []
    early = ByHand(run.state.plan, run._strategies, has_base=False)
    early.give(inputs.BaseNotFound(reason="no commit yet", cause=1))
    assert early.give(inputs.BaseNotFound(reason="no commit yet", cause=1)) == []


# --- refusals ------------------------------------------------------------------------------------


def _running() -> ByHand:
    run = given(stream("a", max_retries=1), stream("b", "a"))
    run.run("a")
    return run


def _capturing() -> ByHand:
    run = _running()
    run.exited("a")
    return run


def _stopping() -> ByHand:
    run = _running()
    run.stop("a")
    return run


def _stopping_run() -> ByHand:
    run = given(stream("a"), stream("b"))
    run.run("a", "b")
    run.stop("b")
    run.exited("b")
    run.kept("b")
    run.stop()
    return run


def _merging() -> ByHand:
    run = given(stream("a"), stream("b", optional=True))
    run.succeed("a")
    run.fail("b")
    return run


def _failed() -> ByHand:
    run = given(stream("a"))
    run.fail("a")
    return run


def _converged(*, approve: bool = False) -> ByHand:
    run = given(stream("a"), stream("b", optional=True), approve=approve)
    run.succeed("a")
    run.fail("b")
    run.merged()
    return run


def _approving() -> ByHand:
    return _converged(approve=True)


def _approved() -> ByHand:
    run = _approving()
    run.give(inputs.ApprovalDone(branch="main", commit="m", message="main has the result", cause=1))
    return run


REFUSALS: list[tuple[Callable[[], ByHand], Callable[[ByHand], object], str, str]] = [
    (_running, lambda r: r.stop("x"), "there is no stream 'x' in this run", "its streams: a, b"),
    (_running, lambda r: r.retry("x"), "there is no stream 'x' in this run", "its streams: a, b"),
    (_running, lambda r: r.retry("a"), "a is running", "stop it first, then retry it"),
    (_running, lambda r: r.retry("b"), "b is waiting", "stop it first, then retry it"),
    (
        *(_running, lambda r: r.approve(), "the run is running"),
        "only a converged run can be approved: it converges once its streams are over",
    ),
    (
        *(_failed, lambda r: r.approve(), "the run is failed"),
        "only a converged run can be approved: anabranch resume r tries again what did not succeed",
    ),
    (_stopping, lambda r: r.stop("a"), "a is already being stopped", "stopped by you"),
    (_capturing, lambda r: r.stop("a"), "a has ended; its work is being kept", "wait a moment"),
    (
        *(_stopping_run, lambda r: r.stop(), "the run is already stopping"),
        "streams get their grace time first",
    ),
    (
        *(_stopping_run, lambda r: r.retry("b"), "the run is stopping"),
        "retry it when the run has stopped",
    ),
    (_stopping_run, lambda r: r.stop("b"), "b has already ended (stopped)", "nothing to stop"),
    (_merging, lambda r: r.retry("b"), "results are being merged", "try again in a moment"),
    (
        *(_converged, lambda r: r.stop(), "the run has already ended (converged)"),
        "nothing is left to stop",
    ),
    (_converged, lambda r: r.stop("b"), "b has already ended (failed)", "nothing to stop"),
    (
        *(_converged, lambda r: r.retry("a"), "a has succeeded"),
        "only a stream that did not can be retried",
    ),
    (
        *(_approving, lambda r: r.retry("b"), "the result is on its way to your branch"),
        "try again in a moment",
    ),
    (
        *(_approved, lambda r: r.approve(), "the result was brought to your branch before"),
        "main has the result; to have it there again: git merge anabranch/r",
    ),
]


@pytest.mark.parametrize(("given_run", "when", "reason", "hint"), REFUSALS)
def test_a_command_that_makes_no_sense_is_refused_with_a_reason_and_a_next_step(
    given_run: Callable[[], ByHand], when: Callable[[ByHand], object], reason: str, hint: str
) -> None:
    """The words that the user sees; a refused command leaves the state as it was."""
    run = given_run()
    before = run.state
    when(run)
    assert run.refusal is not None
    assert (run.refusal.reason, run.refusal.hint) == (reason, hint)
    assert isinstance(run.refusal, NotYet) == (hint == "try again in a moment")
    assert run.state is before


def test_a_run_starts_once() -> None:
    run = _running()
    run.give(
        inputs.StartRun(
            run=run.state.run,
            project="/p",
            plan_path=None,
            plan=run.state.plan,
            approve=False,
            wall=0.0,
        )
    )
    assert run.refusal == Refusal("run r has already started", "resume it instead")


# --- observations that come at the wrong time ----------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [
        lambda run: run.exited("a", attempt=7),
        lambda run: run.ready("a"),
        lambda run: run.kept("a"),
        lambda run: run.failed("a"),
        lambda run: run.conflicted("a", "b"),
        lambda run: run.merged(),
        lambda run: run.merge_failed(),
        lambda run: run.base(),
        lambda run: run.at(1.0),
        lambda run: run.started("b"),
        lambda run: run.give(inputs.ApprovalNotDone(reason="no", hint="no", cause=1)),
        lambda run: run.give(
            inputs.EffectDelayed(stream=StreamId("zzz"), attempt=1, reason="full", cause=1)
        ),
    ],
)
def test_an_observation_that_does_not_fit_is_without_consequence(
    late: Callable[[ByHand], list[str]],
) -> None:
    """Facts about another attempt, another phase or nobody change nothing."""
    run = _running()
    before = run.state
    assert late(run) == []
    assert run.state is before


# --- causes --------------------------------------------------------------------------------------


def test_the_causes_of_a_run_lead_back_to_its_start() -> None:
    """Why did the run converge? Because of its merge, because of an arrival, and so on."""
    run = given(stream("a"), stream("b", "a"))
    run.succeed("a", "b")
    run.merged()
    by_seq = {r.seq: r for r in run.records}
    story = []
    record = run.records[-1]
    while record.cause is not None:
        story.append(ev.wire_name(type(record.event).__name__))
        assert record.cause < record.seq
        record = by_seq[record.cause]
    assert isinstance(record.event, ev.RunStarted)
    assert story[:4] == [
        *("run_converged", "convergence_merged", "convergence_started", "convergence_arrived")
    ]


def test_a_stream_that_gets_a_free_slot_says_who_left_it() -> None:
    """The cause of an admission is in the same decision, not in the past of another stream."""
    run = given(stream("a"), stream("b"), max_parallel=1)
    run.succeed("a")
    admitted = next(
        r for r in run.records if isinstance(r.event, ev.StreamAdmitted) and r.event.stream == B
    )
    caused_by = run.records[(admitted.cause or 0) - 1].event
    assert getattr(caused_by, "stream", None) == A


def test_what_is_caused_by_a_command_has_the_command_at_its_root() -> None:
    run = _running()
    run.stop("b")
    stopped = next(r for r in run.records if isinstance(r.event, ev.StreamStopped))
    assert stopped.cause is None
    assert all(r.cause is not None for r in run.records if r.seq > stopped.seq)


# --- small facts ---------------------------------------------------------------------------------


def test_a_folder_that_a_clean_up_took_is_not_shown_any_more() -> None:
    """The workspace goes from the state, the refs that rescued its content come in."""
    run = _converged()
    run.give(inputs.WorkspaceGone(stream=A, attempt=1, rescue=("refs/rescue/a",), cause=1))
    assert run.stream("a").workspace is None
    assert run.stream("a").rescue == ("refs/rescue/a",)


def test_a_delay_is_told_once_for_each_reason() -> None:
    run = given(stream("a"))
    delay = inputs.EffectDelayed(stream=A, attempt=1, reason="the disk is full", cause=1)
    assert run.give(delay) == ["stream_delayed a"]
    assert run.give(delay) == []
    assert run.stream("a").reason == "the disk is full; trying again"


def test_an_approval_that_git_refuses_can_be_asked_for_again() -> None:
    run = _approving()
    refused = inputs.ApprovalNotDone(reason="your branch moved", hint="merge it", cause=1)
    assert run.give(refused) == ["approval_refused"]
    assert run.state.approval.message == "your branch moved"
    assert run.approve() == ["approval_requested"]
    assert any(isinstance(e, fx.ApproveResult) for e in run.effects)


def test_approval_has_the_report_written_again() -> None:
    """The report says whether the result is on the user's branch."""
    run = _approved()
    assert [type(e) for e in run.effects] == [fx.WriteReport]


def test_a_reopened_run_does_not_count_as_approved() -> None:
    """What was approved is the old result; the new one is the user's to judge."""
    run = _approved()
    run.retry("b")
    run.at(60.0)
    run.succeed("b")
    assert run.merged()[-1] == "run_converged"
    assert not run.state.approval.is_done
    assert run.approve() == ["approval_requested"]


def test_conflict_words_name_streams_and_paths() -> None:
    run = given(stream("a"), stream("b"), point("final", on_conflict="ask"))
    run.succeed("a", "b")
    merging = run.state.points[run.state.plan.points[-1].id]
    paths = tuple(ev.ConflictedPath(path=f"f{n}", kind="contents") for n in range(5))
    run.give(
        inputs.MergeFinished(
            point=merging.id,
            commit="m",
            tree="t",
            branch=None,
            merged=(A,),
            conflicts=(
                ev.Conflict(streams=(A, B), paths=paths),
                conflict_of("a"),
                conflict_of("b"),
            ),
            cause=merging.cause,
        )
    )
    assert run.state.reason == (
        "a and b conflict in f0, f1, f2 and 2 more; "
        "a conflicts with what is there, in f.txt; 1 more"
    )
