"""What the state keeps of reviews: what was taken, what is still to be said, what was said last."""

from __future__ import annotations

from typing import Literal

import msgspec

from anabranch.core.events import Conflict, ReviewNote
from anabranch.core.ids import Attempt, PointId, Seq, StreamId

Outcome = Literal["", "taken", "handed_back"]


class Noted(msgspec.Struct, frozen=True, gc=False):
    """A note that is not sent yet; ``number`` is the event that added it."""

    number: Seq
    note: ReviewNote
    by: str
    at: float


class Review(msgspec.Struct, frozen=True, gc=False):
    """How the last review of a stream has ended, and what is noted for the next time.

    ``commit`` is what was looked at. Without an outcome there are only notes so far.
    """

    outcome: Outcome = ""
    attempt: Attempt = 0
    commit: str = ""
    by: str = ""
    since: float = 0.0
    note: str = ""
    notes: tuple[Noted, ...] = ()


NONE = Review()


class HandedBack(msgspec.Struct, frozen=True, gc=False):
    """Work that a stream is to do again. ``commit`` is the result of ``attempt`` that did not do.

    It did not merge: there is a ``conflict`` at a ``point``, and the stream works on top of what
    ``builds_on`` have brought. Or a person has looked at it and sent it back: then it goes on from
    the ``tree`` of that result, which started where it says, with a ``note`` and ``notes``.
    """

    commit: str
    attempt: Attempt
    builds_on: tuple[StreamId, ...] = ()
    point: PointId = PointId("")
    conflict: Conflict | None = None
    tree: str = ""
    start_commit: str = ""
    start_tree: str = ""
    note: str = ""
    notes: tuple[ReviewNote, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the next attempt goes on from where the result stands."""
        return bool(self.tree)


def review_as_text(note: str, notes: tuple[ReviewNote, ...]) -> str:
    """Return what a person says of a stream's work, as the stream gets to read it."""
    parts = [note.strip()] if note.strip() else []
    parts += [_note_as_text(each) for each in notes]
    return "\n\n".join(parts)


def review_as_line(note: str, notes: tuple[ReviewNote, ...], most_bytes: int) -> str:
    """Return the same as one line to be typed; where it is too long, where it is to be read."""
    parts = review_as_text(note, notes).split("\n")
    line = " | ".join(part.strip() for part in parts if part.strip())
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    is_short = len(line.encode("utf-8", "replace")) <= most_bytes
    return line if is_short else "your work was looked at; the file in ANABRANCH_REVIEW says more"


def _note_as_text(note: ReviewNote) -> str:
    where = f"{note.path}:{note.number}" if note.number else note.path
    gone = " (as it was before the change)" if note.side == "before" else ""
    quoted = f"\n    > {note.line}" if note.line else ""
    return f"{where}{gone}{quoted}\n{note.text.strip()}"
