"""Coordination failures: effects that failed for the engine's own reasons, of all of them."""

from __future__ import annotations

import msgspec
import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.effects_done import EffectsDone
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.views.accounting import report
from anabranch.core.views.coordination import coordination_failures
from anabranch.testing import ByHand, Simulation, plan_of, stream
from anabranch.testing.simulation import NO_TROUBLE
from anabranch.testing.trying import strategies_with


def a_run() -> ByHand:
    return ByHand(plan_of(stream("a", max_retries=1), stream("b")), strategies_with())


def test_what_is_done_is_counted() -> None:
    """A workspace, a start and a capture each, whether or not the command succeeds; one merge."""
    run = a_run()
    run.succeed("a")
    assert run.state.effects == EffectsDone(3, 0)
    run.fail("b")
    assert run.state.effects == EffectsDone(6, 0)
    run.merged()
    assert run.state.effects == EffectsDone(7, 0)


def test_an_effect_that_fails_is_a_coordination_failure() -> None:
    """A workspace that cannot be made, and a merge that cannot be done at all."""
    run = a_run()
    run.failed("a", "no room for another worktree")
    assert run.state.effects == EffectsDone(0, 1)
    run.at(60.0)
    run.succeed("a", "b")
    run.merge_failed()
    assert run.state.effects == EffectsDone(6, 2)


def test_what_a_plan_or_a_stream_does_is_none() -> None:
    """A folder that the plan names and nobody has, an exit code, a conflict."""
    run = a_run()
    named = inputs.EffectFailed(
        stream=StreamId("b"), attempt=1, reason="no folder docs/ in it", is_permanent=True
    )
    run.give(named)
    assert run.state.effects == EffectsDone(0, 0)
    run.fail("a")
    assert run.state.effects.failed == 0


def test_the_report_tells_them() -> None:
    run = a_run()
    run.failed("a")
    run.succeed("b")
    found = report(run.state, run.records, 5.0, {})["coordination_failures"]
    assert (found["count"], found["of"], found["share"]) == (1, 4, 0.25)


@pytest.mark.parametrize(
    ("done", "failed", "upper"), [(0, 0, None), (10, 0, 0.2775), (99_999, 1, 0.000057), (0, 4, 1.0)]
)
def test_few_effects_prove_little(done: int, failed: int, upper: float | None) -> None:
    """None of ten may still be a quarter of thousands."""
    found = coordination_failures(EffectsDone(done, failed))["upper95"]
    assert found == (None if upper is None else pytest.approx(upper, rel=0.02))


def test_they_outlive_a_snapshot() -> None:
    run = a_run()
    run.failed("a")
    run.succeed("b")
    assert decode_state(encode_state(run.state)).effects == EffectsDone(3, 1)


@pytest.mark.parametrize("kind", [ev.AttemptFailed, ev.ConvergenceBlocked])
def test_events_of_older_journals_are_read(kind: type[ev.Event]) -> None:
    """They do not say whose doing it was: an attempt that failed counts, a blocked point not."""
    old = {"stream": "a", "point": "final", "attempt": 1, "reason": "why"}
    body = {"type": kind.__struct_config__.tag, **old}
    assert msgspec.convert(body, kind) is not None


@pytest.mark.parametrize("seed", range(30))
def test_nothing_fails_where_nothing_goes_wrong_around_it(seed: int) -> None:
    """Any plan, any strategy, whatever a person does: the engine's own part is done."""
    run = Simulation(seed, strategies_with(), trouble=NO_TROUBLE)
    run.run()
    assert run.state.effects.failed == 0
    assert run.state.effects.done >= 3 * sum(
        s.result is not None for s in run.state.streams.values()
    )


@pytest.mark.parametrize("seed", range(30))
def test_every_failure_is_counted_once(seed: int) -> None:
    """Whatever goes wrong in a run, and however often its engine crashes."""
    run = Simulation(seed, strategies_with())
    run.run()
    events = [record.event for record in run.store.records]
    failed = sum(isinstance(e, ev.AttemptFailed) and not e.is_permanent for e in events)
    failed += sum(isinstance(e, ev.ConvergenceBlocked) and e.is_fault for e in events)
    assert run.state.effects.failed == failed
