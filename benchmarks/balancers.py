"""How near each load balancer comes to the lower bound, in staged runs.

The real decisions about plans of hundreds of streams, on durations that are known beforehand: what
is measured is the order alone, so neither the machine nor what else it does changes a figure. The
bound is what no schedule can be shorter than: the longest way, or all work divided by the width.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.plugins import load_plugins
from anabranch.testing import StagedRun, plan_of, stream
from benchmarks.machine import Machine
from benchmarks.measuring import Row, Table

STREAMS, WIDTH, SEEDS = 300, 8, 5
FACTOR = 2.0
SHAPES = ("independent", "layered", "chains")
KNOWN = {"known within a factor of two": True, "not known": False}


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the percentage of the lower bound that each balancer reaches, by shape of the plan."""
    strategies = load_plugins().strategies
    names = [name for name in strategies.balancers if ":" not in name]
    for shape in SHAPES:
        for words, is_known in KNOWN.items():
            rows = []
            for name in names:
                found = []
                for seed in range(SEEDS):
                    plan, seconds = planned(shape, seed, is_known=is_known)
                    run = StagedRun(replace(plan, balancer=name), strategies, seconds)
                    found.append(100.0 * run.efficiency())
                rows.append(Row(name, tuple(found)))
            title = (
                f"load balancers: {STREAMS} {shape} streams, {WIDTH} at a time, durations {words}"
            )
            yield Table(title, "% of the lower bound", tuple(rows))


def planned(shape: str, seed: int, *, is_known: bool) -> tuple[Plan, dict[StreamId, float]]:
    """Return a plan, and how long its streams really take, in seconds."""
    rng = Random(f"{shape}/{seed}")
    streams: list[StreamPlan] = []
    seconds: dict[StreamId, float] = {}
    for number in range(STREAMS):
        name = StreamId(f"s{number}")
        # A few take long, and many do not: what a log-normal distribution looks like.
        seconds[name] = rng.lognormvariate(2.0, 1.0)
        estimate = seconds[name] * FACTOR ** rng.uniform(-1.0, 1.0)
        streams.append(
            stream(
                name,
                *_after(shape, number, rng),
                estimate_seconds=estimate if is_known else 1.0,
                estimate_basis="learned" if is_known else "guessed",
            )
        )
    return plan_of(*streams, max_parallel=WIDTH), seconds


def _after(shape: str, number: int, rng: Random) -> list[str]:
    """Return what a stream depends on: nothing, some of the layer before, or the one before it."""
    if shape == "layered":
        layer = 40
        before = range(number // layer * layer - layer, number // layer * layer)
        return [f"s{n}" for n in rng.sample(before, 2)] if number >= layer else []
    if shape == "chains":
        return [f"s{number - 20}"] if number >= 20 and rng.random() < 0.9 else []
    return []
