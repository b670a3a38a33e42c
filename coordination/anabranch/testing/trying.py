"""A strategy in a run: the real engine in a simulated world, no process and no disk under it."""

from __future__ import annotations

from typing import Any

from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.core.strategies.kinds import KINDS
from anabranch.plugins import load_plugins
from anabranch.testing.conformance import kind_of
from anabranch.testing.simulation import NO_TROUBLE, Simulation


def strategies_with(*mine: Any) -> Strategies:
    """Return the installed strategies and some more, by the names they have in a plan."""
    installed = load_plugins().strategies
    found: dict[str, dict[str, Any]] = {
        kind.field: dict(getattr(installed, kind.field)) for kind in KINDS
    }
    for strategy in mine:
        kind = kind_of(strategy)
        if kind is None:
            raise TypeError(f"{strategy!r} is not a strategy of any kind")
        found[kind.field][strategy.name] = strategy
    return Strategies(**found)


def simulate(plan: Plan, *mine: Any, seed: int = 1, with_trouble: bool = False) -> State:
    """Run a plan to its end with some strategies of yours; return the state it ends in.

    Args:
        plan: what to run, as :func:`anabranch.testing.plan_of` makes it.
        mine: strategies to try; the plan names them.
        seed: how long things take, and what goes wrong; the same seed is always the same story.
        with_trouble: whether processes, disks and the engine itself fail on the way.

    Raises:
        PromiseBroken: the engine and the strategy together broke a promise, or never came to rest.
    """
    trouble = None if with_trouble else NO_TROUBLE
    return Simulation(seed, strategies_with(*mine), plan, trouble).run()
