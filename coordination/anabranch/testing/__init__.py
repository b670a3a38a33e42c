"""For testing the engine, and strategies that plugins bring, without a machine under them.

- :class:`FakeClock`: time that stands still until it is moved.
- :func:`plan_of`, :func:`stream`, :func:`point`: plans in a few words; :func:`random_plan`.
- :class:`FakeGit`: trees as dictionaries, merged three ways.
- :class:`SimulatedWorld`: performs effects on a virtual clock, with delays and faults from a seed.
- :class:`ByHand`: one run, driven input by input, for tests of single decisions.
- :class:`Simulation`: the real engine over that world, with crashes and an operator, checked after
  every step.

- :func:`assert_conforms`: the conformance suite that every strategy has to pass.
- :func:`simulate`: a plan, run to its end with strategies of yours.
- :class:`StagedRun`: a plan on durations that are known beforehand: how good is a load balancer?

A plugin's author holds a strategy to the rules, and tries it in a run::

    assert_conforms(Quorum())
    plan = plan_of(stream("a"), stream("b"), point("final", type="quorum"))
    assert simulate(plan, Quorum()).phase is RunPhase.CONVERGED

Everything is deterministic: a seed always tells the same story.
"""

from anabranch.core.model.state import RunPhase
from anabranch.testing.agenda import Agenda
from anabranch.testing.by_hand import ByHand
from anabranch.testing.clock import FakeClock
from anabranch.testing.conformance import Fault, assert_conforms, find_faults
from anabranch.testing.faults import Faults
from anabranch.testing.git import FakeGit
from anabranch.testing.memory_store import MemoryStore
from anabranch.testing.plans import plan_of, point, random_plan, stream
from anabranch.testing.promises import PromiseBroken
from anabranch.testing.simulation import Simulation
from anabranch.testing.staged_run import StagedRun
from anabranch.testing.trying import simulate, strategies_with
from anabranch.testing.world import SimulatedWorld

__all__ = [
    "Agenda",
    "ByHand",
    "FakeClock",
    "FakeGit",
    "Fault",
    "Faults",
    "MemoryStore",
    "PromiseBroken",
    "RunPhase",
    "SimulatedWorld",
    "Simulation",
    "StagedRun",
    "assert_conforms",
    "find_faults",
    "plan_of",
    "point",
    "random_plan",
    "simulate",
    "strategies_with",
    "stream",
]
