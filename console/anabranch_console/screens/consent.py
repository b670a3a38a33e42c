"""The question whether commands that a project brings with it may be run: each is shown whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from anabranch.core.plans.consent import PlanCommand
from anabranch.hostile_text import escape_whole
from anabranch_console.lines import Line, Span, hard_wrap, wrap
from anabranch_console.screens.dialogs import Dialog

_INTRODUCTION = "Nobody has agreed to these commands of the project's plan. They would be run:"


class Consent(Dialog):
    """Shows commands, to their ends on any screen, and asks for a yes.

    Args:
        commands: what would be run.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", show=False, priority=True),
        Binding("y", "answer(True)", show=False),
        Binding("down,j", "scroll(1)", show=False, priority=True),
        Binding("up,k", "scroll(-1)", show=False, priority=True),
        Binding("pagedown,space", "scroll(10)", show=False, priority=True),
        Binding("pageup", "scroll(-10)", show=False, priority=True),
    ]

    def __init__(self, commands: Sequence[PlanCommand]) -> None:
        super().__init__("Run these commands?", "")
        self._commands, self._first, self._seen = commands, 0, 0
        self._count = 0
        self.add_class("-dangerous")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        lines = consent_lines(self._commands, self._room)
        room = max(self._most_lines, 1)
        self._count = len(lines)
        self._first = min(max(self._first, 0), max(len(lines) - room, 0))
        self._seen = max(self._seen, min(self._first + room, len(lines)))
        self._hint = self._keys(room)
        self.query_one(Container).border_subtitle = Content(self._hint)
        self.show(lines[self._first : self._first + room])

    def _keys(self, room: int) -> str:
        if self._count <= room:
            return "y yes  esc no"
        answer = "y yes  esc no" if self._seen >= self._count else "esc no"
        last = min(self._first + room, self._count)
        return f"{self._first + 1}-{last} of {self._count}  down  {answer}"

    def action_scroll(self, lines: int) -> None:
        """Show what stands further down, or up."""
        self._first += lines
        self.draw()

    def action_answer(self, is_yes: bool) -> None:
        """Answer; a yes counts once everything was on the screen, and not right after opening."""
        if not is_yes or (self._seen >= self._count and not self.is_fresh):
            self.dismiss("yes" if is_yes else None)


def consent_lines(commands: Sequence[PlanCommand], cells: int) -> list[Line]:
    """Return what would be run, with where it stands; of each command every sign is shown."""
    lines: list[Line] = [(Span(piece, "muted"),) for piece in wrap(_INTRODUCTION, cells)]
    for command in commands:
        where = escape_whole(command.where)
        lines += [(), (Span(f"{command.kind} ", "strong"), Span(f"of {where}"))]
        for part in command.command.split("\n"):
            pieces = hard_wrap(escape_whole(part), cells - 2)
            lines += [(Span("  "), Span(piece)) for piece in pieces]
    return lines
