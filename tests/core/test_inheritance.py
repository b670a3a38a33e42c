"""Whose work a stream starts from, and what may be taken over whole."""

from __future__ import annotations

from anabranch.core import inputs
from anabranch.core.folds.inheritance import held_by, inherited_by, inherited_from
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import Inheritance
from anabranch.testing import ByHand, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import given


def inherits(run: ByHand, name: str) -> tuple[str | None, list[str]]:
    """Return whose result a stream took over whole, and whose were merged onto it."""
    found = inherited_by(run.state, StreamId(name))
    return found.heir_of, [s for s, _ in found.then]


def comes_together(run: ByHand, *names: str) -> tuple[str | None, list[str]]:
    found = inherited_from(run.state, [StreamId(n) for n in names])
    return found.heir_of, [s for s, _ in found.then]


def test_a_stream_without_dependencies_starts_from_the_base() -> None:
    run = given(stream("a"))
    assert inherited_by(run.state, StreamId("a")) == Inheritance()


def test_a_chain_is_taken_over_and_never_merged() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c", "b"))
    run.succeed("a", "b")
    assert inherits(run, "c") == ("b", [])


def test_a_diamond_takes_over_one_side_and_merges_the_other() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c", "a"), stream("d", "b", "c"))
    run.succeed("a", "b", "c")
    assert inherits(run, "d") == ("b", ["c"])


def test_whose_work_a_start_holds_is_known() -> None:
    """Of what is taken over whole, in the order of merging; what is merged onto it comes after."""
    run = given(stream("a"), stream("b", "a"), stream("c", "a"), stream("d", "b", "c"), stream("e"))
    run.succeed("a", "b", "c", "e")
    found = held_by(run.state, inherited_by(run.state, StreamId("d")))
    assert [(s, r.commit) for s, r in found] == [("a", "c-a.1"), ("b", "c-b.1")]
    assert held_by(run.state, inherited_by(run.state, StreamId("e"))) == []


def test_the_largest_family_is_taken_over() -> None:
    run = given(stream("a"), stream("b", "a"), stream("c"), stream("d", "c", "b"))
    run.succeed("a", "b", "c")
    assert inherits(run, "d") == ("b", ["c"])


def test_waiting_for_a_start_hands_over_no_work() -> None:
    run = given(stream("a"), stream("b", "a:started"))
    run.run("a")
    assert inherits(run, "b") == (None, [])


def test_a_dependency_that_failed_hands_over_no_work() -> None:
    run = given(stream("a", optional=True), stream("b", "a:completed"))
    run.fail("a")
    assert inherits(run, "b") == (None, [])


def test_work_of_streams_behind_one_in_the_users_folder_is_handed_on() -> None:
    run = given(stream("a"), stream("s", "a", workspace="shared"), stream("c", "s"))
    run.succeed("a")
    run.run("s")
    run.exited("s")
    run.kept("s", commit="")
    assert inherits(run, "c") == (None, ["a"])


def test_a_stream_run_again_is_not_lost_behind_one_that_ran_without_it() -> None:
    """b ran although a had failed; when a succeeds after all, both are merged."""
    run = given(stream("a", optional=True), stream("b", "a:completed"))
    run.fail("a")
    run.succeed("b")
    run.merged()
    run.retry("a")
    run.succeed("a")
    assert comes_together(run, "a", "b") == ("a", ["b"])


def test_a_result_on_top_of_work_that_was_captured_again_is_merged_and_not_taken_over() -> None:
    """c holds the old a; after a person changed a, only c's own changes may come in."""
    run = given(stream("a"), stream("b"), stream("c", "a"))
    run.succeed("a", "b", "c")
    assert comes_together(run, "a", "b", "c") == ("c", ["b"])
    point = run.state.points[PointId("final")]
    run.give(
        inputs.MergeFinished(
            point=point.id,
            commit="m",
            tree="t",
            branch=None,
            merged=(StreamId("a"), StreamId("c")),
            conflicts=(conflict_of("a", "b"),),
            cause=point.cause,
        )
    )
    run.resume()
    run.kept("a", "c-a-new")
    run.kept("b")
    assert comes_together(run, "a", "b", "c") == ("a", ["b", "c"])


def test_what_an_admitted_stream_starts_from_does_not_change_under_it() -> None:
    """Another engine that prepares the same workspace after a crash makes the same one."""
    run = given(stream("a"), stream("b"), stream("c", "a", "b"))
    run.succeed("a", "b")
    before = inherited_by(run.state, StreamId("c"))
    run.stop("c")
    assert inherited_by(run.state, StreamId("c")) == before


def test_exactly_the_named_streams_come_together() -> None:
    """A merge takes what its point chose, even if an ancestor has a result by now."""
    run = given(stream("a"), stream("b", "a"))
    run.succeed("a", "b")
    assert comes_together(run, "b") == (None, ["b"])
