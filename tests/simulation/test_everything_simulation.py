"""Every call, observation and command in one run of the core, by seed."""

from __future__ import annotations

import pytest

from anabranch.core import events as ev
from anabranch.testing.operator import BALANCERS
from tests.core.given import STRATEGIES
from tests.simulation import oracles
from tests.simulation.everything import Everything

SEEDS, PARTS = 400, 4
STEPS = 50


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_nobody_waits_for_nothing_or_for_ever(part: int) -> None:
    """No wait is lost, no ring stays, nothing happens twice, and every run comes to its end."""
    seen: set[type[ev.Event]] = set()
    placed: set[str] = set()
    chosen = 0
    for seed in range(part, SEEDS, PARTS):
        run = Everything(seed, STRATEGIES)
        run.run(STEPS)
        seen |= {type(record.event) for record in run.records}
        placed |= {run.plan.balancer, run.state.plan.balancer}
        chosen += sum(oracles.is_of_single_ones(record.event) for record in run.records)
    assert {ev.DeadlockDetected, ev.ResourcesQueued, ev.LockExpired, ev.StreamJoined} <= seen
    assert {ev.HandlerFinished, ev.HandlersSkipped, ev.HandlersStopped} <= seen
    assert {ev.HandlerRecoveryRequested, ev.HandlerRecoveryPassedOn, ev.HandlersLeft} <= seen
    assert {ev.HandlerRequestsHeard, ev.ParallelismChanged, ev.DiskUseChanged} <= seen
    assert {ev.QuestionAnswered, ev.QuestionWithdrawn} <= seen
    assert ev.InputSent in seen
    assert placed == set(BALANCERS)
    assert chosen, "single handlers of streams that had failed are asked for"
