"""Travelling in time: the verbs that show the whole run as it was, and bring the present back."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.time_travel import Moment, Rewinder, moment_of
from anabranch_console.verbs import Verb, VerbOwner


class Travel(VerbOwner):
    """Finds a moment on a thread of its own, and shows it when it is found.

    Args:
        model: the run.
        steering: shows what became of it.
        chosen: returns the moment that is chosen in the history, None if there is none.
        advance: takes up that another time is shown.
    """

    name_of = "travel"
    where = "time travel"

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        chosen: Callable[[], Moment | None],
        advance: Callable[[], object],
    ) -> None:
        self._model, self._steering = model, steering
        self._chosen, self._advance = chosen, advance
        self._rewinder = Rewinder(model.source)
        self._destination: Moment | None = None

    @property
    def viewing(self) -> str:
        """The past that is shown, in words; "" for the present."""
        moment = self._model.time.moment
        return moment.words if moment else ""

    def to(self, moment: Moment) -> None:
        """Show a moment of the past, once it is found."""
        self._destination = moment
        self._steering.in_thread(
            lambda: (moment, self._found(moment)), self._arrive, "travel", exclusive=True
        )

    def _found(self, moment: Moment) -> State | Refusal:
        try:
            return self._rewinder.state_at(moment)
        except Exception as error:
            return Refusal(f"the past cannot be read: {error}", "anabranch doctor looks into it")

    def _arrive(self, found: tuple[Moment, State | Refusal]) -> None:
        moment, state = found
        if moment != self._destination:
            return
        self._destination = None
        if isinstance(state, Refusal):
            self._steering.tell("warning", f"{state.reason}; {state.hint}")
            return
        self._model.time.show(moment, state)
        self._advance()

    def travel(self, argument: str) -> None:
        """Travel to what is named, else to the chosen version."""
        moment = moment_of(argument) if argument else self._chosen()
        if moment is None:
            refusal = f"{argument!r} is not a moment: give a version, or event and its number"
            self._steering.tell("warning", refusal)
        else:
            self.to(moment)

    def no_moment(self, argument: str) -> str | None:
        """Say so if no version is named or chosen."""
        is_known = bool(argument) or self._chosen() is not None
        return None if is_known else "no version is chosen; give its number"

    def live(self, argument: str = "") -> None:
        """Show the present again."""
        self._destination = None
        self._model.time.show_live()
        self._advance()

    def is_live(self, argument: str) -> str | None:
        """Say so if the present is shown."""
        return None if self.viewing else "this is live"

    verbs = (
        Verb(
            "travel",
            "Travel to a version or an event",
            ("t",),
            travel,
            no_moment,
            args="[VERSION | event N]",
            footer="Travel",
        ),
        Verb("live", "Back to live", ("L",), live, is_live, footer="Live"),
    )
