"""Hosting a run from here, once there is something to do in it and nobody else does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anabranch.core.inputs import Command
from anabranch.errors import AnabranchError
from anabranch_console.followed_run import CanBeHosted
from anabranch_console.presenters.consequences import of_hosting
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Confirm
from anabranch_console.steering import Steering

if TYPE_CHECKING:
    from anabranch.engine.source import Source


class TakingOver:
    """Keeps the commands that nobody is there to take until this console hosts the run.

    Args:
        model: the run.
        steering: asks questions and shows answers.
        advance: takes up what the new host says.
    """

    def __init__(self, model: RunModel, steering: Steering, advance: Callable[[], object]) -> None:
        self._model, self._steering, self._advance = model, steering, advance
        self._unsent: list[Command] = []
        self._is_asked = False

    def offer(self, command: Command | None = None) -> None:
        """Offer to host the run here, as nobody is there to take the commands.

        A run that is over is hosted without a question: its command was agreed to already.

        Args:
            command: what is asked for once it is hosted; None: hosting alone.
        """
        source, state = self._model.source, self._model.live_state
        if not isinstance(source, CanBeHosted):
            refusal = f"nobody hosts the run; anabranch resume {state.run} goes on"
            self._steering.tell("warning", refusal)
            return
        self._unsent += [command] if command else []
        if self._is_asked:
            self._steering.tell("info", "it is done once this console hosts the run")
            return
        self._is_asked = True
        if state.has_ended:
            self._host(source)
            return

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self._host(source)
            else:
                self._drop()

        question = Confirm(of_hosting(state), self._steering.hold_off_seconds)
        if not self._steering.ask(question, answered):
            self._drop()
            self._steering.tell("warning", "nobody hosts the run, so nothing is done; x H hosts it")

    def _drop(self) -> None:
        self._unsent, self._is_asked = [], False

    def _host(self, source: CanBeHosted) -> None:
        self._steering.tell("info", "this console is about to take the run over")
        self._steering.in_thread(lambda: _opened(source), self._go_on, "hosting")

    def _go_on(self, opened: Source | str) -> None:
        """Take what was opened; somebody else may have been quicker, and is asked then."""
        source, unsent = self._model.source, self._unsent
        self._drop()
        if not isinstance(opened, str) and isinstance(source, CanBeHosted):
            source.host_here(opened)
            self._advance()
        elif source.hosting == "nobody":
            self._steering.tell("warning", str(opened))
            return
        else:
            self._steering.tell("info", "another host was quicker, and is asked")
        self._steering.steer(*unsent)


def _opened(source: CanBeHosted) -> Source | str:
    """Return a host of the run, or why there is none."""
    try:
        return source.open_host()
    except AnabranchError as error:
        return f"{error.message}; {error.hint}"
    except Exception as error:  # whatever it is, somebody waits to hear of it
        return f"the run cannot be hosted here: {type(error).__name__}: {error}"
