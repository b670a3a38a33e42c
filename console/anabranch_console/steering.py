"""What verbs act with: commands to the engine, questions and words to whoever sits here.

Nothing here decides: a command goes to the engine, whose answer is shown word for word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any, Literal, TypeVar

from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AddStream, Command
from anabranch.core.model.outcome import Refusal
from anabranch_console.clipboard import MOST_BY_TERMINAL_BYTES, native_command, put_by
from anabranch_console.lines import Line
from anabranch_console.presenters.consequences import Consequences
from anabranch_console.presenters.wording import memory, safe, shortened
from anabranch_console.run_model import RunModel
from anabranch_console.screens.asked import HOLD_OFF_SECONDS, Answer, AskedOnce
from anabranch_console.screens.dialogs import Choice, Choose, Confirm, ConfirmByName
from anabranch_console.widgets.command_bar import CommandRow, Purpose
from anabranch_console.widgets.events_pane import EventsPane, Note

Level = Literal["info", "warning", "error"]
_SEVERITIES: dict[Level, SeverityLevel] = {
    "info": "information",
    "warning": "warning",
    "error": "error",
}
Found = TypeVar("Found")

SECONDS_OF_A_NOD = 2.0
"""How long it is said that something was asked for: what comes of it is shown in its place."""

PAST_THE_CONSOLE = " by the terminal (OSC 52); shift-drag selects past the console"
"""What is said where nobody can know whether the clipboard has it now."""


class Steering:
    """Given to every pane, and to the parts of the screen that bring verbs.

    Args:
        screen: the screen of the run; questions are put over it.
        model: the run.
        bar: where what is missing is typed.
        events: where warnings stand after their toast has gone.
        chosen_streams: returns the streams that a verb without a name is about.
        answered: called when the engine has answered a command, with whether it took it.
    """

    offer_to_host: Callable[[Command | None], None]
    """Takes a command that nobody is there to take, or hosts the run; set by the screen."""

    def __init__(
        self,
        screen: Screen[Any],
        model: RunModel,
        bar: CommandRow,
        events: EventsPane,
        *,
        chosen_streams: Callable[[], list[StreamId]],
        answered: Callable[[bool], None],
    ) -> None:
        self.hold_off_seconds = HOLD_OFF_SECONDS
        self.chosen_streams = chosen_streams
        self._left_by = "", 0.0
        self._screen, self._model, self._bar, self._events = screen, model, bar, events
        self._answered = answered

    # --- the engine ------------------------------------------------------------------------------

    def steer(self, *commands: Command) -> None:
        """Send commands; each answer is shown when it comes, from whatever thread."""
        for command in commands:
            if self._model.source.hosting == "nobody" and self._model.time.past is None:
                self.offer_to_host(command)
            else:
                self._submit(command)

    def _submit(self, command: Command) -> None:
        asked_for = command.words
        try:
            answer = self._model.time.submit(command)
        except Exception as error:
            self.tell("error", f"{asked_for}: {type(error).__name__}: {error}")
            return
        answer.add_done_callback(lambda done: self.later(self._tell_answer, command, done))

    def _tell_answer(self, command: Command, answer: Future[Refusal | None]) -> None:
        asked_for = command.words
        if answer.cancelled():
            self.tell("error", f"{asked_for}: the engine has closed")
            return
        error = answer.exception()
        if error is not None:
            self.tell("error", f"{asked_for}: {type(error).__name__}: {error}")
            return
        refusal = answer.result()
        if refusal is not None:
            self.tell("warning", f"{refusal.reason}; {refusal.hint}")
        elif not isinstance(command, AddStream):  # that one is gone to
            self.tell("info", f"{asked_for}: asked for", SECONDS_OF_A_NOD)
        self._answered(refusal is None)

    # --- whoever sits here -----------------------------------------------------------------------

    def tell(self, level: Level, text: str, seconds: float | None = None) -> None:
        """Say something in a toast, and in the events pane too if it is worse than a note.

        Args:
            level: how bad it is.
            text: what is said.
            seconds: how long the toast stands, if not as long as usual.
        """
        text, severity = shortened(text), _SEVERITIES[level]
        self._screen.notify(safe(text), severity=severity, timeout=seconds, markup=False)
        if level != "info":
            self._events.add([Note(self._model.now, level, text)])

    def ask(
        self, question: AskedOnce[Answer], then: Callable[[Answer | None], None] | None = None
    ) -> bool:
        """Put a question over the screen, unless one is there: a doubled key asks once."""
        if self._screen.app.screen is not self._screen:
            return False
        question.hold_off(self.hold_off_seconds)

        def left(answer: Answer | None) -> None:
            self._left_by = question.key, monotonic()
            if then is not None:
                then(answer)

        self._screen.app.push_screen(question, left)
        return True

    def is_doubled(self, keys: Collection[str]) -> bool:
        """Say whether one of these keys has left a question only now: pressed twice, meant once."""
        key, at = self._left_by
        return key in keys and monotonic() - at < self.hold_off_seconds

    def choose(
        self,
        title: str,
        choices: Sequence[Choice],
        then: Callable[[str], None],
        chosen: str | None = None,
        about: Sequence[Line] = (),
    ) -> None:
        """Ask for one of a few; nothing happens if none is taken. ``about`` stands above them."""
        question = Choose(title, choices, chosen, about=about)
        self.ask(question, lambda name: then(name) if name else None)

    def confirm(
        self, asked: Consequences, then: Callable[[], None], *, by_name: str | None = None
    ) -> bool:
        """Ask whether something is to be done, and do it after a yes.

        ``by_name`` has to be typed for a yes. Return whether it could be asked.
        """
        dialog = (
            Confirm(asked, self.hold_off_seconds)
            if by_name is None
            else ConfirmByName(asked, by_name)
        )
        return self.ask(dialog, lambda answer: then() if answer == "yes" else None)

    def ask_above(self, asked: Consequences, then: Callable[[bool], None]) -> None:
        """Ask above whatever is open, as somebody waits for the answer."""
        dialog = Confirm(asked, self.hold_off_seconds)
        self._screen.app.push_screen(dialog, lambda answer: then(answer == "yes"))

    def steer_after_yes(self, asked: Consequences, commands: Sequence[Command]) -> None:
        """Send commands if somebody agrees."""
        self.confirm(asked, partial(self.steer, *commands))

    def ask_in_bar(self, text: str, purpose: Purpose = Purpose.COMMAND) -> None:
        """Open the bar with the beginning of what is to be typed."""
        self._bar.ask(purpose, text)

    def meant(self, name: str) -> list[StreamId]:
        """Return the stream of a name, else those that are chosen; tell if there is none."""
        if name and name not in self._model.state.streams:
            self.tell("warning", f"there is no stream {name!r} in this run")
            return []
        return [StreamId(name)] if name else self.chosen_streams()

    def post(self, message: Message) -> None:
        """Hand a message to the application."""
        self._screen.post_message(message)

    def copy(self, text: str, name: str = "") -> None:
        """Put a text into the clipboard, and say so; by its ``name``, if it has one."""
        said = name or text
        command = native_command(os.environ)
        if command is None:
            self._copy_by_terminal(text, said)
            return

        def tell_or_ask_terminal(is_taken: bool) -> None:
            if is_taken:
                self.tell("info", f"copied {said}")
            else:
                self._copy_by_terminal(text, said)

        self.in_thread(lambda: put_by(command, text), tell_or_ask_terminal, "copying")

    def _copy_by_terminal(self, text: str, said: str) -> None:
        if len(text.encode("utf-8", "replace")) > MOST_BY_TERMINAL_BYTES:
            size = memory(len(text))
            self.tell(
                "warning", f"{said} is too long for a terminal to take to its clipboard: {size}"
            )
            return
        self._screen.app.copy_to_clipboard(text)
        self.tell("info", f"copied {said}{PAST_THE_CONSOLE}")

    # --- other threads ---------------------------------------------------------------------------

    def later(self, then: Callable[..., None], *args: Any) -> None:
        """Call something in the console's own thread; from any thread."""
        self._screen.call_later(then, *args)

    def in_thread(
        self,
        work: Callable[[], Found],
        then: Callable[[Found], None],
        group: str,
        *,
        exclusive: bool = False,
    ) -> None:
        """Do work in a thread of its own; what it returns is given to ``then``, here again."""

        def worked() -> None:
            self.later(then, work())

        self._screen.run_worker(worked, thread=True, group=group, exclusive=exclusive)
