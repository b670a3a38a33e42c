"""What waits for a review, and what became of reviews, as people and scripts are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anabranch.core.folds.reviews import (
    held_up_by,
    merged_at,
    review_of,
    waiting_for_review,
    waits_for_review,
)
from anabranch.core.ids import StreamId
from anabranch.core.model.reviews import review_as_text
from anabranch.core.model.state import Point, State, Stream

__all__ = [
    "held_up_by",
    "merged_at",
    "review_as_text",
    "review_of",
    "review_status",
    "reviews_awaited_at",
    "waiting_for_review",
    "waits_for_review",
]


def review_status(
    state: State, stream: Stream, wall: Callable[[float], str | None]
) -> dict[str, Any] | None:
    """Return ``review`` of a stream in ``status --json``: None where none is needed, nor was made.

    ``state`` is None while there is nothing to review yet.
    """
    if stream.id not in state.topology.reviewed:
        return None
    review = review_of(state, stream.id)
    waits = waits_for_review(state, stream.id)
    result = stream.result
    return {
        "state": "waiting" if waits else review.outcome or None,
        "attempt": stream.attempt if waits else review.attempt or None,
        "commit": result.commit if waits and result else review.commit or None,
        "by": None if waits else review.by or None,
        "since": wall(stream.since if waits else review.since) if waits or review.outcome else None,
        "note": review.note,
        "notes": [
            {
                "number": noted.number,
                "path": noted.note.path,
                "line": noted.note.line,
                "text": noted.note.text,
            }
            for noted in review.notes
        ],
    }


def reviews_awaited_at(state: State, point: Point, missing: Sequence[StreamId]) -> list[StreamId]:
    """Return whose reviews hold up those that a point still waits for."""
    if point.is_settled or not state.topology.reviewed:
        return []
    awaited = (other for name in missing for other in held_up_by(state, name)
               if state.streams[name].has_ended)  # fmt: skip
    return list(dict.fromkeys(awaited))
