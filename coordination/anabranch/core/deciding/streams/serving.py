"""A service whose process runs, and those who wait until it is ready."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import effects as fx
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import Dependency


def owed_to(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield that it has to be seen whether a service is ready, or goes on to answer."""
    ready = state.stream_plan(stream.id).ready
    if ready is not None and may_be_ready(stream):
        yield fx.AwaitReadiness(
            stream=stream.id,
            attempt=stream.attempt,
            until=(stream.started_at or 0.0) + ready.timeout_seconds,
            cause=stream.cause,
        )
    elif may_be_unhealthy(state, stream):
        yield fx.WatchHealth(stream=stream.id, attempt=stream.attempt, cause=stream.cause)


def may_be_ready(stream: Stream) -> bool:
    """Return whether a service runs, and nobody has seen yet that it is ready."""
    return stream.phase is Phase.RUNNING and not stream.is_ready and stream.stop is None


def may_be_unhealthy(state: State, stream: Stream) -> bool:
    """Return whether a service is ready and the plan says how it is seen that it answers."""
    ready = state.stream_plan(stream.id).ready
    return ready is not None and ready.is_watched and stream.is_ready and stream.stop is None


def why_not_served(state: State, stream: Stream) -> str | None:
    """Return for which service a queued stream has to wait that is not ready any more."""
    if not state.topology.services:
        return None
    for dependency in state.stream_plan(stream.id).depends_on:
        others = [state.streams[s] for s in dependency.streams if s in state.streams]
        if dependency.condition == "ready" and not any(other.is_ready for other in others):
            found = unhealthy_in_words(state, dependency)
            return f"{dependency.words} {f'was {found}' if found else 'is not ready any more'}"
    return None


def unhealthy_in_words(state: State, dependency: Dependency) -> str:
    """Return how a service that is waited for was seen to answer no more; empty if it was not."""
    service = state.streams.get(dependency.stream)
    found = service.serving.unhealthy if service else None
    return f"unhealthy: {found.evidence}" if found else ""
