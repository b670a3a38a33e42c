"""Checkpoints of a point: taken while streams run, merged, offered, and never in anybody's way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.conflicts.reverting import reverts
from anabranch.core.deciding.points.checkpoints import snapshots
from anabranch.core.folds.inheritance import inherited_from
from anabranch.core.folds.known_trees import in_checkpoint, known_tree, still_stands
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import Point, PointPhase
from anabranch.core.plans.plan import PointPlan
from anabranch.core.strategies import Abandon, Checkpoint, Converge, PointView, WaitForMore
from anabranch.core.views.projections import sync_status
from anabranch.testing import ByHand, point, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import STRATEGIES, given

CHECKPOINT = STRATEGIES.convergence["checkpoint"]
FINAL = PointId("final")
WAITING, AT_WORK = "waiting for 2 of 2 streams", "1 stream at work"
A, B = StreamId("a"), StreamId("b")


def meeting(interval: float = 10.0, **fields: Any) -> PointPlan:
    return point(
        "final", type="checkpoint", takes_checkpoints=True, interval_seconds=interval, **fields
    )


def two_at_work(**fields: Any) -> ByHand:
    run = given(stream("a", sync=True), stream("b", **fields), meeting())
    run.run("a", "b")
    return run


def final(run: ByHand) -> Point:
    return run.state.points[FINAL]


def taken(run: ByHand, *names: str) -> list[str]:
    """The snapshots that a checkpoint asked for are there."""
    words: list[str] = []
    for name in names:
        number = final(run).checkpoint.takes[StreamId(name)]
        words = run.give(
            inputs.CheckpointReady(
                stream=StreamId(name),
                attempt=run.stream(name).attempt,
                number=number,
                commit=f"k-{name}.{number}",
                tree=f"t-k-{name}.{number}",
                ref=f"refs/{name}.{number}",
                files_changed=1,
                cause=1,
            )
        )
    return words


def merged(
    run: ByHand, *late: str, reverted: dict[str, tuple[str, ...]] | None = None
) -> list[str]:
    """The snapshots are merged, but for those of the late."""
    made = final(run).checkpoint
    works = tuple(
        ev.Contribution(
            stream=s,
            attempt=1,
            commit=f"k-{s}.{n}",
            tree=f"t-k-{s}.{n}",
            known_tree=f"t-k-{s}.{n}",
            is_merged=s not in late,
        )
        for s, n in made.takes.items()
    )
    return run.give(
        inputs.CheckpointMerged(
            point=FINAL,
            number=made.last,
            commit="m1",
            tree="t-m1",
            ref="refs/m1",
            works=works,
            conflicts=tuple(conflict_of("a", name) for name in late),
            reverted={StreamId(s): paths for s, paths in (reverted or {}).items()},
            cause=made.cause,
        )
    )


def synced(run: ByHand, name: str) -> list[str]:
    return run.give(
        inputs.SyncDone(
            stream=StreamId(name),
            attempt=1,
            point=FINAL,
            number=final(run).checkpoint.number,
            files=2,
            removed=1,
            left_alone=("x",),
            given_tree="t-given",
            known_tree="t-m1",
            cause=1,
        )
    )


def test_every_interval_whoever_is_at_work_is_snapshot() -> None:
    run = two_at_work()
    wake = next(e for e in run.all_effects if isinstance(e, fx.WakeAt) and "point" in e.subject)
    assert wake.at == 10.0
    assert run.at(10.0) == [
        *("point_checkpoint_begun final", "checkpoint_requested a", "checkpoint_requested b"),
    ]
    assert [type(e) for e in run.effects] == [fx.TakeCheckpoint, fx.TakeCheckpoint]
    assert final(run).checkpoint.last == 1
    assert [w.label for w in run.state.checkpoints[A].wanted] == ["final 1"]
    assert taken(run, "a") == ["checkpoint_taken a"]
    assert taken(run, "b") == ["checkpoint_taken b", "checkpoint_merge_started final"]
    assert [type(e) for e in run.effects] == [fx.MergeCheckpoint]
    assert run.state.checkpoints[A].taken[-1].commit == "k-a.1"  # what recovery restarts from


def test_the_rest_is_offered_to_who_opted_in_and_the_next_checkpoint_waits_for_that() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    assert merged(run)[:2] == ["checkpoint_merged final", "sync_offered a"]
    assert fx.OfferCheckpoint in {type(e) for e in run.effects}
    assert "point_checkpoint_begun final" not in run.at(25.0)
    assert synced(run, "a") == [
        *("stream_synced a", "point_checkpoint_begun final"),
        *("checkpoint_requested a", "checkpoint_requested b"),
    ]
    assert final(run).checkpoint.last == 2
    workspace = run.stream("a").workspace
    assert workspace is not None
    assert workspace.start_tree == "t-given"
    assert known_tree(run.state, FINAL, A) == "t-m1"
    assert known_tree(run.state, FINAL, B) == "t-k-b.1"


def test_what_a_stream_was_brought_is_told_and_why_it_was_not() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    assert sync_status(run.state, run.stream("a")) is None
    merged(run)
    offer = run.stream("a").offer
    assert offer is not None
    files = {"files": 0, "left_alone": []}
    offered = {"state": "waiting", "reason": offer.waits_for, "since": "1970-01-01T00:00:10.000Z"}
    assert sync_status(run.state, run.stream("a")) == {**offered, **files}
    assert sync_status(run.state, run.stream("b")) is None
    declined: dict[str, Any] = {"stream": A, "attempt": 1, "point": FINAL, "number": 1, "cause": 1}
    run.give(inputs.SyncNotDone(reason="it changed the same files", **declined))
    record = {"state": "declined", "reason": "it changed the same files", "since": None, **files}
    assert sync_status(run.state, run.stream("a")) == record


def test_a_snapshot_that_fails_keeps_nobody_from_the_others() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a")
    words = run.give(
        inputs.CheckpointNotTaken(stream=B, attempt=1, number=1, reason="unreadable", cause=1)
    )
    assert words == ["checkpoint_failed b", "checkpoint_merge_started final"]


def test_a_checkpoint_holds_snapshots_of_those_at_work_and_results_of_those_that_ended_well() -> (
    None
):
    """Of who failed, and of who works for another point, it holds nothing."""
    run = given(
        *(stream("a"), stream("b"), stream("c", optional=True), stream("z", converge="p")),
        meeting(),
        max_parallel=4,
    )
    run.run("a", "b", "c", "z")
    run.exited("a")
    run.kept("a")
    run.exited("c", 1)
    run.kept("c")
    run.at(10.0)
    taken(run, "b")
    found = list(snapshots(run.state, FINAL))
    assert found == [("a", "c-a.1", "t-c-a.1"), ("b", "k-b.1", "t-k-b.1")]


def test_a_checkpoint_that_cannot_be_merged_is_told_and_the_next_one_comes() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    fact = inputs.CheckpointNotMerged(point=FINAL, number=1, reason="no git", cause=1)
    assert run.give(fact)[0] == "point_checkpoint_failed final"
    assert not final(run).checkpoint.commit
    assert "point_checkpoint_begun final" in run.at(30.0)


def test_a_stream_that_ends_meanwhile_is_not_waited_for() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a")
    words = run.exited("b")
    assert "checkpoint_merge_started final" in words


def test_when_everybody_has_ended_the_point_converges_whatever_is_under_way() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    run.exited("a")
    run.kept("a")
    run.exited("b")
    assert run.kept("b")[-2:] == ["point_checkpoint_failed final", "convergence_started final"]
    assert merged_too_late(run) == []


def merged_too_late(run: ByHand) -> list[str]:
    return run.give(
        inputs.CheckpointMerged(
            point=FINAL, number=1, commit="m", tree="t", ref="r", works=(), cause=1
        )
    )


def test_a_conflict_between_snapshots_is_told_early_and_stops_nobody() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    assert "conflict_foreseen" in merged(run, "b")
    assert run.phases() == {"a": "running", "b": "running"}
    assert final(run).phase is PointPhase.OPEN


def test_who_did_not_merge_is_offered_nothing() -> None:
    run = given(stream("a"), stream("b", sync=True), meeting())
    run.run("a", "b")
    run.at(10.0)
    taken(run, "a", "b")
    assert "sync_offered b" not in merged(run, "b")


def test_lines_taken_back_are_told_once() -> None:
    run = two_at_work(sync=True)
    run.at(10.0)
    taken(run, "a", "b")
    words = merged(run, reverted={"b": ("f.txt",)})
    assert words.count("synced_lines_reverted b") == 1
    assert "f.txt is as it was" in run.stream("b").warnings[0]
    synced(run, "a")
    synced(run, "b")
    run.at(30.0)
    taken(run, "a", "b")
    assert "synced_lines_reverted b" not in merged(run, reverted={"b": ("f.txt",)})


def test_lines_that_a_result_takes_back_are_told_too() -> None:
    """Of every checkpoint that the stream was brought before its end."""
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    merged(run)
    synced(run, "a")
    run.exited("a")
    words = run.kept("a", reverted=("f.txt",))
    assert words.count("synced_lines_reverted a") == 1
    assert "f.txt is as it was" in run.stream("a").warnings[0]


def test_an_offer_ends_with_the_attempt() -> None:
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    merged(run)
    run.exited("a", 1)
    assert "sync_declined a" in run.kept("a")


def test_the_end_merges_onto_the_last_checkpoint_what_has_changed_since() -> None:
    """A result that holds what others did is never taken over whole."""
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    merged(run)
    synced(run, "a")
    run.exited("a")
    run.kept("a")
    run.exited("b")
    run.kept("b")
    assert still_stands(run.state, FINAL)
    together = inherited_from(run.state, [A, B])
    assert together.start is not None
    assert together.start.commit == "m1"
    assert [(s, r.start_tree) for s, r in together.then] == [("a", "t-m1"), ("b", "t-k-b.1")]


def test_of_several_checkpoints_the_one_that_holds_most_is_gone_on_from() -> None:
    """Wherever its point stands in the plan."""
    run = given(stream("a", sync=True), stream("b"), stream("z", converge="p"), meeting())
    run.run("a", "b", "z")
    run.at(10.0)
    taken(run, "a", "b", *({"z"} & set(final(run).checkpoint.takes)))
    merged(run)
    synced(run, "a")
    for name in "ab":
        run.exited(name)
        run.kept(name)
    made, other = final(run).checkpoint, run.state.points[PointId("p")]
    assert set(made.works) == {A, B}
    smaller = msgspec.structs.replace(made, commit="m0", works={A: made.works[A]})
    points = run.state.points.insert(other.id, msgspec.structs.replace(other, checkpoint=smaller))
    together = inherited_from(msgspec.structs.replace(run.state, points=points), [A, B])
    assert together.start is not None
    assert (together.start.commit, together.from_point) == ("m1", FINAL)


def test_what_was_brought_stays_known_when_the_next_checkpoint_comes_without_a_snapshot() -> None:
    """A stream that ended as the next one was begun: others' files are not its own changes."""
    run = two_at_work()
    run.at(10.0)
    taken(run, "a", "b")
    merged(run)
    synced(run, "a")
    run.at(25.0)
    run.exited("a")
    taken(run, "b")
    fresh = ev.Contribution(
        stream=B, attempt=1, commit="k-b.2", tree="t-k-b.2", known_tree="t-k-b.2"
    )
    works = in_checkpoint(run.state, FINAL, [fresh])
    assert {w.stream: w.known_tree for w in works} == {A: "t-m1", B: "t-k-b.2"}


def test_a_checkpoint_with_work_that_was_given_up_is_no_start_for_anything() -> None:
    run = given(stream("a", sync=True), stream("b", optional=True), meeting())
    run.run("a", "b")
    run.at(10.0)
    taken(run, "a", "b")
    merged(run)
    synced(run, "a")
    run.exited("b", 1)
    run.kept("b")
    assert not still_stands(run.state, FINAL)
    assert known_tree(run.state, FINAL, A) == "t-given"
    run.exited("a")
    run.kept("a")
    together = inherited_from(run.state, [A])
    assert (together.start, together.then[0][1].start_tree) == (None, "t-given")


def test_a_stopped_run_takes_no_checkpoint() -> None:
    run = two_at_work()
    run.stop()
    assert "point_checkpoint_begun final" not in run.at(10.0)


# --- the strategy by itself ----------------------------------------------------------------------


def view(expected: int, running: dict[str, float], **fields: Any) -> PointView:
    at_work = {StreamId(name): since for name, since in running.items()}
    fields = {"arrived": (), "departed": {}, "options": {}, "interval_seconds": 10.0, **fields}
    return PointView(point=FINAL, expected=expected, running=at_work, **fields)


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (view(2, {}), 99.0, WaitForMore("waiting for 2 of 2 streams")),
        (view(2, {"a": 5.0}), 6.0, WaitForMore("waiting for 2 of 2 streams", 15.0)),
        (view(2, {"a": 5.0}), 15.0, Checkpoint((A,), "1 stream at work")),
        (view(2, {"a": 5.0}, checkpoint_at=14.0), 15.0, WaitForMore(WAITING, 24.0)),
        (view(2, {"a": 5.0}, options={"interval_seconds": 2}), 7.0, Checkpoint((A,), AT_WORK)),
        (view(1, {}, arrived=(A,)), 7.0, Converge((A,), "1 of 1 arrived")),
        (view(1, {}, departed={A: "failed"}), 7.0, Abandon("no stream brought a result")),
    ],
)  # fmt: skip
def test_a_checkpoint_is_due_an_interval_after_the_last(
    seen: PointView, now: float, expected: object
) -> None:
    assert CHECKPOINT.next_step(seen, now) == expected


# --- lines that are taken back -------------------------------------------------------------------

OLD = b"one\ntwo\nthree\n"
NEW = b"one\ntwo\nbrought\nthree\n"


@pytest.mark.parametrize(
    ("before", "after", "now", "expected"),
    [
        (OLD, NEW, OLD, True),
        (OLD, NEW, NEW, False),
        (OLD, NEW, b"one\ntwo\nthree\nmine\n", True),
        (OLD, NEW, b"one\ntwo\nbrought\nthree\nmine\n", False),
        (OLD, NEW, b"one\ntwo\nbrought, and better\nthree\n", False),
        (OLD, b"one\n2\nthree\n", b"one\n2, or so\nthree\n", False),
        (OLD, b"one\n2\nthree\n", b"one\ntwo\nthree\nmine\n", True),
        (OLD, b"one\nthree\n", b"one\ntwo\nthree\nmine\n", True),
        (OLD, None, OLD, True),
        (OLD, None, b"other", False),
        (None, NEW, None, True),
        (None, NEW, b"something else\n", True),
        (b"\0old", b"\0new", b"\0old", True),
        (b"\0old", b"\0new", b"\0mine", False),
    ],
)
def test_a_write_from_an_old_copy_is_told_by_its_lines(
    before: bytes | None, after: bytes | None, now: bytes | None, expected: bool
) -> None:
    """What is changed once more, to something new, is no reversal; what is gone is one."""
    assert reverts(before, after, now) is expected
