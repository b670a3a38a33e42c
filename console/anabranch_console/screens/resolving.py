"""The verbs that settle conflicts: a side, both, an editor, a command, or back to a stream."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import SuspendNotSupported
from textual.message import Message

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.inputs import Command, HandBack, ResolveConflict, TellConflict
from anabranch.core.views.conflicts import undecided
from anabranch.errors import AnabranchError, NotSettled
from anabranch.paths import RunFolder
from anabranch_console.panes.conflicts import ConflictsPane
from anabranch_console.presenters.conflict_lines import ConflictRow
from anabranch_console.presenters.consequences import of_deciding
from anabranch_console.screens.dialogs import Choice, Choose, Confirm
from anabranch_console.screens.modes import ModesScreen
from anabranch_console.widgets.command_bar import Purpose

if TYPE_CHECKING:
    from anabranch.engine.settling import PlainChoice

Making = Callable[[], list[ev.Resolution]]


class ResolvingScreen(ModesScreen):
    """Settles what is chosen in the pane of conflicts."""

    class Decided(Message):
        """A decision is ready to be sent, or why there is none."""

        def __init__(self, resolutions: tuple[ev.Resolution, ...], problem: str = "") -> None:
            super().__init__()
            self.resolutions, self.problem = resolutions, problem

    def steer(self, command: Command) -> None:
        """Send a command; the screen that knows how to says how."""
        raise AssertionError

    def do_conflicts(self, argument: str) -> None:
        self.go_to("conflicts")

    def do_take_ours(self, argument: str) -> None:
        self._choose_side("ours")

    def do_take_theirs(self, argument: str) -> None:
        self._choose_side("theirs")

    def do_take_both(self, argument: str) -> None:
        self._choose_side("both")

    def _choose_side(self, choice: PlainChoice) -> None:
        from anabranch.engine import settling  # it brings what the first picture does not need

        row, state = self._row, self.model.live_state
        if row is None or row.conflict is None:
            return
        conflict, path = row.conflict, row.path

        def make() -> list[ev.Resolution]:
            return [
                settling.settled_by_choice(
                    settling.repository_of(state), state.run, conflict, path, choice
                )
            ]

        left = [path for path in undecided(state, conflict) if path != row.path]
        if left:  # what is not the last can be decided again
            self._decide(make)
            return
        asked = Confirm(of_deciding(row, choice), self.hold_off_seconds)
        self.ask(asked, lambda answer: self._decide(make) if answer == "yes" else None)

    @property
    def _row(self) -> ConflictRow | None:
        row = self._chosen("conflicts")
        return row if isinstance(row, ConflictRow) else None

    def _decide(self, make: Making) -> None:
        """Make a decision in a thread, as git has a part in it, and send it."""
        self.run_worker(partial(self._make, make), thread=True, group="deciding")

    def _make(self, make: Making) -> None:
        try:
            made = self.Decided(tuple(make()))
        except AnabranchError as error:
            made = self.Decided((), f"{error.message}; {error.hint}")
        except OSError as error:
            made = self.Decided((), f"nothing was decided: {error}")
        self.post_message(made)

    @on(Decided)
    def _send_decision(self, message: Decided) -> None:
        if message.problem:
            self.tell("warning", message.problem)
        elif message.resolutions:
            self.steer(ResolveConflict(resolutions=message.resolutions))
            pane = self.panes.get("conflicts")
            if isinstance(pane, ConflictsPane):
                pane.go_to_next()

    # --- an editor -------------------------------------------------------------------------------

    def do_edit(self, argument: str) -> None:
        from anabranch.engine import settling  # it brings what the first picture does not need

        row, state = self._row, self.model.live_state
        if row is None or row.conflict is None:
            return
        try:
            repo = settling.repository_of(state)
            texts = settling.texts_of(repo, state.run, row.conflict, row.path)
        except AnabranchError as error:
            self.tell("warning", f"the sides cannot be read: {error}")
            return
        text = texts.marked if texts.marked is not None else texts.ours or texts.theirs
        if text is None or b"\0" in text:
            self.tell("warning", f"{row.path.path} is no text that could be edited")
            return
        edited = self._edited(row.path.path, text)
        if edited is not None:
            path = row.path
            self._decide(lambda: [settling.settled_by_text(repo, state.run, path, edited)])

    def _edited(self, name: str, text: bytes) -> bytes | None:
        """Let the user edit a text, the console stepping aside; None if it is as it was."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="anabranch-edit-") as folder:
            file = Path(folder) / (Path(name).name or "conflict")
            file.write_bytes(text)
            try:
                with self.app.suspend():
                    ended = subprocess.run([*shlex.split(editor), str(file)], check=False)
                after = file.read_bytes()
            except SuspendNotSupported:
                self.tell("warning", "this terminal cannot be given to an editor")
                return None
            except (OSError, ValueError) as error:
                self.tell("warning", f"{editor!r} cannot be started ({error}); set EDITOR")
                return None
        self.app.refresh()
        if ended.returncode != 0:
            self.tell("warning", f"{editor} ended with {ended.returncode}: nothing was decided")
            return None
        if after == text:
            self.tell("info", "nothing was changed, so nothing was decided")
            return None
        return after

    # --- others ----------------------------------------------------------------------------------

    def do_settle(self, argument: str) -> None:
        from anabranch.engine import settling  # it brings what the first picture does not need

        row, state = self._row, self.model.live_state
        if row is None or row.conflict is None:
            return
        plan = state.point_plan(row.point) if row.point else None
        if not argument.strip():
            self.bar.ask(Purpose.COMMAND, f"settle {plan.resolver if plan else ''}")
            return
        conflict, home = row.conflict, RunFolder(self.model.source.folder)

        def make() -> list[ev.Resolution]:
            env = dict(os.environ, ANABRANCH_RUN=state.run)
            work = settling.settled_by_command(
                settling.repository_of(state), home, conflict, argument, env
            )
            settled, ended = asyncio.run(work)
            if not settled:
                log = home.resolver_log(None)
                raise NotSettled(f"the command has settled nothing: {ended.reason}", f"see {log}")
            return settled

        self.tell("info", "the command is at work")
        self._decide(make)

    def do_hand_back(self, argument: str) -> None:
        name, _, note = argument.strip().partition(" ")
        if name:
            self.steer(HandBack(stream=StreamId(name), note=note))
            return
        row = self._row
        if row is None or row.conflict is None:
            return
        late = row.conflict.late
        choices = [
            Choice(
                str(s),
                str(number),
                f"{s} does its work again",
                "on top of what the others brought" if s == late else "on top of the other side",
            )
            for number, s in enumerate(reversed(row.streams), 1)
        ]
        self.ask(
            Choose("Hand the conflict back", choices, str(late)),
            lambda name: self.steer(HandBack(stream=StreamId(name))) if name else None,
        )

    def do_tell_both(self, argument: str) -> None:
        row = self._row
        if row is not None and len(row.streams) == 2:
            self.steer(TellConflict(streams=(row.streams[0], row.streams[1])))
