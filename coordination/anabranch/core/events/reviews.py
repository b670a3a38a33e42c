"""Events of reviews: what was looked at before it is merged, and what became of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from anabranch.core.events.base import StreamEvent
from anabranch.core.ids import Attempt, Seq, StreamId

Side = Literal["after", "before"]


class ReviewNote(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A note on a changed line, anchored to what stands there.

    The ``line`` stands in the file as it was ``before`` or is ``after`` the change, between the
    lines ``above`` and ``below``; ``number`` is where it stood when the note was written. Without a
    ``line`` the note is about the file.
    """

    path: str
    text: str
    line: str = ""
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    number: int = 0
    side: Side = "after"


class ReviewTaken(StreamEvent, frozen=True, kw_only=True):
    """A person has taken the result that stands in ``commit``: it may be merged."""

    attempt: Attempt
    commit: str
    by: str = "operator"


class WorkHandedBack(StreamEvent, frozen=True, kw_only=True):
    """A stream goes on from the result that stands in ``commit``, with what a person says of it.

    That started from ``start_commit`` and its tree, and from the work of ``builds_on`` where an
    earlier conflict has it so.
    """

    attempt: Attempt
    commit: str
    tree: str
    start_commit: str
    start_tree: str
    builds_on: tuple[StreamId, ...] = ()
    note: str = ""
    notes: tuple[ReviewNote, ...] = ()
    by: str = "operator"


class NoteAdded(StreamEvent, frozen=True, kw_only=True):
    """A person has written a note on a stream's work; it is sent when the work is handed back."""

    note: ReviewNote
    by: str = "operator"


class NoteRemoved(StreamEvent, frozen=True, kw_only=True):
    """A note is not to be sent; ``note`` is the event that added it."""

    note: Seq
