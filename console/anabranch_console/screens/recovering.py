"""Recovering a stream by hand: which remedy, what it would do, and a yes that is no slip."""

from __future__ import annotations

from anabranch.core.guardian.by_hand import REMEDIES, foretell
from anabranch.core.guardian.rungs import SOFT
from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverStream, ResetBreaker, RetryStream
from anabranch.core.lifecycle import Phase
from anabranch_console.presenters.guardian_lines import of_recovering
from anabranch_console.screens.dialogs import (
    Choice,
    Choose,
    Confirm,
    ConfirmByName,
)
from anabranch_console.screens.resolving import ResolvingScreen

_REASON = "asked for in the console"
_KEYS = {"soft": "s", "hard": "h", "fallback": "f"}


class RecoveringScreen(ResolvingScreen):
    """Does the verbs of the guardian's pane, and ``recover`` for any stream."""

    def do_guardian(self, argument: str) -> None:
        self.go_to("guardian")

    def do_remedy(self, argument: str) -> None:
        self.do_recover(argument)

    def do_recover(self, argument: str) -> None:
        """Recover a stream: ``NAME [REMEDY]``, or ask for what is missing."""
        name, _, remedy = argument.partition(" ")
        stream = self._meant(name)
        if stream is None:
            return
        if remedy in REMEDIES:
            self._ask_for(stream, remedy)
            return
        choices = []
        for one in REMEDIES:
            told = foretell(self.model.state, stream, one)
            detail = told.steps[0] if told.steps else ""
            choices.append(Choice(one, _KEYS[one], one, detail, told.refusal or None))
        chosen = next((c.id for c in choices if c.why_not is None), None)
        self.ask(
            Choose(f"Recover {stream}", choices, chosen),
            lambda picked: self._ask_for(stream, picked) if picked else None,
        )

    def do_requeue_stream(self, argument: str) -> None:
        """Put a stream that failed for good into the queue again, at once."""
        stream = self._meant(argument)
        if stream is None:
            return
        if self.model.state.streams[stream].phase is not Phase.FAILED:
            self.tell("warning", f"{stream} is no dead letter: it has not failed for good")
            return
        self.steer(RetryStream(stream=stream, reason=_REASON))

    def do_reset_breaker(self, argument: str) -> None:
        """Close a breaker: ``NAME``, or ask which."""
        tripped = self.model.state.breakers.tripped
        if not tripped and not argument:
            self.tell("info", "every breaker is closed")
            return
        if argument or len(tripped) == 1:
            self.steer(ResetBreaker(breaker=argument or tripped[0], reason=_REASON))
            return
        choices = [Choice(name, str(n + 1), name, "", None) for n, name in enumerate(tripped[:9])]
        self.ask(
            Choose("Close a breaker", choices, tripped[0]),
            lambda name: self.steer(ResetBreaker(breaker=name, reason=_REASON)) if name else None,
        )

    def _meant(self, name: str) -> StreamId | None:
        if name and name not in self.model.state.streams:
            self.tell("warning", f"there is no stream {name!r} in this run")
            return None
        if name:
            return StreamId(name)
        chosen = self._chosen("guardian") or self.chosen
        if chosen is None:
            self.tell("warning", "no stream is chosen")
        return chosen.id if chosen is not None else None

    def _ask_for(self, stream: StreamId, remedy: str) -> None:
        told = foretell(self.model.state, stream, remedy)
        if told.refusal:
            self.tell("warning", f"{told.refusal}; {told.hint}")
            return
        asked = of_recovering(told)

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.steer(RecoverStream(stream=stream, remedy=remedy, reason=_REASON))

        if remedy == SOFT:
            self.ask(Confirm(asked, self.hold_off_seconds), answered)
        else:
            self.ask(ConfirmByName(asked, str(stream)), answered)
