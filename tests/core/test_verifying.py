"""A merged result counts once the check has passed on it; else the guilty are left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import PointPhase, RunPhase
from anabranch.core.plans.plan import StreamPlan
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, point, stream

Fails = Callable[[set[str]], bool]


class Checked(ByHand):
    """A run with a check on its last point."""

    def __init__(
        self, *members: StreamPlan, on_failure: str = "quarantine", retries: int = 0
    ) -> None:
        checks = point("final", verify="make test", on_failure=on_failure, verify_retries=retries)
        plan = plan_of(*members, checks, max_parallel=16, keep_going=True)
        super().__init__(plan, load_plugins().strategies)
        self.runs = 0

    def merges(self) -> None:
        """Let the merge be done; the tree says whose work it holds."""
        known = self.state.points[FINAL_POINT]
        tree = "t-" + ",".join(known.merging)
        self.give(
            inputs.MergeFinished(
                point=known.id, commit=f"c-{tree}", tree=tree, branch="b", merged=known.merging,
                conflicts=(), cause=known.cause,
            )
        )  # fmt: skip

    def answers(self, fails: Fails, *, passed: bool | None = True) -> None:
        """Let the check that is owed come to its end."""
        (effect,) = [e for e in owed(self.state) if isinstance(e, fx.RunVerify)]
        tree = "t-" + ",".join(effect.streams)
        again = " again" if effect.is_again else ""
        known = self.state.verified.get(f"{tree}{again} make test")
        is_known = None if effect.failures else known
        is_good = not fails(set(effect.streams)) if is_known is None else is_known
        self.runs += is_known is None
        self.give(
            inputs.VerifyFinished(
                point=effect.point, streams=effect.streams, tree=tree,
                passed=is_good if passed is not None else None, exit_code=int(not is_good),
                reason=f"exit {int(not is_good)}", is_remembered=is_known is not None,
                cause=effect.cause,
            )
        )  # fmt: skip

    def goes_on(self, fails: Fails) -> None:
        """Merge and check until the point is settled."""
        for _ in range(60):
            phase = self.state.points[FINAL_POINT].phase
            if phase is PointPhase.MERGING:
                self.merges()
            elif phase is PointPhase.VERIFYING:
                self.answers(fails)
            else:
                return
        raise AssertionError("it never comes to an end")


def checked(*names: str, on_failure: str = "quarantine", retries: int = 0) -> Checked:
    run = Checked(*[stream(name) for name in names], on_failure=on_failure, retries=retries)
    run.run(*names)
    for name in names:
        run.exited(name)
        run.kept(name)
    return run


def test_what_passes_counts() -> None:
    """It is merged, checked, and only then is it a result."""
    run = checked("a", "b")
    run.merges()
    assert run.state.points[FINAL_POINT].phase is PointPhase.VERIFYING
    assert run.state.points[FINAL_POINT].reason == "verifying the work of 2 of 2 streams"
    assert not run.state.has_ended
    run.answers(lambda some: False)
    run.merges()
    assert run.state.phase is RunPhase.CONVERGED
    assert run.runs == 1


@pytest.mark.parametrize("guilty", ["a", "b", "c", "d", "e"])
def test_the_guilty_stream_is_left_out_and_the_rest_counts(guilty: str) -> None:
    """Its work is kept; what is left is checked as a whole, too."""
    run = checked("a", "b", "c", "d", "e")
    run.goes_on(lambda some: guilty in some)
    assert run.phase(guilty) == "quarantined"
    assert run.stream(guilty).reason.endswith(f"verify fails with {guilty}: exit 1")
    final = run.state.points[FINAL_POINT]
    assert (final.phase, set(final.merged)) == (PointPhase.MERGED, set("abcde") - {guilty})
    assert run.stream(guilty).result is not None


def test_of_a_guilty_pair_both_are_named_and_the_later_one_is_left_out() -> None:
    """Either alone passes."""
    run = checked("a", "b", "c", "d")
    run.goes_on(lambda some: {"b", "d"} <= some)
    (found,) = [r.event for r in run.records if isinstance(r.event, ev.GuiltyFound)]
    assert set(found.streams) == {"b", "d"}
    assert run.phase(found.streams[-1]) == "quarantined"
    assert len(run.state.points[FINAL_POINT].merged) == 3


def test_who_was_built_on_the_guilty_is_left_out_too() -> None:
    """It cannot be merged without it."""
    run = Checked(stream("a"), stream("b", "a"), stream("c"))
    for name in ("a", "c", "b"):
        run.run(name)
        run.exited(name)
        run.kept(name)
    run.goes_on(lambda some: "a" in some)
    assert run.phases() == {"a": "quarantined", "b": "quarantined", "c": "succeeded"}
    assert run.state.points[FINAL_POINT].merged == ("c",)


@pytest.mark.parametrize(("guilty", "reopened"), [("a", ["p"]), ("c", [])])
def test_other_points_are_merged_again_only_without_what_they_hold(
    guilty: str, reopened: list[str]
) -> None:
    """A point that merged a stream before it was found guilty has to do without it."""
    run = Checked(stream("a", converge="p"), stream("b", converge="p"), stream("c"))
    run.succeed("a", "b", "c")
    run.merged("p")
    run.goes_on(lambda some: guilty in some)
    assert run.phase(guilty) == "quarantined"
    again = [r.event.point for r in run.records if isinstance(r.event, ev.ConvergenceReopened)]
    assert again == reopened


def test_a_plan_can_want_the_run_to_stop_instead() -> None:
    """Nothing is left out; the run has failed, and says whose work fails."""
    run = checked("a", "b", on_failure="stop")
    run.goes_on(lambda some: "b" in some)
    assert run.state.phase is RunPhase.FAILED
    assert "verify fails with b" in run.state.reason
    assert run.phase("b") == "succeeded"


def test_a_check_that_fails_on_the_base_blames_nobody() -> None:
    """A person has to look at the command itself."""
    run = checked("a", "b")
    run.goes_on(lambda some: True)
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    assert "nobody is to blame" in run.state.reason
    run.resume()  # the check was mended meanwhile, or what it needs was installed
    run.goes_on(lambda some: False)
    assert run.state.phase.value == "converged"


def test_what_is_checked_now_is_told() -> None:
    """A part of the work, the base alone, and what is looked at twice."""
    run = checked("a", "b", "c")
    seen = []
    while run.state.points[FINAL_POINT].phase in (PointPhase.MERGING, PointPhase.VERIFYING):
        if run.state.points[FINAL_POINT].phase is PointPhase.MERGING:
            run.merges()
        else:
            seen.append(run.state.points[FINAL_POINT].reason)
            run.answers(lambda some: True)
    assert seen == [
        "verifying the work of 3 of 3 streams",
        "verifying the work of the base",
        "verifying the work of the base once more",
    ]


def test_a_check_without_a_result_is_no_failure() -> None:
    """It could not be run, or the run was stopped: the point waits, and a resumed run checks."""
    run = checked("a", "b")
    run.merges()
    run.answers(lambda some: False, passed=None)
    assert run.state.phase.value == "needs_operator"
    run.resume()
    run.goes_on(lambda some: False)
    assert run.state.phase is RunPhase.CONVERGED


def test_a_tree_is_never_checked_twice() -> None:
    """Merged again after a resume, it counts at once; and a snapshot remembers it."""
    run = checked("a", "b")
    run.goes_on(lambda some: "b" in some)
    runs = run.runs
    assert decode_state(encode_state(run.state)).verified == run.state.verified
    run.retry("b")
    run.ready("b")
    run.started("b")
    run.exited("b")
    run.kept("b")
    run.goes_on(lambda some: "b" in some)
    assert run.phase(StreamId("b")) == "quarantined"
    assert run.runs == runs, "the same trees came up, and all were known"


def by_chance(*failing: int) -> Fails:
    """A check that fails in these runs of it, whatever it looks at."""
    runs = iter(range(1, 1000))
    return lambda _: next(runs) in failing


@pytest.mark.parametrize("failing", [(1,), (1, 3), (1, 5), (1, 5, 7)])
@pytest.mark.parametrize("on_failure", ["quarantine", "stop"])
def test_a_check_that_is_not_reliable_accuses_nobody(
    failing: tuple[int, ...], on_failure: str
) -> None:
    """What it said once it does not say again: a person has to look, and all work is there."""
    run = checked("a", "b", "c", on_failure=on_failure)
    run.goes_on(by_chance(*failing))
    assert set(run.phases().values()) == {"succeeded"}
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    assert "verify is not reliable" in run.state.reason
    assert "verify_retries" in run.state.reason
    assert "mend the check of final" in run.state.hint
    assert not run.state.points[FINAL_POINT].guilty
    run.resume()
    run.goes_on(lambda _: False)
    assert run.state.phase.value == "converged", "nothing of what it said is remembered"


def test_what_is_not_reliable_on_the_base_alone_is_told_so() -> None:
    run = checked("a", "b")
    run.goes_on(by_chance(1, 2))
    whom = "what everybody started from"
    assert f"with {whom} it has passed once and failed once" in run.state.reason


@pytest.mark.parametrize(("size", "words"), [(3, "a, b, c it"), (5, "a, b, c and 2 more it")])
def test_of_many_that_a_check_cannot_tell_apart_the_first_are_named(size: int, words: str) -> None:
    run = checked(*"abcde"[:size])
    run.goes_on(by_chance(1))
    assert f"with {words} has passed once and failed once" in run.state.reason


def test_a_check_that_fails_by_chance_is_tried_again() -> None:
    """As often as the plan says; what passes then counts, and it is told that it is flaky."""
    run = checked("a", "b", retries=2)
    run.goes_on(by_chance(1, 2))
    assert run.state.phase is RunPhase.CONVERGED
    assert any("failed 2 times" in w for w in run.state.points[FINAL_POINT].warnings)
    retried = [r.event for r in run.records if isinstance(r.event, ev.VerifyRetried)]
    assert [e.failures for e in retried] == [1, 2]
    run = checked("a", "b", retries=1)
    run.goes_on(by_chance(1, 2))
    assert run.state.phase is RunPhase.NEEDS_OPERATOR


def test_a_check_that_is_tried_again_still_finds_the_guilty() -> None:
    run = checked("a", "b", "c", retries=1)
    run.goes_on(lambda some: "b" in some)
    assert run.phases() == {"a": "succeeded", "b": "quarantined", "c": "succeeded"}


def test_what_an_accusation_stands_on_is_seen_twice() -> None:
    run = checked("a", "b", "c")
    run.goes_on(lambda some: "b" in some)
    looks = [e for e in (r.event for r in run.records) if isinstance(e, ev.VerifyStarted)]
    again = [set(e.streams) for e in looks if e.is_again]
    assert again == [{"b"}, {"a"}]
