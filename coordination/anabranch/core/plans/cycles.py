"""Circles in who waits for whom, each named once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from anabranch.core.ids import StreamId


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
