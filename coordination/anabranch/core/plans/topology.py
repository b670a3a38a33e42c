"""The plan's shape, worked out once: who depends on whom, in what order results are merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.plans.network import network_of, waiters_of
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.core.plans.repeating import repeated
from anabranch.core.plans.timing import planned


class Topology:
    """Look-ups over an immutable plan. Never changes, so every state of a run shares one."""

    __slots__ = (
        "adopted_at",
        "dependents",
        "everyone",
        "hopeful",
        "jobs",
        "largest_use",
        "mean_seconds",
        "network",
        "order",
        "path_seconds",
        "plan",
        "points",
        "position",
        "priority",
        "repeated",
        "reviewed",
        "services",
        "streams",
        "timed",
        "waiters",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.everyone: tuple[StreamId, ...] = tuple(s.id for s in plan.streams)
        self.services: tuple[StreamId, ...] = tuple(s.id for s in plan.streams if s.is_service)
        """Who is not expected to end, holds no slot, and brings no result."""
        self.jobs: tuple[StreamId, ...] = tuple(s.id for s in plan.streams if not s.is_service)
        """Everybody else."""
        self.hopeful: tuple[StreamId, ...] = tuple(s.id for s in plan.streams if hopes_to_meet(s))
        """Who can only begin once somebody from outside has joined."""
        self.streams: Mapping[StreamId, StreamPlan] = {s.id: s for s in plan.streams}
        self.timed: tuple[StreamId, ...] = tuple(s.id for s in plan.streams if s.at)
        """Who waits for a time of day."""
        self.repeated: tuple[StreamId, ...] = repeated(plan)
        """Who may have a copy beside it."""
        self.reviewed: tuple[StreamId, ...] = _reviewed(plan)
        """Whose results a person has to take before they are merged."""
        self.points: Mapping[PointId, PointPlan] = {p.id: p for p in plan.points}
        self.adopted_at: Mapping[StreamId, PointId] = {
            s: p.id for p in plan.points if p.adopts_one for s in p.streams
        }
        """Who is merged only if it is adopted, and at which point that is decided."""
        self.position: Mapping[StreamId, int] = {s.id: i for i, s in enumerate(plan.streams)}
        self.priority: Mapping[StreamId, int] = {s.id: s.priority for s in plan.streams}
        self.dependents: Mapping[StreamId, tuple[StreamId, ...]] = _dependents(plan)
        self.order: Mapping[StreamId, int] = _merge_order(plan, self.dependents)
        self.network = network_of(plan)
        self.waiters: Mapping[StreamId, int] = dict(
            zip(self.everyone, waiters_of(self.network), strict=True)
        )
        """How many streams wait for each, directly or through others."""
        self.mean_seconds = _mean([s.estimate_seconds for s in plan.streams])
        ranks = planned(self.network, plan).rank
        self.path_seconds: Mapping[StreamId, float] = dict(zip(self.everyone, ranks, strict=False))
        self.largest_use: Mapping[str, float] = _largest_use(plan)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Topology) and self.plan == other.plan)

    def __hash__(self) -> int:
        return hash(self.plan.name)

    def in_merge_order(self, streams: Iterable[StreamId]) -> list[StreamId]:
        """Return streams so that each comes after all it depends on, and else in plan order."""
        return sorted(streams, key=self.order.__getitem__)

    def ancestors(self, streams: Iterable[StreamId]) -> set[StreamId]:
        """Return every stream that the given ones depend on, directly or not, and themselves.

        A dependency that only waits for a start hands over no work, so it is not followed.
        """
        found: set[StreamId] = set()
        open_ends = list(streams)
        while open_ends:
            stream = open_ends.pop()
            if stream in found:
                continue
            found.add(stream)
            open_ends += [
                other
                for d in self.streams[stream].depends_on
                if d.waits_for_end
                for other in d.streams
            ]
        return found

    def descendants(self, stream: StreamId) -> set[StreamId]:
        """Return every stream that depends on this one, directly or not."""
        found: set[StreamId] = set()
        open_ends = list(self.dependents[stream])
        while open_ends:
            other = open_ends.pop()
            if other not in found:
                found.add(other)
                open_ends += self.dependents[other]
        return found


def hopes_to_meet(plan: StreamPlan) -> bool:
    """Return whether a stream needs a capability that no stream of the plan provides."""
    return any(d.capability and not d.providers for d in plan.depends_on)


def _reviewed(plan: Plan) -> tuple[StreamId, ...]:
    """Return who needs a review; of those who race whoever is adopted."""
    by_point = {p.id for p in plan.points if p.review}
    is_everyone = FINAL_POINT in by_point
    jobs = [s for s in plan.streams if not s.is_service]
    wanted = [s for s in jobs if s.review or is_everyone or by_point.intersection(s.points)]
    return tuple(s.id for s in wanted)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _dependents(plan: Plan) -> Mapping[StreamId, tuple[StreamId, ...]]:
    found: dict[StreamId, list[StreamId]] = {s.id: [] for s in plan.streams}
    for stream in plan.streams:
        for dependency in stream.depends_on:
            for other in dependency.streams:
                found[other].append(stream.id)
    return {stream: tuple(others) for stream, others in found.items()}


def _largest_use(plan: Plan) -> Mapping[str, float]:
    """Return the most that one stream of the plan asks for, by resource."""
    most: dict[str, float] = {}
    for stream in plan.streams:
        for name, amount in stream.resources.items():
            most[name] = max(amount, most.get(name, 0.0))
    return most


def _merge_order(
    plan: Plan, dependents: Mapping[StreamId, tuple[StreamId, ...]]
) -> Mapping[StreamId, int]:
    """Return a topological numbering (Kahn 1962) in which plan order breaks ties by level."""
    missing = {s.id: sum(len(d.streams) for d in s.depends_on) for s in plan.streams}
    level = [s.id for s in plan.streams if not missing[s.id]]
    order: dict[StreamId, int] = {}
    while level:
        following: list[StreamId] = []
        for stream in level:
            order[stream] = len(order)
            for other in dependents[stream]:
                missing[other] -= 1
                if not missing[other]:
                    following.append(other)
        level = following
    return order
