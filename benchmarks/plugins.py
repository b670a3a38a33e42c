"""What the way through a plugin's guard costs a decision, beside asking the strategy directly.

The guard asks in a thread of its own with a limit of time, on a view that nothing can change, and
checks the answer. Built-in strategies are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anabranch.core.ids import PointId, StreamId
from anabranch.core.strategies import PointView, QueuedStream
from anabranch.core.strategies.kinds import CHOICES
from anabranch.engine.guarded_strategies import (
    Guard,
    Guarded,
    Metered,
)
from anabranch.plugins import load_plugins
from benchmarks.machine import Machine
from benchmarks.measuring import Row, Table, clocked, in_turns

DECISIONS = 500
REPEATS = 7
BUDGET_SECONDS = 4.0
PARTICIPANTS = (10, 1000)


def tables(machine: Machine) -> Iterator[Table]:
    """Yield microseconds a decision: a balancer's, and a convergence type's by participants."""
    installed = load_plugins().strategies
    converging, ranking = CHOICES["convergence"], CHOICES["balancer"]
    queued = QueuedStream(StreamId("s"), 3, 1, 2.0, 5.0, 1)
    balancer = installed.balancers["longest-first"]
    yield _compared(
        "one rank of a load balancer",
        {
            "behind the guard": (Guarded(balancer, ranking, Guard()), "rank", (queued,)),
            "direct call": (balancer, "rank", (queued,)),
            "counted": (Metered(balancer, ranking, Guard()), "rank", (queued,)),
        },
    )
    barrier = installed.convergence["barrier"]
    for count in PARTICIPANTS:
        names = tuple(StreamId(f"s{n}") for n in range(count))
        times = dict.fromkeys(names, 1.0)
        view = PointView(PointId("p"), count, names, {}, {}, times, dict.fromkeys(names, 0))
        asked = (view, 2.0)
        yield _compared(
            f"one step of a convergence type, {count} participants",
            {
                "behind the guard": (Guarded(barrier, converging, Guard()), "next_step", asked),
                "direct call": (barrier, "next_step", asked),
                "counted": (Metered(barrier, converging, Guard()), "next_step", asked),
            },
        )


def _compared(title: str, asked: dict[str, tuple[Any, str, tuple[Any, ...]]]) -> Table:
    def decide(strategy: Any, method: str, arguments: tuple[Any, ...]) -> float:
        ask = getattr(strategy, method)

        def work() -> None:
            for _ in range(DECISIONS):
                ask(*arguments)

        return clocked(work) / DECISIONS * 1e6

    contestants = {name: (lambda one=one: decide(*one)) for name, one in asked.items()}
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    rows = tuple(Row(name, values) for name, values in samples.items())
    return Table(f"a decision through a plugin: {title}", "µs", rows)
