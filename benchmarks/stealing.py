"""What queues of slots bring where something is warm, beside affinity and the default, staged.

The real decisions about plans on durations that are known beforehand. A stream that runs where
nothing near to it ran last takes so many seconds more. In the last tables nothing is warm: what
preferring a slot costs where there is nothing to prefer it for.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.plugins import load_plugins
from anabranch.testing import StagedRun, plan_of, stream
from benchmarks.machine import Machine
from benchmarks.measuring import Row, Table

STREAMS, WIDTH, SEEDS = 100, 8, 3
FACTOR = 2.0
GROUPS, CHAINS, ROOTS = 12, 20, 8
COLD_SECONDS = 8.0
SHAPES = ("in groups", "in chains", "that fan out")
KNOWN = {"known within a factor of two": True, "not known": False}
RIVALS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("longest-first", "longest-first", {}),
    ("affinity", "affinity", {}),
    ("affinity, price 60 s", "affinity", {"price_seconds": 60.0}),
    ("work-stealing", "work-stealing", {}),
)


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the percentage of the lower bound of warm streams, by shape and balancer."""
    for shape in SHAPES:
        for words, is_known in KNOWN.items():
            yield _table(shape, f"durations {words}", COLD_SECONDS, is_known=is_known)
    for shape in SHAPES:
        yield _table(shape, "nothing is warm", 0.0, is_known=True)


def _table(shape: str, words: str, cold_seconds: float, *, is_known: bool) -> Table:
    strategies = load_plugins().strategies
    rows = []
    for title, name, options in RIVALS:
        found = []
        for seed in range(SEEDS):
            plan, seconds = planned(shape, seed, is_known=is_known)
            chosen = replace(plan, balancer=name, balancer_options=options)
            cold = Cold(plan, cold_seconds)
            run = StagedRun(chosen, strategies, seconds, cold=cold.seconds)
            found.append(100.0 * run.efficiency())
        rows.append(Row(title, tuple(found)))
    cost = f", {cold_seconds:g} s more where nothing is warm" if cold_seconds else ""
    title = f"work stealing: {STREAMS} streams {shape}, {WIDTH} at a time{cost}; {words}"
    return Table(title, "% of the lower bound", tuple(rows))


class Cold:
    """How much longer a stream takes by what ran in its slot last."""

    def __init__(self, plan: Plan, seconds: float) -> None:
        self._streams = {one.id: one for one in plan.streams}
        self._seconds = seconds

    def seconds(self, stream: StreamId, last: StreamId | None) -> float:
        """Return the seconds that a cold start costs: none after what is near."""
        if last is None:
            return self._seconds
        mine, before = self._streams[stream], self._streams[last]
        needs = {other for dependency in mine.depends_on for other in dependency.streams}
        is_near = last in needs or set(mine.capabilities) & set(before.capabilities)
        return 0.0 if is_near else self._seconds


def planned(shape: str, seed: int, *, is_known: bool) -> tuple[Plan, dict[StreamId, float]]:
    """Return a plan, and how long its streams really take where all is warm, in seconds."""
    rng = Random(f"{shape}/{seed}")
    streams: list[StreamPlan] = []
    seconds: dict[StreamId, float] = {}
    for number in range(STREAMS):
        name = StreamId(f"s{number}")
        seconds[name] = rng.lognormvariate(2.0, 1.0)
        estimate = seconds[name] * FACTOR ** rng.uniform(-1.0, 1.0)
        streams.append(
            stream(
                name,
                *_after(shape, number, rng),
                capabilities=(f"group{rng.randrange(GROUPS)}",) if shape == "in groups" else (),
                estimate_seconds=estimate if is_known else 1.0,
                estimate_basis="learned" if is_known else "guessed",
            )
        )
    return plan_of(*streams, max_parallel=WIDTH), seconds


def _after(shape: str, number: int, rng: Random) -> list[str]:
    """Return what a stream depends on: nothing, the one before it, or one that many depend on."""
    if shape == "in chains" and number >= CHAINS:
        return [f"s{number - CHAINS}"]
    if shape == "that fan out" and number >= ROOTS:
        last = number // 3
        return [f"s{rng.randint(max(0, last - ROOTS), last)}"]
    return []
