"""The screen of a run: looking, and the verbs that steer it or leave it.

Nothing here decides: a command goes to the engine, whose answer is shown word for word.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from anabranch.core.events import ApprovalRefused, MessageSent
from anabranch.core.ids import StreamId
from anabranch.core.inputs import (
    AllowViolation,
    ApproveRun,
    Command,
    RetryStream,
    StopRun,
    StopStream,
)
from anabranch.core.model.outcome import Refusal
from anabranch.errors import AnabranchError
from anabranch_console import operator_calls
from anabranch_console.commands import whole_number
from anabranch_console.followed_run import CanBeHosted
from anabranch_console.lines import cut_left
from anabranch_console.panes.messages import MessagesPane
from anabranch_console.panes.pane import Pane
from anabranch_console.plugged import Plugged
from anabranch_console.presenters import consequences
from anabranch_console.presenters.consequences import Consequences, of_hosting
from anabranch_console.presenters.leaving import leaving_message, stopping_message
from anabranch_console.presenters.message_lines import news_for_operator
from anabranch_console.presenters.wording import count, safe
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.dialogs import Choice, Choose, Confirm
from anabranch_console.screens.looking import can_be_retried
from anabranch_console.screens.plugging import PluggingScreen
from anabranch_console.verbs import BY_ID
from anabranch_console.widgets.command_bar import Purpose

if TYPE_CHECKING:
    from anabranch.engine.source import Source

_STOPPED = "stopped from the console"
_RETRIED = "tried again from the console"
_SENSITIVE = "sensitive"
"""The kind of an approval that was refused for paths that others run or obey."""
_MENU = (
    ("stop", "s"),
    ("retry", "r"),
    ("recover", "g"),
    ("copy", "y"),
    ("story", "e"),
    ("stop-run", "S"),
)


class RunScreen(PluggingScreen):
    """The screen of a run with everything that can be done there."""

    class Answered(Message):
        """The engine has answered a command."""

        def __init__(self, told: str, answer: Future[Refusal | None]) -> None:
            super().__init__()
            self.told, self.answer = told, answer

    class Opened(Message):
        """A host of the run was opened here, or why there is none."""

        def __init__(self, host: Source | None, problem: str = "") -> None:
            super().__init__()
            self.host, self.problem = host, problem

    class Leaving(Message):
        """The console is to close."""

        def __init__(self, message: str, wants_stop: bool) -> None:
            super().__init__()
            self.message, self.wants_stop = message, wants_stop

    def __init__(self, model: RunModel, plugged: Plugged | None = None) -> None:
        super().__init__(model, plugged)
        self._unsent: list[Command] = []
        self._asked_to_approve = False

    def do_quit(self, argument: str) -> None:
        state, hosting = self.model.live_state, self.model.source.hosting
        if hosting != "here" or not state.counts.active:
            self.post_message(self.Leaving(leaving_message(state, hosting), False))
            return
        running = count(state.counts.active, "stream")
        choices = [
            Choice("leave", "l", "Leave them running", "the console closes, they go on"),
            Choice("stop", "s", "Stop them all", "gracefully; their work is kept"),
            Choice("cancel", "c", "Cancel", "stay here"),
        ]
        verb = "is" if state.counts.active == 1 else "are"
        self.ask(Choose(f"{running} {verb} running", choices), self._leave)

    def _leave(self, choice: str | None) -> None:
        state = self.model.live_state
        if choice == "leave":
            self.post_message(self.Leaving(leaving_message(state, "here"), False))
        elif choice == "stop":
            self.post_message(self.Leaving(stopping_message(state), True))

    def do_menu(self, argument: str) -> None:
        if self.pane is not None:
            self._open_menu_of(self.pane)
            return
        if not self.listed.targets():
            self.tell("warning", "Actions: no stream is chosen")
            return
        situation, targets = self.situation(), self.listed.targets()
        marked = len(targets) if self.listed.marked else 0
        whom = f"{marked} marked streams" if marked else str(targets[0])
        details = {
            "stop": whom,
            "retry": whom,
            "recover": whom,
            "stop-run": "every stream",
            "copy": whom,
        }
        choices = [
            Choice(
                verb,
                key,
                BY_ID[verb].title.rstrip("…"),
                details.get(verb, ""),
                BY_ID[verb].why_not(situation),
            )
            for verb, key in _MENU
        ]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        dialog = Choose(f"Actions on {whom}", choices, chosen)
        self.ask(dialog, lambda verb: self.action_verb(verb) if verb else None)

    def _open_menu_of(self, pane: Pane[Any]) -> None:
        items = {item.verb: item for item in pane.menu()}
        if not items:
            self.tell("info", "there is nothing to be done with what is chosen here")
            return
        choices = [
            Choice(
                item.verb,
                item.key,
                BY_ID[item.verb].title.rstrip("…"),
                item.detail,
                BY_ID[item.verb].why_not(self.situation(item.argument)),
            )
            for item in items.values()
        ]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        dialog = Choose(f"Actions in {pane.title.lower()}", choices, chosen)
        self.ask(
            dialog, lambda verb: self.action_verb(verb, items[verb].argument) if verb else None
        )

    def do_stop(self, argument: str) -> None:
        streams = self._known(argument)
        state, now = self.model.state, self.model.now
        living = [s for s in streams if not state.streams[s].has_ended]
        if living:
            asked = consequences.of_stopping(state, living, now)
            self._after_yes(asked, [StopStream(stream=s, reason=_STOPPED) for s in living])

    def do_retry(self, argument: str) -> None:
        streams, state = self._known(argument), self.model.state
        found = [(s, state.streams[s]) for s in streams]
        again = [s for s, facts in found if can_be_retried(facts.phase, facts.has_ended)]
        if again:
            asked = consequences.of_retrying(state, again)
            self._after_yes(asked, [RetryStream(stream=s, reason=_RETRIED) for s in again])

    def _known(self, argument: str) -> list[StreamId]:
        streams = [StreamId(argument)] if argument else self.listed.targets()
        unknown = [s for s in streams if s not in self.model.state.streams]
        if unknown:
            self.tell("warning", f"there is no stream {unknown[0]!r} in this run")
            return []
        return streams

    def do_copy(self, argument: str) -> None:
        streams = [self.model.state.streams[s] for s in self.listed.targets()]
        if not streams:
            return
        found = {
            "id": [str(s.id) for s in streams],
            "log": [str(self.log_path(s) or "") for s in streams],
            "workspace": [s.workspace.path if s.workspace else "" for s in streams],
            "commit": [s.result.commit if s.result else "" for s in streams],
        }
        texts = {name: "\n".join(filter(None, parts)) for name, parts in found.items()}
        keys = {"id": "i", "log": "l", "workspace": "w", "commit": "c"}
        choices = [
            Choice(
                name, keys[name], name, cut_left(safe(text), 60), None if text else "has none yet"
            )
            for name, text in texts.items()
        ]
        self.ask(Choose("Copy", choices), lambda name: self._copy(name, texts))

    def _copy(self, name: str | None, texts: dict[str, str]) -> None:
        if name:
            self.app.copy_to_clipboard(texts[name])
            self.tell("info", f"copied {texts[name]}")

    # --- locks and messages ----------------------------------------------------------------------

    def do_revoke(self, argument: str) -> None:
        entry = self.model.state.locks.entries.get(argument) if argument else self._chosen("locks")
        if entry is None or not entry.grants:
            self.tell("warning", f"nobody holds {argument or 'it'}; :locks lists what is held")
            return
        asked = consequences.of_revoking(self.model.state, entry, self.model.now)
        self._after_yes(asked, [operator_calls.revoke(entry.path)])

    def do_allow(self, argument: str) -> None:
        known = self.model.state.locks.violations
        found = {s: [v for v in known[s] if not v.is_allowed] for s in sorted(known)}
        wanted = [s for s in found if found[s] and argument in ("", s)]
        if not wanted:
            self.tell("warning", f"{argument} has no violation left to allow")
            return
        asked = consequences.of_allowing([v for s in wanted for v in found[s]])
        self._after_yes(asked, [AllowViolation(stream=s) for s in wanted])

    def do_send(self, argument: str) -> None:
        name, _, text = argument.strip().partition(" ")
        if not text.strip():
            self.bar.ask(Purpose.COMMAND, f"send {name or self._correspondent()} ".lstrip())
            return
        state = self.model.state
        if name in state.streams or name in state.registry.joined:
            self.steer(operator_calls.send(StreamId(name), text))
        else:
            self.tell("warning", f"there is no stream {name!r} in this run")

    def _correspondent(self) -> str:
        pane = self.panes.get("messages")
        if self.mode == "messages" and isinstance(pane, MessagesPane):
            return pane.correspondent
        return str(self.listed.cursor or "")

    def do_broadcast(self, argument: str) -> None:
        if argument.strip():
            self.steer(operator_calls.broadcast(argument))
        else:
            self.bar.ask(Purpose.COMMAND, "broadcast ")

    def do_requeue(self, argument: str) -> None:
        number = self._message_number(argument)
        if number is not None:
            self.steer(operator_calls.requeue(number))

    def do_acknowledge(self, argument: str) -> None:
        number = self._message_number(argument)
        if number is not None:
            self.steer(operator_calls.acknowledge(number))

    def _message_number(self, argument: str) -> int | None:
        """Return the number that was given, or that of the chosen message; tell if it is none."""
        row = self._chosen("messages")
        given = argument.strip() or (str(row.id) if row else "")
        number = whole_number(given)
        if number is None:
            self.tell("warning", f"{given!r} is no number of a message; :messages lists them")
        return number

    def _tell_of_messages(self, changes: Changes) -> None:
        """Say at once, and audibly, what somebody has written to whoever sits here."""
        sent = [r.seq for r in changes.events if isinstance(r.event, MessageSent)]
        told = news_for_operator(self.model.live_state, sent) if sent else ""
        if told:
            self.tell("info", f"{told}; 4 shows messages, a acknowledges")
            self.app.bell()

    # --- the run ---------------------------------------------------------------------------------

    def do_approve(self, argument: str) -> None:
        state = self.model.state
        if state.approval.kind == _SENSITIVE:
            self._ask_about_sensitive()
            return

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self._asked_to_approve = True
                self.steer(ApproveRun())

        self.ask(Confirm(consequences.of_approving(state), self.hold_off_seconds), answered)

    def apply(self, changes: Changes) -> None:
        super().apply(changes)
        self._tell_of_messages(changes)
        refused = [r.event for r in changes.events if isinstance(r.event, ApprovalRefused)]
        if refused and self._asked_to_approve:
            self._asked_to_approve = False
            if refused[-1].kind == _SENSITIVE:
                self._ask_about_sensitive()

    def _ask_about_sensitive(self) -> None:
        """Ask once more, with the paths, for what is taken over only if somebody says so."""
        asked = consequences.of_approving_sensitive(self.model.state)
        self._after_yes(asked, [ApproveRun(allow_sensitive=True)])

    def do_stop_run(self, argument: str) -> None:
        asked = consequences.of_stopping_the_run(self.model.state)
        self._after_yes(asked, [StopRun(reason=_STOPPED)])

    def _after_yes(self, asked: Consequences, commands: Sequence[Command]) -> None:
        def answered(answer: str | None) -> None:
            if answer == "yes":
                for command in commands:
                    self.steer(command)

        self.ask(Confirm(asked, self.hold_off_seconds), answered)

    def steer(self, command: Command) -> None:
        """Send a command; the answer comes back as a message, from whatever thread."""
        if self.model.source.hosting == "nobody" and self.model.time.past is None:
            self._offer_to_host(command)
            return
        told = command.words
        try:
            answer = self.model.time.submit(command)
        except Exception as error:
            self.tell("error", f"{told}: {type(error).__name__}: {error}")
            return
        answer.add_done_callback(lambda done: self.post_message(self.Answered(told, done)))

    # --- hosting ---------------------------------------------------------------------------------

    def _offer_to_host(self, command: Command) -> None:
        """Nobody is there to do it: this console can be, once somebody agrees.

        A run that is over is hosted without a question: its command was agreed to already.
        """
        source, state = self.model.source, self.model.live_state
        if not isinstance(source, CanBeHosted):
            self.tell("warning", f"nobody hosts the run; anabranch resume {state.run} goes on")
            return
        self._unsent.append(command)
        if len(self._unsent) > 1:
            return
        if state.has_ended:
            self._host_here("yes")
        elif not self.ask(Confirm(of_hosting(state), self.hold_off_seconds), self._host_here):
            self._unsent.clear()

    def _host_here(self, answer: str | None) -> None:
        source = self.model.source
        if answer != "yes" or not isinstance(source, CanBeHosted):
            self._unsent.clear()
            return
        self.tell("info", "this console is about to take the run over")
        self.run_worker(partial(self._open_host, source), thread=True, group="hosting")

    def _open_host(self, source: CanBeHosted) -> None:
        try:
            opened = self.Opened(source.open_host())
        except AnabranchError as error:
            opened = self.Opened(None, f"{error.message}; {error.hint}")
        self.post_message(opened)

    @on(Opened)
    def _go_on_hosting(self, message: Opened) -> None:
        """Take what was opened; somebody else may have been quicker, and is asked then."""
        source, unsent = self.model.source, self._unsent
        self._unsent = []
        if message.host is not None and isinstance(source, CanBeHosted):
            source.host_here(message.host)
            self.advance()
        elif source.hosting == "nobody":
            self.tell("warning", message.problem)
            return
        else:
            self.tell("info", "another host was quicker, and is asked")
        for command in unsent:
            self.steer(command)

    @on(Answered)
    def _say_answer(self, message: Answered) -> None:
        answer = message.answer
        if answer.cancelled():
            self.tell("error", f"{message.told}: the engine has closed")
            return
        error = answer.exception()
        if error is not None:
            self.tell("error", f"{message.told}: {type(error).__name__}: {error}")
            return
        refusal = answer.result()
        if refusal is None:
            self.listed.marked.clear()
            self.tell("info", f"{message.told}: asked for")
        else:
            self.tell("warning", f"{refusal.reason}; {refusal.hint}")
        self.advance()
