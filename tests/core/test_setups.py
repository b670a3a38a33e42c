"""Setup and teardown: what a workspace needs before its stream's command, and after its work."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core.deciding.owed import owed
from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverStream, StopStream
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.consent import commands_of
from anabranch.core.plans.plan import SideCommand
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.views import accounting, projections
from anabranch.core.views.samples import samples_of
from anabranch.testing import ByHand, plan_of, stream
from tests.core.given import STRATEGIES, given

SETUP, TEARDOWN = SideCommand(("npm", "ci"), "npm ci"), SideCommand(("down",), "down")
A = StreamId("a")


def a_stream(**fields: Any) -> ByHand:
    """Return a run of one stream that is set up, with its workspace there."""
    run = given(stream("a", setup=SETUP, **fields))
    run.ready("a")
    return run


def owes(run: ByHand, kind: type[fx.Effect]) -> list[fx.Effect]:
    return [effect for effect in owed(run.state) if isinstance(effect, kind)]


def test_a_command_waits_for_its_setup() -> None:
    """It is a state of its own, and the time limit and what is learned begin behind it."""
    run = a_stream(timeout_seconds=10.0)
    run.clock.advance(1.0)
    run.setup_began("a")
    assert (run.state.streams[A].public_state, run.state.streams[A].log) == ("setting_up", "setup")
    assert not owes(run, fx.WakeAt)
    shown = projections.stream_status(run.state, run.state.streams[A])
    assert shown["evidence"] == "attempt 1, slot 1, its setup runs"
    assert shown["setup"]["seconds"] is None
    run.clock.advance(30.0)
    assert accounting.setup_seconds(run.state, run.clock()) == 30.0
    run.setup_done("a", seconds=30.0)
    run.started("a")
    (deadline,) = owes(run, fx.WakeAt)
    assert isinstance(deadline, fx.WakeAt)
    assert deadline.at == run.clock() + 10.0
    run.clock.advance(2.0)
    run.exited("a")
    run.kept("a")
    (sample,) = samples_of(run.state).values()
    assert sample.work_seconds == 2.0
    spent = run.state.streams[A].spent
    assert (spent.starting, spent.setting_up, spent.working) == (1.0, 30.0, 2.0)
    assert accounting.overhead_seconds(run.state)["processes"] == 1.0
    report = accounting.report(run.state, run.records, run.clock(), {})
    assert (report["setup_seconds"], report["work_seconds"]) == (30.0, 2.0)
    assert report["overhead_share"] == round(1 / 33, 6)
    assert report["streams"][0]["setup"]["seconds"] == 30.0


def test_a_failed_setup_fails_the_attempt_and_not_its_command() -> None:
    """With its own reason and class; the next attempt has a new workspace, and its own setup."""
    run = a_stream(max_retries=1)
    for attempt in (1, 2):
        run.setup_began("a")
        run.setup_done("a", failure="setup failed: exit 3: no network")
        run.exited("a", None, error="setup failed: exit 3: no network")
        run.kept("a", "")
        known = run.state.streams[A]
        assert known.failure_class == "setup failed"
        assert known.reason.startswith("setup failed: exit 3: no network")
        assert known.worked.seconds == 0.0
        if attempt == 1:
            run.at(120.0)
            run.ready("a")
            assert run.state.streams[A].setup.began_at is None
    assert run.state.streams[A].public_state == "failed"


def test_a_failed_setup_after_a_recovery_by_hand_is_not_tried_for_ever() -> None:
    """The recovery has begun its attempt with the setup; what fails then fails as usual."""
    run = a_stream(max_retries=0)
    run.started("a")
    run.give(RecoverStream(stream=A, remedy="hard"))
    run.exited("a", None, signal=15)
    run.kept("a")
    run.at(200.0)
    for moment in (400.0, 600.0, 800.0):
        if run.state.streams[A].has_ended:
            break
        run.ready("a")
        run.setup_began("a")
        run.setup_done("a", failure="setup failed: exit 3")
        run.exited("a", None, error="setup failed: exit 3")
        run.kept("a", "")
        run.at(moment)
    assert run.state.streams[A].public_state == "failed"


def test_a_stop_ends_a_setup() -> None:
    """Its holder is known, so it can be told; nothing of its command is counted."""
    run = a_stream()
    run.setup_began("a")
    run.give(StopStream(stream=A, reason="no more"))
    assert owes(run, fx.StopProcess)
    run.setup_done("a", failure="setup failed: it was ended before it was done")
    run.exited("a", None, signal=15)
    run.kept("a", "")
    assert run.state.streams[A].public_state == "stopped"


def test_what_is_seen_again_changes_nothing() -> None:
    """An engine that comes back reads the same records."""
    run = a_stream()
    run.setup_began("a")
    assert run.setup_began("a") == []
    run.setup_done("a")
    assert run.setup_done("a") == []
    run.started("a")
    assert run.setup_began("a") == run.setup_done("a") == run.started("a") == []


def torn_down(**fields: Any) -> ByHand:
    """Return a run of one stream whose work has been kept, and which has a teardown."""
    run = given(stream("a", teardown=TEARDOWN, **fields))
    run.ready("a")
    run.started("a")
    assert not owes(run, fx.TearDown)
    return run


def test_a_teardown_is_owed_until_it_is_done() -> None:
    """After its work has been kept; others go on meanwhile, the run does not end before."""
    run = torn_down()
    run.exited("a")
    assert not owes(run, fx.TearDown)
    run.kept("a")
    run.merged()
    (teardown,) = owes(run, fx.TearDown)
    restored = decode_state(encode_state(run.state))
    assert teardown in owed(restored)
    assert restored == run.state
    assert not run.state.has_ended
    run.torn_down("a", 1)
    assert run.torn_down("a", 1) == []
    assert run.state.has_ended
    assert not owes(run, fx.TearDown)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_failed_and_stopped_attempts_are_torn_down_too(is_stopped: bool) -> None:
    """A teardown that fails is told, and changes nothing else."""
    run = torn_down(max_retries=0)
    if is_stopped:
        run.give(StopStream(stream=A, reason="no more"))
    run.exited("a", 1)
    run.kept("a")
    assert owes(run, fx.TearDown)
    run.torn_down("a", 1, failure="exit 1: no such container")
    stream_ = run.state.streams[A]
    assert stream_.warnings == ("teardown of attempt 1: exit 1: no such container",)
    assert stream_.public_state == ("stopped" if is_stopped else "failed")
    assert run.state.has_ended


def test_the_next_attempt_is_prepared_when_the_last_was_torn_down() -> None:
    """They may want the same port, say; and the workspace is given back only then."""
    run = torn_down(max_retries=1)
    run.exited("a", 1)
    run.kept("a")
    run.at(120.0)
    assert run.state.streams[A].attempt == 2
    assert not owes(run, fx.PrepareWorkspace)
    run.torn_down("a", 1, failure="exit 1")
    assert owes(run, fx.PrepareWorkspace)
    run.ready("a")
    assert run.state.streams[A].warnings == ("teardown of attempt 1: exit 1",)


def test_who_never_began_is_not_torn_down() -> None:
    run = given(stream("a", teardown=TEARDOWN, max_retries=0))
    run.ready("a")
    run.failed("a")
    assert not owes(run, fx.TearDown)
    assert run.state.has_ended


def test_the_end_of_a_run_with_teardowns_owed_breaks_a_promise() -> None:
    run = torn_down()
    run.exited("a")
    run.kept("a")
    state = run.state
    run.merged()
    run.torn_down("a", 1)
    bad = replace(run.state, teardowns=state.teardowns)
    assert any("teardowns" in text for text in broken_promises(bad))


SHORT: dict[str, Any] = {"estimate_seconds": 0.5, "estimate_basis": "learned"}


@pytest.mark.parametrize(
    ("first", "second", "goes_on"),
    [
        ({"setup": SETUP}, {"setup": SETUP}, True),
        ({"setup": SETUP}, {}, False),
        ({}, {"setup": SETUP}, False),
        ({"setup": SETUP}, {"setup": SETUP, "env": {"A": "1"}}, False),
        ({"teardown": TEARDOWN}, {"teardown": TEARDOWN}, False),
    ],
)
def test_a_workspace_that_was_set_up_alike_is_taken_over(
    first: dict[str, Any], second: dict[str, Any], goes_on: bool
) -> None:
    """Its setup is not run again; one that is torn down is there for nobody else."""
    streams = (stream("a", **SHORT, **first), stream("b", "a", **SHORT, **second))
    run = ByHand(replace(plan_of(*streams, max_parallel=1), fuses=True), STRATEGIES)
    run.clock.advance(0.2)
    run.ready("a")
    run.started("a")
    run.exited("a")
    run.kept("a")
    if "teardown" in first:
        run.torn_down("a", 1)
    assert (run.state.streams[StreamId("b")].goes_on_from == "a") is goes_on


def test_setups_and_teardowns_are_asked_about() -> None:
    """The one for all once, and each stream's own, by where they stand."""
    own = SideCommand(("x",), "x")
    streams = (stream("a", setup=SETUP, teardown=TEARDOWN), stream("b", setup=own))
    plan = replace(plan_of(*streams), setup=SETUP)
    assert [(c.kind, c.where, c.command) for c in commands_of(plan)] == [
        ("setup", "coordination.isolation", "npm ci"),
        ("setup", "streams.b", "x"),
        ("teardown", "streams.a", "down"),
    ]
