"""Effects: what the state owes is the one definition, whichever way one arrives at it."""

from __future__ import annotations

from random import Random
from typing import TypedDict

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed, stops_asked_for
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.testing import stream
from tests.core.given import given
from tests.core.random_runs import random_run


class _About(TypedDict):
    stream: StreamId
    attempt: int


def test_each_phase_owes_its_effect() -> None:
    run = given(stream("a", timeout_seconds=5.0, max_retries=1), stop_grace_seconds=3.0)
    about: _About = {"stream": StreamId("a"), "attempt": 1}

    def only() -> fx.Effect:
        (effect,) = owed(run.state)
        return effect

    def since() -> int:
        return run.stream("a").cause

    assert only() == fx.PrepareWorkspace(cause=since(), **about)
    run.ready("a")
    assert only() == fx.StartProcess(cause=since(), **about)
    run.started("a")
    assert only() == fx.WakeAt(cause=since(), at=5.0, subject="a")
    run.at(5.0)
    assert only() == fx.StopProcess(cause=since(), grace_seconds=3.0, **about)
    run.exited("a", 0)
    assert only() == fx.CaptureResult(cause=since(), is_partial=True, **about)
    run.kept("a")
    assert only() == fx.WakeAt(cause=since(), at=run.stream("a").not_before, subject="a")
    run.at(60.0)
    run.succeed("a")
    assert only() == fx.MergeResults(cause=run.state.points[FINAL_POINT].cause, point=FINAL_POINT)
    run.merged()
    assert only() == fx.WriteReport(cause=run.state.cause)


def test_who_waits_for_another_has_no_alarm_set() -> None:
    """It is the other's end that lets it go, and no time."""
    run = given(stream("a"), stream("b", "a"))
    assert [type(effect) for effect in owed(run.state)] == [fx.PrepareWorkspace]


def test_a_result_is_not_partial_when_the_exit_code_is_good() -> None:
    run = given(stream("a"))
    run.run("a")
    run.exited("a")
    assert [e.is_partial for e in owed(run.state) if isinstance(e, fx.CaptureResult)] == [False]


@settings(max_examples=60, deadline=None)
@for_all(st.integers(0, 2**32))
def test_whatever_is_owed_was_announced_by_a_decision(seed: int) -> None:
    """No effect becomes owed in silence: an engine that never restarts performs them all."""
    for run in random_run(Random(seed)):
        assert set(owed(run.state)) <= set(run.all_effects)


def test_a_stop_that_cannot_be_noted_is_known_by_whom_it_ends() -> None:
    """All that run, or the one that is named; nobody else, and nothing for other commands."""
    run = given(stream("a"), stream("b"), stream("c", "a"))
    run.run("a", "b")
    whole = stops_asked_for(run.state, inputs.StopRun(reason="stopped"))
    assert [effect.stream for effect in whole] == ["a", "b"]
    one = stops_asked_for(run.state, inputs.StopStream(stream=StreamId("b"), reason="stopped"))
    assert [effect.stream for effect in one] == ["b"]
    assert stops_asked_for(run.state, inputs.ApproveRun()) == ()
    assert stops_asked_for(run.state, inputs.StopStream(stream=StreamId("c"), reason="x")) == ()
