"""Runs of random plans, given random inputs: fitting ones, late ones and senseless ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from anabranch.core.model.state import PointPhase
from anabranch.testing import ByHand, random_plan
from tests.core.given import STRATEGIES

Move = Callable[[ByHand, str, Random], object]

MOVES: tuple[Move, ...] = (
    lambda run, name, rng: run.ready(name),
    lambda run, name, rng: run.started(name),
    lambda run, name, rng: run.exited(name, rng.choice((0, 0, 0, 1))),
    lambda run, name, rng: run.kept(name),
    lambda run, name, rng: run.succeed(name),
    lambda run, name, rng: run.succeed(name),
    lambda run, name, rng: run.succeed(name),
    lambda run, name, rng: run.failed(name),
    lambda run, name, rng: run.lost(name),
    lambda run, name, rng: run.conflicted(name, name),
    lambda run, name, rng: run.at(run.clock() + rng.uniform(0.0, 3.0)),
    lambda run, name, rng: run.at(run.clock() + rng.uniform(0.0, 3.0)),
    lambda run, name, rng: _merge(run, rng),
    lambda run, name, rng: _merge(run, rng),
    lambda run, name, rng: run.merge_failed(rng.choice(run.state.plan.points).id),
    lambda run, name, rng: run.stop(name) if rng.random() < 0.3 else None,
    lambda run, name, rng: run.stop() if rng.random() < 0.05 else None,
    lambda run, name, rng: run.retry(name),
    lambda run, name, rng: run.resume() if rng.random() < 0.3 else None,
    lambda run, name, rng: run.approve(),
)


def random_run(rng: Random, steps: int = 60) -> Iterator[ByHand]:
    """Yield one run after each of its inputs; it checks the promises of each state by itself."""
    run = ByHand(random_plan(rng), STRATEGIES, approve=rng.random() < 0.3)
    yield run
    names = [plan.id for plan in run.state.plan.streams]
    for _ in range(steps):
        move = rng.choice(MOVES)
        move(run, rng.choice(names), rng)
        yield run


def _merge(run: ByHand, rng: Random) -> None:
    """Answer a merge that is under way; sometimes one stream does not merge."""
    merging = [p for p in run.state.points.values() if p.phase is PointPhase.MERGING]
    for point in merging:
        without = (rng.choice(point.merging),) if rng.random() < 0.3 else ()
        run.merged(point.id, without=without)
