"""What follows from how a stream's work was captured, and from what is missing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as some

from anabranch.core import inputs
from anabranch.core.deciding.locks.violations import against_locks, removes_nearly_all
from anabranch.core.ids import StreamId
from anabranch.core.views.projections import files_changed_by
from anabranch.testing import ByHand, stream
from tests.core.given import given
from tests.core.locking import Run, running


def captured(**facts: Any) -> ByHand:
    """A run of one stream that ended well, and what was captured of it."""
    run = given(stream("a"))
    run.base()
    run.run("a")
    run.exited("a")
    run.kept("a", **facts)
    return run


def test_work_that_is_not_whole_is_no_success_and_is_not_done_again() -> None:
    """Exit 0 in a replaced workspace: failed for good, and what had been committed is kept."""
    run = captured(fault="the workspace was replaced")
    assert run.phase("a") == "failed"
    assert run.state.streams[StreamId("a")].result is None
    assert run.state.streams[StreamId("a")].partial == ("refs/a.1",)
    assert run.state.phase == "failed"


def not_kept(run: ByHand) -> None:
    run.failed("a", "unreadable file")


def kept_in_part(run: ByHand) -> None:
    run.kept("a", fault="a filter failed", may_be_captured_again=True)


@pytest.mark.parametrize("fails", [not_kept, kept_in_part])
def test_a_capture_that_fails_is_done_again_and_the_work_is_not(
    fails: Callable[[ByHand], None],
) -> None:
    """Its process ended well: nothing of that is wrong, so a resumed run only captures again."""
    run = given(stream("a", max_retries=5))
    run.run("a")
    run.exited("a")
    fails(run)
    assert (run.phase("a"), run.stream("a").failure_class) == ("failed", "not captured")
    run.resume()
    assert (run.phase("a"), run.stream("a").attempt) == ("capturing", 1)
    run.kept("a")
    run.merged()
    assert (run.phase("a"), run.state.phase) == ("succeeded", "converged")
    assert run.stream("a").failure_class == ""


@pytest.mark.parametrize("fails", [not_kept, kept_in_part])
def test_an_attempt_that_failed_by_itself_is_tried_again_whatever_was_kept_of_it(
    fails: Callable[[ByHand], None],
) -> None:
    run = given(stream("a", max_retries=1))
    run.run("a")
    run.exited("a", 3)
    fails(run)
    assert run.phase("a") == "retrying"
    assert run.stream("a").reason.startswith("exit 3; ")


def test_a_stream_that_can_never_start_is_not_tried_again() -> None:
    """What the engine knows to be so again is told at once."""
    run = given(stream("a", max_retries=5))
    run.ready("a")
    about = run.stream("a")
    text = "working_dir 'x' is not a folder in the workspace"
    run.give(inputs.EffectFailed(stream=about.id, attempt=1, reason=text, is_permanent=True))
    assert (run.phase("a"), run.stream("a").reason) == ("failed", text)


def test_a_failure_names_what_its_dependencies_left_behind() -> None:
    """What git ignores is in no result: folders that may be missed are named, caches are not."""
    run = given(stream("install"), stream("test", "install", max_retries=0))
    run.run("install")
    run.exited("install")
    run.kept("install", ignored=("node_modules/", "src/__pycache__/", ".pytest_cache/", "x.pyc"))
    run.run("test")
    run.exited("test", 127)
    run.kept("test")
    assert run.stream("test").reason == (
        "exit 127; what git ignores does not come along: node_modules/ of install"
    )


REMOVALS = [
    (30, 30, 0, True), (29, 30, 1, True), (27, 30, 3, True), (26, 30, 4, False),
    (30, 30, 12, True), (1, 1, 0, True), (1, 1, 1, False), (2, 2, 1, True), (0, 30, 30, False),
]  # fmt: skip


@pytest.mark.parametrize(("removed", "before", "left", "is_asked"), REMOVALS)
def test_a_result_that_removes_nearly_everything_is_asked_about(
    removed: int, before: int, left: int, is_asked: bool
) -> None:
    """It is not merged before a person allows it, and then it is."""
    run = captured(files_removed=removed, files_before=before, files_left=left)
    if not is_asked:
        run.merged()
        assert run.state.phase == "converged"
        return
    assert run.state.phase == "needs_operator"
    assert f"removed {removed} of the" in run.state.reason
    assert "anabranch allow" in run.state.hint
    run.give(inputs.AllowViolation(stream=StreamId("a")))
    run.merged()
    assert run.state.phase == "converged"


@for_all(some.integers(0, 500), some.integers(0, 500), some.integers(0, 500))
def test_removing_more_is_never_asked_about_less(removed: int, before: int, left: int) -> None:
    """The more is removed, and the less is left, the sooner somebody is asked."""
    if removes_nearly_all(removed, before, left):
        assert removes_nearly_all(removed + 1, before, left)
        assert removes_nearly_all(removed, before, 0)


def test_what_a_failed_attempt_changed_is_what_its_capture_found() -> None:
    """The figure is the capture's, of the newest attempt, and no guess once it is over."""
    run = given(stream("a", max_retries=1))
    run.run("a")
    assert files_changed_by(run.stream("a"), 7) == 7
    run.exited("a", 1)
    run.kept("a", files_changed=2)
    assert files_changed_by(run.stream("a"), 7) == 2
    run.at(run.clock() + 60.0)
    assert files_changed_by(run.stream("a"), 1) == 1
    run.run("a")
    run.exited("a", 1)
    run.kept("a", "", files_changed=0)
    assert files_changed_by(run.stream("a"), 7) is None


def test_writes_of_an_attempt_that_is_over_are_held_against_the_locks_of_others() -> None:
    """What it wrote before the other held the lock is its own affair; so is what it held itself."""
    talk = Run(running(2))
    talk.now = 5.0
    talk.lock("s0", "src/")
    written = [("src/a.py", 4.9), ("src/b.py", 5.0), ("src/c.py", 6.0), ("docs/x", 6.0)]
    assert against_locks(talk.state, StreamId("s1"), written) == ("src/b.py", "src/c.py")
    assert against_locks(talk.state, StreamId("s0"), written) == ()
