"""Plans in a few words, and plans of any shape from a seed."""

from __future__ import annotations

from random import Random
from typing import Any, get_args

from msgspec.structs import replace

from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plans.plan import (
    AskPlan,
    CatchUp,
    ConflictPolicy,
    Dependency,
    DependencyCondition,
    Plan,
    PointPlan,
    RatePlan,
    SideCommand,
    StreamPlan,
)
from anabranch.testing.services import with_services


def stream(name: str, *after: str, **fields: Any) -> StreamPlan:
    """Return a stream's plan; ``after`` names what it depends on: ``"a"``, or ``"a:completed"``."""
    return StreamPlan(
        StreamId(name),
        fields.pop("command", ("true",)),
        fields.pop("command_text", f"true {name}"),
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
    named = {p: PointPlan(p) for s in streams for p in s.points if p != FINAL_POINT}
    named |= points
    filled = [
        _with_streams(p, [s.id for s in streams if p.id in s.points])
        for p in (*named.values(), final)
    ]
    fields.setdefault("max_parallel", 4)
    return Plan(fields.pop("name", "test"), streams, tuple(filled), **fields)


def _with_streams(plan: PointPlan, streams: list[StreamId]) -> PointPlan:
    return replace(plan, streams=tuple(streams))


EARLY = ("progressive", "patient")
"""Convergence types that merge before all are there, of the built-ins and of the tests."""


def random_plan(
    rng: Random,
    balancers: tuple[str, ...] = ("longest-first",),
    convergence: tuple[str, ...] = ("barrier",),
) -> Plan:
    """Return a plan of 3 to 25 streams in which every wait can come to an end.

    Streams only depend on earlier ones. A named point holds a block of neighbours, and only later
    streams wait for it, so nobody waits for himself by way of a point; at one that merges early,
    streams of the same block may.
    """
    size = rng.choice((3, 3, 4, 4, 5, 6, 7, 8, 10, 12, 16, 25))
    names = [f"s{number}" for number in range(size)]
    blocks = _blocks(rng, size)
    # Bringing files back takes a run in which much goes well, so checkpoints are drawn more often.
    merging = tuple(kind for kind in convergence if not kind.endswith("race"))
    kinds = (*merging, *(k for k in merging if k == "checkpoint" for _ in range(3)))
    types = {p: rng.choice(kinds) for p in (*dict.fromkeys(blocks), "final")}
    also = [_also_at(rng, blocks, number) for number in range(size)]
    streams = [_random_stream(rng, names, blocks, also, types, n) for n in range(size)]
    points = [_random_point(rng, name, types[name]) for name in types]
    if "race" in convergence and rng.random() < 0.5:
        streams, points = _with_race(rng, streams, points)
    if rng.random() < 0.3:
        streams = [_with_times(rng, plan) for plan in streams]
    fuses = rng.random() < 0.5
    if fuses:
        streams = [_short(rng, plan) for plan in streams]
    has_speculation = rng.random() < 0.4
    if has_speculation:
        streams = [_straggling(rng, plan) for plan in streams]
    if rng.random() < 0.4:
        streams = [_with_setup(rng, plan) for plan in streams]
    if rng.random() < 0.2:
        streams, points = _reviewed(rng, streams, points)
    balancer = rng.choice(balancers)
    is_stealing = balancer.endswith("work-stealing")
    if is_stealing:
        streams = [_with_warmth(rng, plan) for plan in streams]
    plan = plan_of(
        *streams,
        *points,
        name="random",
        max_parallel=rng.randint(1, 6),
        is_adaptive=rng.random() < 0.5,
        fuses=fuses,
        balancer=balancer,
        balancer_options={"price_seconds": 0.0} if is_stealing else {},
        keep_going=rng.random() < 0.5,
        stop_grace_seconds=2.0,
        soft_grace_seconds=rng.choice((0.3, 1.0)),
        recovery_timeout_seconds=rng.choice((1.0, 30.0)),
        fallback=rng.choice(("sequential", "degrade", "stop")),
        has_speculation=has_speculation,
        is_open=rng.random() < 0.2,
    )
    return with_services(rng, plan) if rng.random() < 0.4 else plan


def _reviewed(
    rng: Random, streams: list[StreamPlan], points: list[PointPlan]
) -> tuple[list[StreamPlan], list[PointPlan]]:
    """Have a person look at the results of some streams, or of all who meet at some points."""
    return (
        [replace(plan, review=rng.random() < 0.3) for plan in streams],
        [replace(plan, review=rng.random() < 0.2) for plan in points],
    )


def _with_race(
    rng: Random, streams: list[StreamPlan], points: list[PointPlan]
) -> tuple[list[StreamPlan], list[PointPlan]]:
    """Have the streams of one point race each other, and those behind them go on from one."""
    also = {name for plan in streams for name in plan.also_at}
    able = [p for p in points if p.id != FINAL_POINT and p.id not in also]
    if not able:
        return streams, points
    chosen = rng.choice(able)
    racers = tuple(plan.id for plan in streams if plan.converge == chosen.id)
    is_optional = rng.random() < 0.2
    rule = rng.choice(("ask", "ask", "first", "smallest"))
    race = replace(
        chosen,
        type="race",
        adopts_one=True,
        is_optional=is_optional,
        options={"adopt": rule},
        merges_early=False,
        takes_checkpoints=False,
    )
    return (
        [_racing(rng, plan, racers, chosen.id) for plan in streams],
        [race if plan is chosen else plan for plan in points],
    )


def _racing(
    rng: Random, plan: StreamPlan, racers: tuple[StreamId, ...], place: PointId
) -> StreamPlan:
    others = tuple(d for d in plan.depends_on if d.stream not in racers)
    if plan.id in racers:
        return replace(plan, depends_on=others, optional=True, workspace="isolated")
    if len(others) == len(plan.depends_on):
        return plan
    condition: DependencyCondition = rng.choice(("converged", "converged", "started"))
    behind = Dependency(condition=condition, providers=racers, point=place)
    return replace(plan, depends_on=(*others, behind))


def _blocks(rng: Random, size: int) -> list[str]:
    """Return each stream's point: blocks of neighbours, some of them in the final point."""
    blocks: list[str] = []
    while len(blocks) < size:
        name = "final" if rng.random() < 0.5 else f"p{len(blocks)}"
        blocks += [name] * rng.randint(1, 5)
    return blocks[:size]


def _random_point(rng: Random, name: str, kind: str) -> PointPlan:
    return point(
        name,
        type=kind,
        on_conflict=rng.choice(get_args(ConflictPolicy)),
        resolver=rng.choice(("", "", "settle")),
        verify=rng.choice(("", "", "fails on 1", "fails on 2", "fails on x")),
        verify_retries=rng.choice((0, 0, 1)),
        on_failure=rng.choice(("quarantine", "quarantine", "stop")),
        options={"at_once": rng.choice((0, 1, 2))} if kind == "progressive" else {},
        interval_seconds=rng.choice((0.5, 1.0, 3.0)),
        timeout_seconds=rng.choice((None, None, 1.0)),
        merges_early=kind in EARLY,
        takes_checkpoints=kind == "checkpoint",
    )


def _also_at(rng: Random, blocks: list[str], number: int) -> tuple[str, ...]:
    """Return a later point at which a stream meets others too, now and then."""
    later = [p for p in dict.fromkeys(blocks[number:]) if p not in (blocks[number], "final")]
    return (later[0],) if later and rng.random() < 0.15 else ()


def _random_stream(
    rng: Random,
    names: list[str],
    blocks: list[str],
    also: list[tuple[str, ...]],
    types: dict[str, str],
    number: int,
) -> StreamPlan:
    count = rng.choice((0, 0, 1, 1, 2, 3))
    earlier = sorted(rng.sample(range(number), min(count, number)))
    own = {blocks[number], *also[number]}
    may_meet = [_may_wait_to_meet(blocks, also, types, e, own) for e in range(number)]
    after = [f"{names[e]}:{_random_condition(rng, may_meet[e])}" for e in earlier]
    return stream(
        names[number],
        *after,
        command_text=rng.choice(("work", "work", "true", f"true {number}")),
        converge=PointId(blocks[number]),
        sync=rng.random() < 0.6,
        also_at=tuple(PointId(p) for p in also[number]),
        optional=rng.random() < 0.15,
        max_retries=rng.choice((0, 0, 1, 2)),
        ask=rng.choice((AskPlan(), AskPlan(signal=10))),
        tty=number % 3 == 1,
        ports=("web",) if number % 4 == 2 else (),
        timeout_seconds=rng.choice((None, None, None, 4.0)),
        after_seconds=rng.choice((0.0, 0.0, 0.0, 2.0)),
        workspace=rng.choice(("isolated",) * 9 + ("shared",)),
        priority=rng.choice((0, 0, 0, 5)),
        success_exit_codes=rng.choice(((0,), (0,), (0, 3))),
        estimate_seconds=rng.choice((1.0, 1.0, 5.0)),
        limits=rng.choice(({}, {}, {"memory_mb": 300.0})),
        peak_memory_mb=rng.choice((None, 100.0)),
    )


def _with_times(rng: Random, plan: StreamPlan) -> StreamPlan:
    """Have a stream wait for the clock, now and then: for a day if its time has passed."""
    at = rng.choice(("",) * 4 + ("00:00:01", "00:00:05", "00:00:40"))
    return replace(
        plan,
        at=at,
        after_seconds=0.0 if at else plan.after_seconds,
        catch_up=rng.choice(get_args(CatchUp)),
        spread_seconds=rng.choice((0.0, 0.0, 4.0)),
        rate=rng.choice((None, None, RatePlan(1, 40.0), RatePlan(2, 120.0))),
    )


def _with_setup(rng: Random, plan: StreamPlan) -> StreamPlan:
    """Have what makes a stream's workspace ready, or leaves it in good order, now and then."""
    return replace(
        plan,
        setup=rng.choice((None, SideCommand(("install",), "install"))),
        teardown=rng.choice((None, None, SideCommand(("clean",), "clean"))),
    )


def _short(rng: Random, plan: StreamPlan) -> StreamPlan:
    """Have a stream be known to be short, now and then."""
    if rng.random() < 0.5:
        return plan
    return replace(plan, estimate_seconds=0.1, estimate_basis="learned")


def _straggling(rng: Random, plan: StreamPlan) -> StreamPlan:
    """Have most streams be repeatable, and take longer than usual more often than not."""
    return replace(
        plan,
        is_repeatable=rng.random() < 0.8,
        estimate_basis="learned",
        long_seconds=rng.choice((0.3, 1.0, 2.5)),
    )


def _with_warmth(rng: Random, plan: StreamPlan) -> StreamPlan:
    """Have a stream leave something behind that others can use, and be known from earlier runs."""
    return replace(
        plan,
        capabilities=(rng.choice(("web", "docs")),),
        estimate_basis=rng.choice(("guessed", "learned", "learned", "learned")),
    )


def _may_wait_to_meet(
    blocks: list[str],
    also: list[tuple[str, ...]],
    types: dict[str, str],
    earlier: int,
    own: set[str],
) -> bool:
    """Say whether a stream may wait until an earlier one has met the others at all its points."""
    points = {blocks[earlier], *also[earlier]}
    if "final" in points:
        return points == {"final"} and types["final"] in EARLY
    if also[earlier]:
        return False  # the later point may wait for the stream itself
    return not points & own or all(types[p] in EARLY for p in points)


def _random_condition(rng: Random, may_meet: bool) -> str:
    conditions = ["succeeded"] * 5 + ["completed"] * 3 + ["started"]
    return rng.choice(conditions + ["converged"] * 4 if may_meet else conditions)
