"""What follows from who waits for whom: cycles, waves, the critical path, slack, estimates.

Theory of operation. A plan becomes a network of numbered nodes: first the streams in plan order,
then one node a convergence point. A point costs no time and no slot; it stands between its streams
and those that wait for it with the condition ``converged``, so a point of a thousand streams that a
thousand others wait for needs two thousand edges and not a million. An edge either waits for the
end of its source or, under the condition ``started``, for its beginning only. Every function below
is one or two passes over this network in topological order. Nothing recurses, and plan order breaks
every tie, so the same plan always gives the same answer.

A stream that waits for itself by way of a point can never start. Such streams are left out of the
topological order; :func:`never_startable` names them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.plans.plan import Plan

_ROUNDING = 1e-9
"""Relative to the whole length; below it a slack is a rounding error and counts as none."""

_Edges = list[list[tuple[int, bool]]]
"""For each node its neighbours, and whether the edge waits for the end of its source."""


class _Network(msgspec.Struct, frozen=True):
    """The plan as numbered nodes; ``order`` holds those that can start, sources first."""

    ids: tuple[StreamId, ...]
    waits_for: _Edges
    followers: _Edges
    order: list[int]

    def is_stream(self, node: int) -> bool:
        return node < len(self.ids)


class _Timing(msgspec.Struct, frozen=True):
    """When each node may start at the earliest, in seconds, and how long is left from there."""

    ready: list[float]
    start: list[float]
    duration: list[float]
    rank: list[float]
    length: float


# ------------------------------------------------------------------ cycles


def find_cycles(
    edges: Mapping[StreamId, Iterable[StreamId]], limit: int = 100
) -> list[list[StreamId]]:
    """Name cycles so that every edge that lies on a cycle is part of one that is named.

    Each cycle is listed once, in the order of its edges, from its earliest member in ``edges``; the
    first name is not repeated at the end. The number of simple cycles can be exponential, so what
    is named is a shortest one through each edge, and never more than ``limit``.
    """
    names = list(dict.fromkeys([*edges, *(target for many in edges.values() for target in many)]))
    number = {name: node for node, name in enumerate(names)}
    targets: list[list[int]] = [[] for _ in names]
    for name, many in edges.items():
        targets[number[name]] = list(dict.fromkeys(number[target] for target in many))
    component = _components(targets)
    covered: set[tuple[int, int]] = set()
    cycles: list[list[StreamId]] = []
    for source, many_targets in enumerate(targets):
        for target in many_targets:
            if component[source] != component[target] or (source, target) in covered:
                continue
            cycle = [source, *_shortest_path(targets, component, target, source)][:-1]
            covered.update(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
            first = cycle.index(min(cycle))
            cycles.append([names[node] for node in cycle[first:] + cycle[:first]])
            if len(cycles) >= limit:
                return cycles
    return cycles


def _shortest_path(
    targets: list[list[int]], component: list[int], source: int, goal: int
) -> list[int]:
    """Return the nodes from ``source`` to ``goal``, both included, inside their component."""
    came_from = {source: source}
    queue = deque([source])
    while goal not in came_from:
        node = queue.popleft()
        for target in targets[node]:
            if component[target] == component[goal] and target not in came_from:
                came_from[target] = node
                queue.append(target)
    path = [goal]
    while path[-1] != source:
        path.append(came_from[path[-1]])
    return path[::-1]


def _components(targets: list[list[int]]) -> list[int]:
    """Return the strongly connected component of each node: two passes, the second backwards."""
    sources: list[list[int]] = [[] for _ in targets]
    for node, many in enumerate(targets):
        for target in many:
            sources[target].append(node)
    component = [-1] * len(targets)
    for root in reversed(_finishing_order(targets)):
        if component[root] >= 0:
            continue
        component[root] = root
        stack = [root]
        while stack:
            for source in sources[stack.pop()]:
                if component[source] < 0:
                    component[source] = root
                    stack.append(source)
    return component


def _finishing_order(targets: list[list[int]]) -> list[int]:
    """Return every node, in the order in which a depth-first walk leaves it."""
    finished: list[int] = []
    seen = [False] * len(targets)
    for root in range(len(targets)):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(targets[root]))]
        while stack:
            node, rest = stack[-1]
            following = next((target for target in rest if not seen[target]), None)
            if following is None:
                stack.pop()
                finished.append(node)
            else:
                seen[following] = True
                stack.append((following, iter(targets[following])))
    return finished


# ------------------------------------------------------------------ order


def waves(plan: Plan) -> list[list[StreamId]]:
    """Group the streams: each wave waits only for streams of earlier waves."""
    network = _network(plan)
    level = [-1] * len(network.waits_for)
    grouped: list[list[int]] = []
    for node in network.order:
        below = max((level[source] for source, _ in network.waits_for[node]), default=-1)
        level[node] = below + network.is_stream(node)
        if network.is_stream(node):
            if level[node] == len(grouped):
                grouped.append([])
            grouped[level[node]].append(node)
    return [[network.ids[node] for node in sorted(wave)] for wave in grouped]


def descendants(plan: Plan, stream: StreamId) -> list[StreamId]:
    """Return everything that waits for ``stream``, directly or through others, in plan order."""
    network = _network(plan)
    origin = network.ids.index(stream)
    seen = {origin}
    stack = [origin]
    while stack:
        for follower, _ in network.followers[stack.pop()]:
            if follower not in seen:
                seen.add(follower)
                stack.append(follower)
    seen.discard(origin)
    return [network.ids[node] for node in sorted(seen) if network.is_stream(node)]


def never_startable(plan: Plan) -> list[StreamId]:
    """Return the streams that wait, in the end, for themselves, and those that wait for such."""
    network = _network(plan)
    startable = set(network.order)
    return [name for node, name in enumerate(network.ids) if node not in startable]


def ended_before(plan: Plan) -> dict[StreamId, int]:
    """Return for each stream the streams certain to have ended before it starts.

    They are a set of plan positions kept as the bits of an integer: bit 0 is the plan's first
    stream. Two streams may run at the same time unless one of them is in the other's set.
    """
    network = _network(plan)
    before = [0] * len(network.waits_for)
    for node in network.order:
        for source, waits_for_end in network.waits_for[node]:
            before[node] |= before[source]
            if waits_for_end and network.is_stream(source):
                before[node] |= 1 << source
    return dict(zip(network.ids, before, strict=False))


# ------------------------------------------------------------------ time


def upward_rank(plan: Plan) -> dict[StreamId, float]:
    """Return the longest way from each stream's readiness to the end, its own estimate included."""
    network = _network(plan)
    return dict(zip(network.ids, _timing(network, plan).rank, strict=False))


def critical_path(plan: Plan) -> tuple[list[StreamId], float]:
    """Return the chain of streams that decides how long a plan takes at least, and its seconds."""
    network = _network(plan)
    timing = _timing(network, plan)
    startable = [node for node in network.order if network.is_stream(node)]
    if not startable:
        return [], 0.0
    ends = [timing.start[node] + timing.duration[node] for node in range(len(network.ids))]
    last = max(startable, key=lambda node: (ends[node], -node))
    chain = [last]
    while sources := network.waits_for[chain[-1]]:
        binding = max(sources, key=lambda edge: (_release(timing, *edge), -edge[0]))
        chain.append(binding[0])
    return [network.ids[node] for node in reversed(chain) if network.is_stream(node)], timing.length


def slack(plan: Plan) -> dict[StreamId, float]:
    """Return how many seconds each stream may slip before the whole plan takes longer."""
    network = _network(plan)
    timing = _timing(network, plan)
    startable = set(network.order)
    result: dict[StreamId, float] = {}
    for node, name in enumerate(network.ids):
        left = timing.length - (timing.ready[node] + timing.rank[node])
        counts = node in startable and left > _ROUNDING * timing.length
        result[name] = left if counts else 0.0
    return result


def lower_bound_seconds(
    plan: Plan, slots: int, durations: Mapping[StreamId, float] | None = None
) -> float:
    """Return what no schedule on ``slots`` slots is shorter than: critical path, or work a slot.

    With ``durations`` in seconds those count in place of the plan's estimates, and a stream that
    is missing there did not run and counts nothing.
    """
    network = _network(plan)
    timing = _timing(network, plan, durations)
    work = sum(timing.duration[node] for node in network.order)
    return max(timing.length, work / max(slots, 1))


def estimated_seconds(plan: Plan, slots: int) -> float:
    """Return how long a plan takes on ``slots`` slots when the longest remaining way goes first."""
    network = _network(plan)
    return _ListSchedule(network, _timing(network, plan), _delays(plan), max(slots, 1)).run()


class _ListSchedule:
    """A rehearsal of the plan: a free slot always takes the ready stream of the highest rank."""

    def __init__(
        self, network: _Network, timing: _Timing, delays: Sequence[float], slots: int
    ) -> None:
        self._network = network
        self._timing = timing
        self._delays = delays
        self._free = slots
        self._now = 0.0
        self._open = [len(sources) for sources in network.waits_for]
        self._ready: list[tuple[float, int]] = []
        self._timeline: list[tuple[float, bool, int]] = []

    def run(self) -> float:
        for node, waiting in enumerate(self._open):
            if waiting == 0:
                self._release(node)
        while self._timeline:
            self._now = self._timeline[0][0]
            while self._timeline and self._timeline[0][0] == self._now:
                _, has_ended, node = heapq.heappop(self._timeline)
                self._end(node) if has_ended else self._queue(node)
            while self._free and self._ready:
                self._start(heapq.heappop(self._ready)[1])
        return self._now

    def _release(self, node: int) -> None:
        """Release a node whose needs are met: a stream becomes due, a point is passed."""
        if self._network.is_stream(node):
            heapq.heappush(self._timeline, (self._now + self._delays[node], False, node))
        else:
            self._notify(node, of_end=True)

    def _queue(self, node: int) -> None:
        heapq.heappush(self._ready, (-self._timing.rank[node], node))

    def _start(self, node: int) -> None:
        self._free -= 1
        heapq.heappush(self._timeline, (self._now + self._timing.duration[node], True, node))
        self._notify(node, of_end=False)

    def _end(self, node: int) -> None:
        self._free += 1
        self._notify(node, of_end=True)

    def _notify(self, node: int, of_end: bool) -> None:
        # Only the final point waits for points, and nothing waits for it that could be released,
        # so this goes two levels deep at most.
        for follower, waits_for_end in self._network.followers[node]:
            if waits_for_end == of_end:
                self._open[follower] -= 1
                if self._open[follower] == 0:
                    self._release(follower)


def _timing(
    network: _Network, plan: Plan, durations: Mapping[StreamId, float] | None = None
) -> _Timing:
    size = len(network.waits_for)
    delays = _delays(plan)
    duration = [0.0] * size
    for node, stream in enumerate(plan.streams):
        duration[node] = (
            stream.estimate_seconds if durations is None else durations.get(stream.id, 0.0)
        )
        if durations is not None and stream.id not in durations:
            delays[node] = 0.0
    timing = _Timing([0.0] * size, [0.0] * size, duration, list(duration), 0.0)
    for node in network.order:
        sources = network.waits_for[node]
        timing.ready[node] = max((_release(timing, *edge) for edge in sources), default=0.0)
        timing.start[node] = timing.ready[node] + delays[node]
    for node in reversed(network.order):
        for follower, waits_for_end in network.followers[node]:
            way = timing.rank[follower] + (duration[node] if waits_for_end else 0.0)
            timing.rank[node] = max(timing.rank[node], way)
        timing.rank[node] += delays[node]
    length = max((timing.start[node] + duration[node] for node in network.order), default=0.0)
    return _Timing(timing.ready, timing.start, duration, timing.rank, length)


def _release(timing: _Timing, source: int, waits_for_end: bool) -> float:
    """Return when an edge from ``source`` lets its follower go, in seconds from the start."""
    return timing.start[source] + (timing.duration[source] if waits_for_end else 0.0)


def _delays(plan: Plan) -> list[float]:
    return [stream.after_seconds for stream in plan.streams] + [0.0] * len(plan.points)


# ------------------------------------------------------------------ the network


def _network(plan: Plan) -> _Network:
    ids = tuple(stream.id for stream in plan.streams)
    waits_for = _edges(plan)
    followers: _Edges = [[] for _ in waits_for]
    for node, sources in enumerate(waits_for):
        for source, waits_for_end in sources:
            followers[source].append((node, waits_for_end))
    return _Network(ids, waits_for, followers, _topological_order(waits_for, followers))


def _edges(plan: Plan) -> _Edges:
    """Return who waits for whom; the final point waits for the other points as well."""
    stream_node = {stream.id: node for node, stream in enumerate(plan.streams)}
    point_node = {point.id: len(plan.streams) + node for node, point in enumerate(plan.points)}
    early = {point.id for point in plan.points if point.merges_early}
    points_of = {
        stream.id: [p for p in stream.points if p not in early and p in point_node]
        for stream in plan.streams
    }
    waits_for: _Edges = [[] for _ in range(len(stream_node) + len(point_node))]
    for node, stream in enumerate(plan.streams):
        for dependency in stream.depends_on:
            for other in dependency.streams:
                waits_for[node].append((stream_node[other], dependency.condition != "started"))
                if dependency.condition == "converged":
                    waits_for[node].extend((point_node[p], True) for p in points_of[other])
        for point in stream.points:
            if point in point_node:
                waits_for[point_node[point]].append((node, True))
    if FINAL_POINT in point_node:
        final = point_node[FINAL_POINT]
        waits_for[final].extend((node, True) for node in point_node.values() if node != final)
    return waits_for


def _topological_order(waits_for: _Edges, followers: _Edges) -> list[int]:
    waiting = [len(sources) for sources in waits_for]
    order = [node for node, count in enumerate(waiting) if count == 0]
    for node in order:
        for follower, _ in followers[node]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                order.append(follower)
    return order
