"""A plan that grows while it is run: one more stream, or another wording of one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from anabranch.core.ids import StreamId, stream_fault
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.core.plans.providers import with_providers
from anabranch.core.wording import listing

MOST_STREAMS = 10_000
"""A plan does not grow beyond that."""


def extended(plan: Plan, stream: StreamPlan) -> Plan:
    """Return the plan with one more stream, its last."""
    return _with(plan, (*plan.streams, stream))


def reworded(plan: Plan, stream: StreamPlan) -> Plan:
    """Return the plan with one of its streams as it is now, in its old place."""
    return _with(plan, tuple(stream if s.id == stream.id else s for s in plan.streams))


def _with(plan: Plan, streams: Sequence[StreamPlan]) -> Plan:
    points = tuple(_with_members(point, streams) for point in plan.points)
    return replace(plan, streams=with_providers(streams), points=points)


def _with_members(point: PointPlan, streams: Sequence[StreamPlan]) -> PointPlan:
    return replace(point, streams=tuple(s.id for s in streams if point.id in s.points))


def why_not_extended(plan: Plan, stream: StreamPlan) -> tuple[str, str] | None:
    """Return why a plan cannot take one more stream, and what to do; None if it can."""
    fault = stream_fault(stream.id)
    if fault:
        return f"{stream.id[:64]!r} cannot name a stream: {fault}", "choose another name"
    alike = next((s.id for s in plan.streams if s.id.casefold() == stream.id.casefold()), None)
    if alike is not None:
        return f"there is a stream {alike!r} in this run already", "choose another name"
    if len(plan.streams) >= MOST_STREAMS:
        return f"the run has {MOST_STREAMS} streams already", "begin another run"
    return _why_not_placed(plan, stream)


def why_not_reworded(plan: Plan, stream: StreamPlan) -> tuple[str, str] | None:
    """Return why a stream of a plan cannot be worded so, and what to do; None if it can."""
    fault = _why_not_placed(plan, stream)
    if fault:
        return fault
    ring = _way_back(plan, stream)
    if ring:
        words = f"{stream.id} would wait for itself: {' waits for '.join(ring)}"
        return words, "let it wait for nobody who waits for it"
    return None


def _why_not_placed(plan: Plan, stream: StreamPlan) -> tuple[str, str] | None:
    known = {s.id for s in plan.streams}
    for needed in (d.stream for d in stream.depends_on if not d.capability and not d.point):
        if needed not in known or needed == stream.id:
            names = listing((s.id for s in plan.streams), 8) or "none so far"
            return f"there is no stream {needed[:64]!r} to wait for", f"its streams: {names}"
    fault = _why_not_served(plan, stream)
    if fault is not None:
        return fault
    points = [p.id for p in plan.points]
    for point in stream.points:
        if point not in points:
            return f"there is no convergence point {point[:64]!r}", f"its points: {points}"
    return _why_not_beside_races(plan, stream)


def _why_not_served(plan: Plan, stream: StreamPlan) -> tuple[str, str] | None:
    """Return why a stream would wait for the end of a service, or for a job to be ready."""
    services = {s.id for s in plan.streams if s.is_service}
    for needed in stream.depends_on:
        if needed.stream in services and needed.waits_for_end:
            return (
                f"{needed.stream} is a service, and is not expected to end",
                "wait until it is ready",
            )
        if needed.condition == "ready" and needed.stream not in services:
            return (
                f"{needed.words} is not a service, and so never ready",
                "wait until it has started",
            )
    return None


def _why_not_beside_races(plan: Plan, stream: StreamPlan) -> tuple[str, str] | None:
    """Return why a stream would take part in a race that was begun without it, or rely on one."""
    racing = {s: p.id for p in plan.points if p.adopts_one for s in p.streams}
    is_new = stream.id not in racing
    race = next((p for p in stream.points if is_new and p in racing.values()), None)
    if race is not None:
        return f"{race} is a race, and its attempts are there already", f"wait for it: after {race}"
    for needed in stream.depends_on:
        race = racing.get(needed.stream)
        if race is not None and needed.condition not in ("converged", "started"):
            return f"another than {needed.stream} may be adopted at {race}", f"wait for {race}"
    return None


def _way_back(plan: Plan, stream: StreamPlan) -> tuple[StreamId, ...]:
    """Return a way from a stream over those it would wait for to itself, empty if there is none."""
    needs = {s.id: s.depends_on for s in (*plan.streams, stream)}  # the stream as it would be
    seen: set[StreamId] = set()
    ways: list[tuple[StreamId, ...]] = [(stream.id,)]
    while ways:
        way = ways.pop()
        for needed in (name for d in needs.get(way[-1], ()) for name in d.streams):
            if needed == stream.id:
                return (*way, needed)
            if needed not in seen:
                seen.add(needed)
                ways.append((*way, needed))
    return ()
