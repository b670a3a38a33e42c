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
    }


def restarts_of(stream: Stream) -> int:
    """Return how often a service was started again."""
    return max(0, stream.attempt - 1)
