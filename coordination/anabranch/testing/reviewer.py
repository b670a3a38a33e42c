"""A person who reviews: looks at what waits for that, takes it, or hands it back with a note."""

from __future__ import annotations

from random import Random

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State

PATIENCE = 3
NOTE = ev.ReviewNote(path="a.txt", text="not like this", line="text", number=1)


class Reviewer:
    """Reviews the results of one simulated run; after a few that went back, all are taken."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._handed_back = 0

    def decides(self, state: State, name: StreamId) -> tuple[str, inputs.Command]:
        """Return what is said of a result that waits, in words too."""
        commit = commit_of(state, name)
        if self._handed_back < PATIENCE and self._rng.random() < 0.4:
            self._handed_back += 1
            back = inputs.HandBackWork(stream=name, commit=commit, note="again")
            return "handed work back", back
        return "took a result", inputs.TakeWork(stream=name, commit=commit)

    def notes(self, state: State, name: StreamId) -> list[inputs.Command]:
        """Return what is noted, or taken back of that, before a result is decided about."""
        found: list[inputs.Command] = []
        if self._rng.random() < 0.3:
            found.append(inputs.AddNote(stream=name, note=NOTE))
        known = self._some_note(state, name)
        if known and self._rng.random() < 0.5:
            found.append(inputs.RemoveNote(stream=name, note=known))
        return found

    def tries(self, state: State, stream: StreamId) -> inputs.Command:
        """Return anything that a person may say at any moment, rightly or not."""
        rng = self._rng
        commit = commit_of(state, stream) if rng.random() < 0.8 else "stale"
        return rng.choice(
            (
                inputs.TakeWork(stream=stream, commit=commit),
                inputs.HandBackWork(stream=stream, commit=commit, note="mend it"),
                inputs.AddNote(stream=stream, note=NOTE),
                inputs.RemoveNote(stream=stream, note=self._some_note(state, stream)),
            )
        )

    def _some_note(self, state: State, stream: StreamId) -> int:
        known = state.reviews.get(stream)
        return known.notes[0].number if known is not None and known.notes else 0


def commit_of(state: State, stream: StreamId) -> str:
    """Return the commit of a stream's result; empty if it has none."""
    result = state.streams[stream].result
    return result.commit if result is not None else ""
