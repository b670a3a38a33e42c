"""Who needs whoever sits here: kept up stream by stream, as a run has many of them.

Those that joined from outside are among them; what a person has to do for them is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.adoption import adoptable
from anabranch.core.views.attention import Attention, attention_of, in_turn, signs_of


class Sum(NamedTuple):
    """How many streams need a person, and how many more are to be looked at."""

    needs_you: int = 0
    to_look_at: int = 0


class Attentions:
    """How each stream of the state that is shown stands; ``sum`` adds them up."""

    def __init__(self) -> None:
        self.known: dict[StreamId, Attention] = {}
        self.sum = Sum()
        self._signed: set[StreamId] = set()

    def take(self, state: State, changed: Iterable[StreamId], *, is_hosted: bool) -> set[StreamId]:
        """Look again at whoever changed, or is in a message, a question, a conflict or a race.

        Return those who stand otherwise than before, of the streams of the plan.
        """
        signs = signs_of(state)
        signed = {*signs.conflicts, *signs.letters, *state.questions, *adoptable(state)}
        moved = set()
        for name in {*changed, *signed, *self._signed, *state.registry.joined}:
            if name not in state.streams and name not in state.registry.joined:
                self.known.pop(name, None)
                continue
            found = attention_of(state, name, signs, is_hosted=is_hosted)
            if self.known.get(name) != found:
                self.known[name] = found
                moved.add(name)
        self._signed = signed
        if moved:
            self._add_up()
        return {name for name in moved if name in state.streams}

    def forget(self) -> None:
        """Begin anew, for another time."""
        self.known.clear()
        self._add_up()

    @property
    def in_turn(self) -> list[StreamId]:
        """Who is to be gone to, the most urgent first."""
        return in_turn(self.known)

    def next_after(self, current: StreamId | None) -> StreamId | None:
        """Return who is next to be gone to; after the last comes the first, but never the same.

        While somebody else needs a person, who is merely to be looked at has to wait.
        """
        order = self.in_turn
        needy = [name for name in order if self.known[name].needs_you]
        if needy not in ([], [current]):
            order = needy
        if current in order:
            at = order.index(current)
            order = [*order[at + 1 :], *order[:at]]
        return order[0] if order else None

    def _add_up(self) -> None:
        needs = sum(a.needs_you for a in self.known.values())
        done = sum(a.state == "done" and not a.needs_you for a in self.known.values())
        self.sum = Sum(needs, done)
