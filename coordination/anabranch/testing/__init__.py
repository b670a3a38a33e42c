"""For testing the engine, and strategies that plugins bring, without a machine under them.

- :class:`FakeClock`: time that stands still until it is moved.
- :func:`plan_of`, :func:`stream`, :func:`point`: plans in a few words; :func:`random_plan`.
- :class:`FakeGit`: trees as dictionaries, merged three ways.
- :class:`SimulatedWorld`: performs effects on a virtual clock, with delays and faults from a seed.
- :class:`ByHand`: one run, driven input by input, for tests of single decisions.
- :class:`Simulation`: the real engine over that world, with crashes and an operator, checked after
  every step.

A plugin's author tries a strategy by giving it to a simulation::

    report = Simulation(seed=1, strategies=mine, plan=plan_of(stream("a"), stream("b", "a"))).run()

Everything is deterministic: a seed always tells the same story.
"""

from anabranch.testing.agenda import Agenda
from anabranch.testing.by_hand import ByHand
from anabranch.testing.clock import FakeClock
from anabranch.testing.git import FakeGit
from anabranch.testing.memory_store import MemoryStore
from anabranch.testing.plans import plan_of, point, random_plan, stream
from anabranch.testing.promises import PromiseBroken
from anabranch.testing.simulation import Simulation
from anabranch.testing.world import Faults, SimulatedWorld

__all__ = [
    "Agenda",
    "ByHand",
    "FakeClock",
    "FakeGit",
    "Faults",
    "MemoryStore",
    "PromiseBroken",
    "SimulatedWorld",
    "Simulation",
    "plan_of",
    "point",
    "random_plan",
    "stream",
]
