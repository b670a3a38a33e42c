"""The conflict radar's decisions: which pairs to test, and what a verdict means."""

from __future__ import annotations

from typing import Any

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.conflicts.radar import (
    LastTrial,
    Work,
    foreseen_with,
    have_met,
    next_pairs,
    pair_of,
)
from anabranch.core.events import ConflictedPath
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.testing import ByHand, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import given

A, B, C = StreamId("a"), StreamId("b"), StreamId("c")
PAIR = (A, B)
PATH = ConflictedPath(path="f.txt", kind="contents", base="1", ours="2", theirs="3")


def work(name: str, *paths: str, stamp: int = 1) -> Work:
    return Work(StreamId(name), stamp, paths)


# --- which pairs ---------------------------------------------------------------------------------


def test_only_streams_that_changed_the_same_place_are_tested() -> None:
    works = [work("a", "f", "g"), work("b", "g"), work("c", "h")]
    assert next_pairs(works, {}, 10) == [(A, B)]


def test_a_folder_that_one_changed_touches_what_the_other_has_in_it() -> None:
    """A file may have become a folder, or a whole folder may have moved."""
    assert next_pairs([work("a", "d"), work("b", "d/e/f")], {}, 10) == [(A, B)]
    assert next_pairs([work("a", "d/x"), work("b", "d/e/f")], {}, 10) == []


def test_a_pair_is_tested_again_when_one_of_the_two_has_changed() -> None:
    tested = {PAIR: LastTrial(5.0, (1, 1))}
    assert next_pairs([work("a", "f"), work("b", "f")], tested, 10) == []
    assert next_pairs([work("a", "f"), work("b", "f", stamp=2)], tested, 10) == [PAIR]


def test_two_that_have_met_are_left_to_their_convergence_point() -> None:
    """Whether they were merged, or are in a conflict there."""
    run = two_running()
    for name in "ab":
        run.exited(name)
        run.kept(name)
    assert not have_met(run.state, PAIR)
    run.merged()
    assert have_met(run.state, PAIR)


def test_who_waited_longest_for_a_test_comes_first() -> None:
    works = [work(name, "f", stamp=2) for name in "abc"]
    tested = {(A, B): LastTrial(9.0, (1, 1)), (A, C): LastTrial(3.0, (1, 1))}
    assert next_pairs(works, tested, 10) == [(B, C), (A, C), (A, B)]
    assert next_pairs(works, tested, 1) == [(B, C)]


def test_a_pair_is_the_same_in_both_orders() -> None:
    assert pair_of(B, A) == pair_of(A, B) == PAIR


def test_a_place_that_hundreds_share_does_not_make_all_pairs_due() -> None:
    works = [work(f"s{number:03}", "lock") for number in range(300)]
    assert len(next_pairs(works, {}, 10_000)) < 1_000


# --- what a verdict means ------------------------------------------------------------------------


def two_running(**fields: Any) -> ByHand:
    run = given(stream("a"), stream("b"), **fields)
    run.run("a", "b")
    return run


def judged(run: ByHand, *paths: ConflictedPath, attempts: tuple[int, int] = (1, 1)) -> list[str]:
    return run.give(inputs.PairTested(streams=PAIR, attempts=attempts, paths=paths, cause=1))


def test_a_conflict_is_foreseen_once_and_cleared_when_it_has_gone() -> None:
    run = two_running()
    assert judged(run, PATH) == ["conflict_foreseen"]
    assert judged(run, PATH) == []
    assert foreseen_with(run.state, A) == [B]
    assert judged(run) == ["conflict_cleared"]
    assert judged(run) == []
    assert not run.state.foreseen


def test_other_paths_are_news() -> None:
    run = two_running()
    judged(run, PATH)
    assert judged(run, PATH, ConflictedPath(path="g", kind="contents")) == ["conflict_foreseen"]


def test_a_verdict_about_an_earlier_attempt_means_nothing() -> None:
    run = two_running()
    assert judged(run, PATH, attempts=(1, 2)) == []


def test_a_stream_that_fails_takes_what_was_foreseen_with_it() -> None:
    run = two_running()
    judged(run, PATH)
    run.exited("a", 1)
    words = run.kept("a")
    assert "conflict_cleared" in words
    assert not run.state.foreseen


def test_streams_that_have_met_are_foreseen_no_more() -> None:
    """Whether it went well, or has become the conflict that was foreseen."""
    run = two_running()
    judged(run, PATH)
    for name in "ab":
        run.exited(name)
        run.kept(name)
    assert foreseen_with(run.state, A) == [B]
    assert "conflict_cleared" in run.merged()
    assert not run.state.foreseen


def test_a_conflict_that_has_come_is_foreseen_no_more() -> None:
    run = two_running()
    judged(run, PATH)
    for name in "ab":
        run.exited(name)
        run.kept(name)
    final = run.state.points[FINAL_POINT]
    conflicts = (conflict_of("a", "b"),)
    words = run.give(
        inputs.MergeFinished(
            point=final.id, commit="m", tree="t", branch=None, merged=(A,), conflicts=conflicts,
            cause=final.cause,
        )
    )  # fmt: skip
    assert "conflict_cleared" in words
    assert not run.state.foreseen
    assert have_met(run.state, PAIR)
    assert not have_met(run.state, (A, C))


def test_both_sides_are_told_when_the_plan_or_the_operator_wants_it() -> None:
    run = two_running(tell_conflicts=True)
    words = judged(run, PATH)
    assert words == ["conflict_foreseen", "conflict_told", "message_sent", "message_sent"]
    bodies = [str(m.body) for m in run.state.messages.messages.values()]
    assert all("would not merge" in body for body in bodies)
    run = two_running()
    judged(run, PATH)
    words = run.give(inputs.TellConflict(streams=(B, A)))
    assert words == ["conflict_told", "message_sent", "message_sent"]
    assert run.state.foreseen[PAIR].is_told


def test_nobody_is_told_of_what_is_not_foreseen() -> None:
    run = two_running()
    run.give(inputs.TellConflict(streams=PAIR))
    assert isinstance(run.refusal, Refusal)
    assert not any(isinstance(r.event, ev.MessageSent) for r in run.records)
