"""What :func:`anabranch.core.deciding.decide.decide` answers."""

from __future__ import annotations

import msgspec

from anabranch.core.calls import Answer
from anabranch.core.effects import Effect
from anabranch.core.events import Recorded
from anabranch.core.model.state import State


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Events to append, effects newly owed, and the state after (so nobody folds twice).

    ``answer`` is what a call is answered.
    """

    events: tuple[Recorded, ...]
    effects: tuple[Effect, ...]
    state: State
    answer: Answer | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A command that was not obeyed; both texts are shown to the user word for word."""

    reason: str
    hint: str


class NotYet(Refusal, frozen=True):
    """Something under way comes to its end first, by itself while somebody hosts the run."""


class Postponed(Refusal, frozen=True):
    """It is being done, and cannot be noted yet: the machine is short of something."""


class Unheard(Refusal, frozen=True):
    """Nothing was done: the host left first, and whoever hosts the run next can do it."""
