"""Which streams of a plan can meet a dependency on a capability.

Any stream with the capability can, unless it waits, directly or not, for the very stream that
depends on it. Capabilities are looked up in the order of the plan, and what was found for one
counts as an edge for those that follow; so the plan stays free of cycles, whoever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Dependency, StreamPlan


def with_providers(streams: Sequence[StreamPlan]) -> tuple[StreamPlan, ...]:
    """Return the streams with the providers of every capability filled in."""
    if not any(d.capability for s in streams for d in s.depends_on):
        return tuple(streams)
    having: dict[str, list[StreamId]] = {}
    for stream in streams:
        for capability in stream.capabilities:
            having.setdefault(capability, []).append(stream.id)
    edges = {
        s.id: [other for d in s.depends_on if not d.capability for other in d.streams]
        for s in streams
    }
    return tuple(_filled_in(stream, having, edges) for stream in streams)


def _filled_in(
    stream: StreamPlan,
    having: Mapping[str, Iterable[StreamId]],
    edges: dict[StreamId, list[StreamId]],
) -> StreamPlan:
    filled: list[Dependency] = []
    for dependency in stream.depends_on:
        if dependency.capability:
            found = tuple(
                other
                for other in having.get(dependency.capability, ())
                if other != stream.id and not _waits_for(edges, other, stream.id)
            )
            edges[stream.id] += found
            dependency = replace(dependency, providers=found)
        filled.append(dependency)
    return replace(stream, depends_on=tuple(filled))


def _waits_for(
    edges: Mapping[StreamId, Iterable[StreamId]], one: StreamId, other: StreamId
) -> bool:
    """Return whether ``one`` waits for ``other``, directly or through others."""
    seen: set[StreamId] = set()
    unseen = [one]
    while unseen:
        stream = unseen.pop()
        if stream == other:
            return True
        if stream not in seen:
            seen.add(stream)
            unseen += edges.get(stream, ())
    return False
