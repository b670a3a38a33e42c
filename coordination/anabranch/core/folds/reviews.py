"""Who waits for a review, and what the events of reviews change.

A stream needs a review if the plan says so of it, or of a point at which it meets others. As long
as nobody has taken its result it has not come to any point, so no strategy can merge it; neither
has what was built on it. What is taken is one commit: another one has to be looked at again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds.adoption import may_count
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.reviews import NONE, HandedBack, Noted, Review
from anabranch.core.model.state import State, Stream


def review_of(state: State, stream: StreamId) -> Review:
    """Return what is known of a stream's reviews."""
    return state.reviews.get(stream, NONE)


def is_taken(state: State, stream: Stream) -> bool:
    """Return whether somebody has taken just the result that a stream has now."""
    review = review_of(state, stream.id)
    return (
        stream.result is not None
        and review.outcome == "taken"
        and review.commit == stream.result.commit
    )


def merged_at(state: State, name: StreamId) -> PointId | None:
    """Return the point at which a stream's result is merged already."""
    return next((p.id for p in state.points.values() if name in p.merged), None)


def waits_for_review(state: State, name: StreamId) -> bool:
    """Return whether a stream's result waits for a person; what changes nothing does not.

    Of those who race only the one that is adopted does: adopting it is taking it.
    """
    return needs_taking(state, name) and may_count(state, name)


def needs_taking(state: State, name: StreamId) -> bool:
    """Return whether a stream's result may not be merged before a person has taken it."""
    stream = state.streams[name]
    if name not in state.topology.reviewed or stream.phase is not Phase.SUCCEEDED:
        return False
    result = stream.result
    if result is None or result.tree == result.start_tree:
        return False
    return not is_taken(state, stream)


def waiting_for_review(state: State) -> list[StreamId]:
    """Return whose results wait for a person, in plan order."""
    reviewed = state.topology.reviewed
    return [name for name in reviewed if waits_for_review(state, name)] if reviewed else []


def held_up_by(state: State, name: StreamId) -> list[StreamId]:
    """Return whose review a stream waits for before it comes to its points.

    That is its own, and that of each it was built on, also while that does its work again.
    """
    reviewed = state.topology.reviewed
    if not reviewed:
        return []
    family = state.topology.ancestors((name,))
    return [other for other in reviewed if other in family and _holds_up(state, name, other)]


def _holds_up(state: State, name: StreamId, other: StreamId) -> bool:
    if waits_for_review(state, other):
        return True
    is_again = review_of(state, other).outcome == "handed_back"
    return other != name and is_again and not state.streams[other].has_ended


# --- what events change --------------------------------------------------------------------------


def _taken(state: State, record: ev.Recorded, event: ev.ReviewTaken) -> State:
    review = Review("taken", event.attempt, event.commit, event.by, record.at)
    return _with(state, event.stream, review)


def _handed_back(state: State, record: ev.Recorded, event: ev.WorkHandedBack) -> State:
    review = Review(
        "handed_back", event.attempt, event.commit, event.by, record.at, note=event.note
    )
    return _with(state, event.stream, review)


def _note_added(state: State, record: ev.Recorded, event: ev.NoteAdded) -> State:
    review = review_of(state, event.stream)
    noted = Noted(record.seq, event.note, event.by, record.at)
    return _with(state, event.stream, replace(review, notes=(*review.notes, noted)))


def _note_removed(state: State, record: ev.Recorded, event: ev.NoteRemoved) -> State:
    review = review_of(state, event.stream)
    left = tuple(noted for noted in review.notes if noted.number != event.note)
    return _with(state, event.stream, replace(review, notes=left))


def _with(state: State, stream: StreamId, review: Review) -> State:
    return replace(state, reviews=state.reviews.insert(stream, review))


ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.ReviewTaken: _taken,
    ev.WorkHandedBack: _handed_back,
    ev.NoteAdded: _note_added,
    ev.NoteRemoved: _note_removed,
}
"""What the events of reviews change about the run."""


def _goes_on(s: Stream, record: ev.Recorded, event: ev.WorkHandedBack, spent: float) -> Stream:
    given = HandedBack(
        event.commit,
        event.attempt,
        event.builds_on,
        tree=event.tree,
        start_commit=event.start_commit,
        start_tree=event.start_tree,
        note=event.note,
        notes=event.notes,
    )
    return replace(s, handed_back=given)


def done_again(given: HandedBack | None) -> HandedBack | None:
    """Return what is left to know of work that was handed back, once its stream has a result."""
    if given is None or not given.goes_on:
        return given
    return HandedBack(given.commit, given.attempt, given.builds_on) if given.builds_on else None


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.WorkHandedBack: _goes_on,
}
