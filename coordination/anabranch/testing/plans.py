"""Plans in a few words, and plans of any shape from a seed."""

from __future__ import annotations

from random import Random
from typing import Any, get_args

from msgspec.structs import replace

from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plan import (
    ConflictPolicy,
    Dependency,
    DependencyCondition,
    Plan,
    PointPlan,
    StreamPlan,
)


def stream(name: str, *after: str, **fields: Any) -> StreamPlan:
    """Return a stream's plan; ``after`` names what it depends on: ``"a"``, or ``"a:completed"``."""
    return StreamPlan(
        StreamId(name),
        fields.pop("command", ("true",)),
        "true",
        tuple(_dependency(text) for text in after),
        **fields,
    )


def _dependency(text: str) -> Dependency:
    name, _, condition = text.partition(":")
    for known in get_args(DependencyCondition):
        if known == (condition or "succeeded"):
            return Dependency(StreamId(name), known)
    raise ValueError(f"{text!r} names no condition")


def point(name: str, **fields: Any) -> PointPlan:
    """Return a convergence point's plan; :func:`plan_of` fills in its streams."""
    return PointPlan(PointId(name), **fields)


def plan_of(*members: StreamPlan | PointPlan, **fields: Any) -> Plan:
    """Return a plan of streams and points; the final point is added unless it is given."""
    streams = tuple(m for m in members if isinstance(m, StreamPlan))
    points = {m.id: m for m in members if isinstance(m, PointPlan)}
    final = points.pop(FINAL_POINT, PointPlan(FINAL_POINT))
    named = {s.converge: PointPlan(s.converge) for s in streams if s.converge != FINAL_POINT}
    named |= points
    filled = [
        _with_streams(p, [s.id for s in streams if s.converge == p.id])
        for p in (*named.values(), final)
    ]
    fields.setdefault("max_parallel", 4)
    return Plan(fields.pop("name", "test"), streams, tuple(filled), **fields)


def _with_streams(plan: PointPlan, streams: list[StreamId]) -> PointPlan:
    return replace(plan, streams=tuple(streams))


def random_plan(rng: Random, balancers: tuple[str, ...] = ("longest-first",)) -> Plan:
    """Return a plan of 3 to 25 streams in which every wait can come to an end.

    Streams only depend on earlier ones. A named point holds a block of neighbours, and only later
    streams wait for it, so nobody waits for himself by way of a point.
    """
    size = rng.choice((3, 3, 4, 4, 5, 6, 7, 8, 10, 12, 16, 25))
    names = [f"s{number}" for number in range(size)]
    blocks = _blocks(rng, size)
    streams = [_random_stream(rng, names, blocks, number) for number in range(size)]
    policies = get_args(ConflictPolicy)
    points = [
        point(p, on_conflict=rng.choice(policies), resolver=rng.choice(("", "", "settle")))
        for p in dict.fromkeys(blocks)
    ]
    return plan_of(
        *streams,
        *points,
        name="random",
        max_parallel=rng.randint(1, 6),
        balancer=rng.choice(balancers),
        keep_going=rng.random() < 0.5,
        stop_grace_seconds=2.0,
    )


def _blocks(rng: Random, size: int) -> list[str]:
    """Return each stream's point: blocks of neighbours, some of them in the final point."""
    blocks: list[str] = []
    while len(blocks) < size:
        name = "final" if rng.random() < 0.5 else f"p{len(blocks)}"
        blocks += [name] * rng.randint(1, 5)
    return blocks[:size]


def _random_stream(rng: Random, names: list[str], blocks: list[str], number: int) -> StreamPlan:
    count = rng.choice((0, 0, 1, 1, 2, 3))
    earlier = rng.sample(range(number), min(count, number))
    after = [f"{names[e]}:{_random_condition(rng, blocks, e, number)}" for e in sorted(earlier)]
    return stream(
        names[number],
        *after,
        converge=PointId(blocks[number]),
        optional=rng.random() < 0.15,
        max_retries=rng.choice((0, 0, 1, 2)),
        timeout_seconds=rng.choice((None, None, None, 4.0)),
        after_seconds=rng.choice((0.0, 0.0, 0.0, 2.0)),
        workspace=rng.choice(("isolated",) * 9 + ("shared",)),
        priority=rng.choice((0, 0, 0, 5)),
        success_exit_codes=rng.choice(((0,), (0,), (0, 3))),
        estimate_seconds=rng.choice((1.0, 1.0, 5.0)),
    )


def _random_condition(rng: Random, blocks: list[str], earlier: int, number: int) -> str:
    conditions = ["succeeded"] * 5 + ["completed"] * 3 + ["started"]
    if blocks[earlier] not in ("final", blocks[number]):
        conditions += ["converged"] * 4
    return rng.choice(conditions)
