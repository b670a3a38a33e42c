"""Recovering a stream by hand: which remedy, what it would do, and a yes that is no slip."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverStream, ResetBreaker, RetryStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.strategies.rungs import SOFT
from anabranch.core.views.guardian import REMEDIES, foretell
from anabranch_console.presenters.consequences import named
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
        """Recover a stream, or all that are marked: ``NAME [REMEDY]``, or ask what is missing."""
        name, _, remedy = (part.strip() for part in argument.partition(" "))
        streams = self._meant(name)
        if not streams:
            return
        if remedy in REMEDIES:
            self._ask_for(streams, remedy)
            return
        if remedy:
            known = ", ".join(REMEDIES)
            self.tell("warning", f"there is no remedy {remedy!r}; there are {known}")
            return
        choices = [self._remedy_choice(streams, one) for one in REMEDIES]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        self.ask(
            Choose(f"Recover {named(streams)}", choices, chosen),
            lambda picked: self._ask_for(streams, picked) if picked else None,
        )

    def _remedy_choice(self, streams: Sequence[StreamId], remedy: str) -> Choice:
        found = [foretell(self.model.state, stream, remedy) for stream in streams]
        able = [told for told in found if not told.refusal]
        detail = able[0].steps[0] if able and able[0].steps else ""
        refusal = None if able else found[0].refusal
        return Choice(remedy, _KEYS[remedy], remedy, detail, refusal)

    def do_requeue_stream(self, argument: str) -> None:
        """Put a stream that failed for good into the queue again, at once."""
        streams = self._meant(argument)
        if not streams:
            return
        stream = streams[0]
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

    def _meant(self, name: str) -> list[StreamId]:
        """Return the stream of a name; else what is chosen here, never what another pane has."""
        if name and name not in self.model.state.streams:
            self.tell("warning", f"there is no stream {name!r} in this run")
            return []
        if name:
            return [StreamId(name)]
        if self.mode == "guardian":
            chosen = self._chosen("guardian")
            found = [chosen.id] if chosen is not None else []
        else:
            found = self.listed.targets()
        if not found:
            self.tell("warning", "no stream is chosen")
        return found

    def _ask_for(self, streams: Sequence[StreamId], remedy: str) -> None:
        found = [foretell(self.model.state, stream, remedy) for stream in streams]
        able = [told for told in found if not told.refusal]
        for told in found:
            if told.refusal:
                self.tell("warning", f"{told.stream}: {told.refusal}; {told.hint}")
        if not able:
            return

        def answered(answer: str | None) -> None:
            for told in able if answer == "yes" else ():
                self.steer(RecoverStream(stream=told.stream, remedy=remedy, reason=_REASON))

        asked = of_recovering(able)
        if remedy == SOFT:
            self.ask(Confirm(asked, self.hold_off_seconds), answered)
        else:
            self.ask(ConfirmByName(asked, named([told.stream for told in able])), answered)
