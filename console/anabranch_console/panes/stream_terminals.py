"""The terminal of the chosen stream, and its workspace, on the terminal of whoever sits here."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message

from anabranch.core.ids import StreamId
from anabranch.engine.attaching import attempt_to_attach
from anabranch.errors import AnabranchError, UsageError
from anabranch.paths import RunFolder
from anabranch_console.attached.visits import ShellVisit, TerminalVisit
from anabranch_console.handing_over import TerminalWanted
from anabranch_console.panes.streams import HOME, StreamsPane
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner


class StreamTerminals(VerbOwner):
    """Attaches to the chosen stream, and enters its workspace.

    Args:
        model: the run.
        steering: tells why something cannot be done.
        home: the pane in which a terminal can be shown beside the streams.
        post: asks the console for its terminal.
    """

    name_of = "terminal"
    where = "the chosen stream"
    of_pane = HOME

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        home: StreamsPane,
        post: Callable[[Message], object],
    ) -> None:
        self._model, self._steering = model, steering
        self._home, self._post = home, post

    def _meant(self, argument: str) -> StreamId | None:
        return StreamId(argument) if argument else self._home.cursor

    def attach(self, argument: str) -> None:
        """Hand the terminal over to a stream's, until ctrl+] leads back."""
        stream = self._meant(argument)
        if stream is None:
            return
        folder, state = RunFolder(self._model.source.folder), self._model.live_state
        try:
            visit = TerminalVisit(folder, state, stream, back=" to the console")
        except AnabranchError as error:
            self._refuse(error)
        else:
            self._post(TerminalWanted(visit))

    def pane(self, argument: str) -> None:
        """Show a stream's terminal beside the streams, and have all keys go there."""
        if not argument or self._home.choose(argument):
            self._home.open_panel()
            self._home.details.type_into_terminal()

    def enter(self, argument: str) -> None:
        """Hand the terminal over to a shell in a stream's workspace, until it is left."""
        stream = self._meant(argument)
        if stream is not None:
            self._post(TerminalWanted(ShellVisit(self._model.live_state, stream)))

    def _refuse(self, error: AnabranchError) -> None:
        self._steering.tell("warning", "; ".join(filter(None, (error.message, error.hint))))

    def cannot_attach(self, argument: str) -> str | None:
        """Say so if nothing is chosen, or it has no terminal now."""
        stream = self._meant(argument)
        if stream is None:
            return "no stream is chosen"
        return _why_not(lambda: attempt_to_attach(self._model.live_state, stream))

    def cannot_enter(self, argument: str) -> str | None:
        """Say so if nothing is chosen, or it has no workspace now."""
        stream = self._meant(argument)
        if stream is None:
            return "no stream is chosen"
        from anabranch.engine.entering import entry_into  # it knows git, and few enter anything

        return _why_not(lambda: entry_into(self._model.live_state, stream))

    verbs = (
        Verb(
            "attach",
            "Attach to its terminal",
            ("a",),
            attach,
            cannot_attach,
            args="[STREAM]",
            completes="streams",
            footer="Attach",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "terminal",
            "Its terminal beside the streams; ctrl+] leaves it",
            ("A",),
            pane,
            cannot_attach,
            args="[STREAM]",
            completes="streams",
            steers=True,
        ),
        Verb(
            "enter",
            "A shell in its workspace",
            ("s",),
            enter,
            cannot_enter,
            args="[STREAM]",
            completes="streams",
            steers=True,
            shows_its_pane=False,
        ),
    )


def _why_not(ask: Callable[[], object]) -> str | None:
    try:
        ask()
    except UsageError as error:
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return None
