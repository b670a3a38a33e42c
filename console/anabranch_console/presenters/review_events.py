"""The events of reviews in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core import wording

WARNINGS = (ev.WorkHandedBack,)
GOOD = (ev.ReviewTaken,)


def _handed_back(event: ev.WorkHandedBack) -> str:
    notes = wording.counted(len(event.notes), "note") if event.notes else ""
    said = event.note.split("\n")[0]
    return f"attempt {event.attempt}: {'; '.join(filter(None, (said, notes)))}"


DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.ReviewTaken: lambda e: f"attempt {e.attempt} taken by the {e.by}: {e.commit[:10]}",
    ev.WorkHandedBack: _handed_back,
    ev.NoteAdded: lambda e: f"{e.note.path}: {e.note.text}",
    ev.NoteRemoved: lambda e: f"note {e.note}",
}
