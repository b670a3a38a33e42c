"""How services stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core.model.state import State, Stream


def service_status(
    state: State, stream: Stream, wall: Callable[[float], str | None]
) -> dict[str, Any] | None:
    """Return how a service stands as ``status --json`` tells it; None for a job."""
    if not state.stream_plan(stream.id).is_service:
        return None
    return {
        "ready": stream.is_ready,
        "since": wall(stream.serving.at) if stream.is_ready else None,
        "evidence": stream.serving.evidence if stream.is_ready else "",
        "restarts": restarts_of(stream),
        "unhealthy": _unhealthy(stream, wall),
    }


def _unhealthy(stream: Stream, wall: Callable[[float], str | None]) -> dict[str, Any] | None:
    """Return how it answered no more, until it is ready again."""
    found = stream.serving.unhealthy
    if found is None:
        return None
    return {
        "attempt": found.attempt,
        "since": wall(found.since),
        "evidence": found.evidence,
    }


def restarts_of(stream: Stream) -> int:
    """Return how often a service was started again."""
    return max(0, stream.attempt - 1)
