"""Convergence points: who is waited for, when merging begins, and what a conflict means."""

from __future__ import annotations

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.points.convergence import conflicts_in_words
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import Point, PointPhase
from anabranch.testing import ByHand, point, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import given

P = PointId("p")


def at(run: ByHand, name: str = "final") -> Point:
    return run.state.points[PointId(name)]


def test_the_final_point_waits_for_everybody() -> None:
    run = given(stream("a"), stream("b"))
    assert run.succeed("a") == ["result_captured a", "stream_succeeded a"]
    assert run.succeed("b")[-1] == "convergence_started final"


def test_nobody_waits_for_who_ended_without_a_result() -> None:
    run = given(stream("a"), stream("b", optional=True), stream("c", "b", optional=True))
    run.succeed("a")
    assert run.fail("b")[-1] == "convergence_started final"
    assert at(run).arrived == ("a",)
    assert set(at(run).departed) == {"b", "c"}


def test_a_point_where_nobody_brings_a_result_is_given_up() -> None:
    run = given(stream("a"))
    run.fail("a")
    assert at(run).phase is PointPhase.ABANDONED
    assert at(run).reason == "no stream brought a result"
    assert run.state.phase == "failed"


def test_streams_that_work_in_the_users_folder_have_nothing_to_merge() -> None:
    """Their point is merged at once, at the base, without any git."""
    run = given(stream("a", workspace="shared"))
    run.run("a")
    run.exited("a")
    assert run.kept("a", commit="")[-3:] == [
        *("convergence_started final", "convergence_merged final", "run_converged")
    ]


@pytest.mark.parametrize(
    ("policy", "words", "phase"),
    [
        (
            "ask",
            ["conflict_found final", "convergence_blocked final", "run_needs_operator"],
            "succeeded",
        ),
        (
            "stop",
            ["conflict_found final", "convergence_abandoned final", "run_failed"],
            "succeeded",
        ),
        (
            "quarantine",
            [
                *("conflict_found final", "stream_quarantined b"),
                *("convergence_merged final", "run_failed"),
            ],
            "quarantined",
        ),
    ],
)
def test_a_conflict_is_dealt_with_as_the_plan_says(
    policy: str, words: list[str], phase: str
) -> None:
    run = given(stream("a"), stream("b"), point("final", on_conflict=policy))
    run.succeed("a", "b")
    assert run.merged(without=("b",)) == words
    assert run.phase("b") == phase


@pytest.mark.parametrize(
    ("policy", "phase"), [("ask", "blocked"), ("stop", "failed"), ("quarantine", "quarantined")]
)
def test_a_stream_whose_start_does_not_merge_follows_its_points_policy(
    policy: str, phase: str
) -> None:
    run = given(stream("a"), stream("b"), stream("c", "a", "b"), point("final", on_conflict=policy))
    run.succeed("a", "b")
    run.conflicted("c", "a", "b")
    assert run.phase("c") == phase


def test_a_stream_that_was_stopped_is_not_blocked_by_a_conflict() -> None:
    """What a person stopped needs no operator."""
    run = given(stream("a"), stream("b"), stream("c", "a", "b"))
    run.succeed("a", "b")
    run.stop("c")
    assert run.conflicted("c", "a", "b")[0] == "stream_stopped c"


def test_points_merge_one_after_the_other() -> None:
    """What the first leaves out, the second must not take."""
    run = given(
        stream("a", converge=P), stream("b", converge=P), point("p", on_conflict="quarantine")
    )
    run.succeed("a", "b")
    assert at(run, "p").phase is PointPhase.MERGING
    assert at(run).phase is PointPhase.OPEN
    run.merged("p", without=("b",))
    assert at(run).merging == ("a",)
    assert at(run).departed.keys() == {"b"}


def test_a_conflict_that_stops_the_run_calls_everything_else_off() -> None:
    """Nothing is merged behind its back, nothing new begins, and a resumed run looks again."""
    run = given(
        *(stream("a", converge=P), stream("b", converge=P), stream("c"), stream("d", "c")),
        point("p", on_conflict="stop"),
    )
    run.succeed("a", "b")
    run.merged("p", without=("b",))
    assert run.phase("d") == "skipped"
    assert at(run).phase is PointPhase.OPEN
    run.succeed("c")
    assert at(run).phase is PointPhase.ABANDONED
    assert at(run).reason == "called off: b conflicts with what is there, in f.txt"
    assert run.state.phase == "failed"
    assert run.state.reason == "b conflicts with what is there, in f.txt"
    run.resume()
    assert (run.phase("b"), run.phase("d")) == ("capturing", "preparing")


def test_what_was_built_on_a_stream_that_is_left_out_is_left_out_too() -> None:
    """Its work holds the other's, wherever it has got to by then."""
    run = given(
        *(stream("a", converge=P), stream("b", converge=P)),
        *(stream("done", "b"), stream("runs", "b"), stream("later", "done"), stream("queued", "b")),
        point("p", on_conflict="quarantine"),
        max_parallel=2,
    )
    run.ready("a")
    run.succeed("b")
    assert run.phase("done") == "preparing"
    run.succeed("done")
    run.run("runs")
    run.started("a")
    run.exited("a")
    run.kept("a")
    assert run.phases()["later"] == "preparing"
    run.merged("p", without=("b",))
    assert run.phases() == {
        "a": "succeeded",
        "b": "quarantined",
        "done": "quarantined",
        "runs": "running",
        "later": "preparing",
        "queued": "skipped",
    }
    run.exited("runs")
    run.kept("runs")
    assert run.phase("runs") == "quarantined"
    assert run.stream("runs").reason == "built on b, which was left out"


def test_retrying_what_was_left_out_retries_what_was_built_on_it() -> None:
    run = given(
        *(stream("a", converge=P), stream("b", converge=P), stream("c", "b")),
        point("p", on_conflict="quarantine"),
    )
    run.ready("a")
    run.succeed("b")
    run.succeed("c")
    run.started("a")
    run.exited("a")
    run.kept("a")
    run.merged("p", without=("b",))
    run.merged()
    run.retry("b")
    assert run.phases() == {"a": "succeeded", "b": "preparing", "c": "waiting"}


@pytest.mark.parametrize(
    ("conflicts", "paths", "words"),
    [
        (1, 3, "a and b conflict in f0, f1, f2"),
        (1, 4, "a and b conflict in f0, f1, f2 and 1 more"),
        (2, 1, "a and b conflict in f0; a and b conflict in f0"),
        (3, 1, "a and b conflict in f0; a and b conflict in f0; 1 more"),
    ],
)
def test_of_many_conflicts_the_first_are_named_and_the_rest_is_counted(
    conflicts: int, paths: int, words: str
) -> None:
    found = tuple(ev.ConflictedPath(path=f"f{n}", kind="contents") for n in range(paths))
    one = ev.Conflict(streams=(StreamId("a"), StreamId("b")), paths=found)
    fact = inputs.MergeFinished(
        point=P, commit="m", tree="t", branch=None, merged=(), conflicts=(one,) * conflicts, cause=1
    )
    assert conflicts_in_words(fact) == words


def test_a_merge_that_cannot_be_done_waits_for_a_person_and_is_owed_again() -> None:
    run = given(stream("a"))
    run.succeed("a")
    assert run.merge_failed() == ["convergence_blocked final", "run_needs_operator"]
    words = run.resume()
    assert words[-1] == "convergence_started final"
    assert len(run.effects) == 1
    assert run.merged()[-1] == "run_converged"


def test_both_sides_of_a_conflict_are_captured_again_beside_the_slots() -> None:
    """A person changed them; with one slot for processes both are still kept at once."""
    run = given(stream("a"), stream("b"), max_parallel=1)
    run.succeed("a", "b")
    run.give(
        _merge_conflict(run, "a", "b"),
    )
    words = run.resume()
    assert words[:4] == [
        *("run_resumed", "run_reopened", "recapture_requested a", "recapture_requested b")
    ]
    assert run.phases() == {"a": "capturing", "b": "capturing"}
    run.kept("a", "c-a-new")
    assert run.kept("b", "c-b-new")[-1] == "convergence_started final"
    assert run.merged()[-1] == "run_converged"


def test_only_work_that_stands_is_captured_again() -> None:
    """What another point has left out was in a conflict too; it does its work once more instead."""
    members = (stream("a", converge=P), stream("b", converge=P), stream("c"))
    run = given(*members, point("p", on_conflict="quarantine"))
    run.succeed("a", "b", "c")
    run.merged("p", without=("b",))
    run.give(_merge_conflict(run, "a", "c"))
    assert (run.state.phase, run.phase("b")) == ("needs_operator", "quarantined")
    words = run.resume()
    assert [w for w in words if "recapture" in w] == [
        *("recapture_requested a", "recapture_requested c")
    ]
    assert run.phase("b") == "preparing"


def test_a_point_waits_for_work_that_is_captured_again_below_its_streams() -> None:
    """The streams of p were built on a, so p merges when a is kept, not before."""
    run = given(stream("a"), stream("b"), stream("c", "a", converge=P))
    run.succeed("a", "b", "c")
    run.merged("p")
    run.give(_merge_conflict(run, "a", "b"))
    run.resume()
    assert at(run, "p").phase is PointPhase.OPEN
    run.kept("a", "c-a-new")
    assert at(run, "p").merging == ("a", "c")


def test_a_resumed_run_forgets_who_had_departed() -> None:
    """A point that was open when the run came to rest does not count anybody twice."""
    run = given(
        *(stream("a"), stream("b"), stream("c", "a", "b")),
        *(stream("bad", optional=True), stream("after", "bad", optional=True)),
    )
    run.succeed("a", "b")
    run.fail("bad")
    run.conflicted("c", "a", "b")
    assert run.state.phase == "needs_operator"
    run.resume()
    run.kept("a", "c-a2")
    run.kept("b", "c-b2")
    run.succeed("c")
    assert set(at(run).departed) == {"bad", "after"}
    assert run.merged()[-1] == "run_converged"


def test_stopping_the_blocked_stream_lets_the_others_come_to_an_end() -> None:
    """The run goes on by itself when the one who needed a person is not wanted any more."""
    run = given(stream("a"), stream("b"), stream("c", "a", "b", optional=True))
    run.succeed("a", "b")
    run.conflicted("c", "a", "b")
    assert run.state.phase == "needs_operator"
    assert run.state.reason.startswith("c: ")
    assert run.stop("c")[:2] == ["run_reopened", "stream_stopped c"]
    assert run.merged()[-1] == "run_converged"


def test_a_point_of_a_stopped_run_is_given_up() -> None:
    run = given(stream("a"), stream("b"))
    run.succeed("a")
    run.stop()
    run.ready("b")
    assert at(run).phase is PointPhase.ABANDONED
    assert at(run).reason == "the run was stopped: stopped by you"
    assert run.state.phase == "stopped"


def _merge_conflict(run: ByHand, *names: str) -> inputs.MergeFinished:
    known = at(run)
    merged = tuple(s for s in known.merging if s != names[-1])
    return inputs.MergeFinished(
        point=known.id,
        commit="m",
        tree="t",
        branch=None,
        merged=tuple(StreamId(s) for s in merged),
        conflicts=(conflict_of(*names),),
        cause=known.cause,
    )
