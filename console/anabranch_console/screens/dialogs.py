"""The dialogs: choose one of a few things, or say yes to something dangerous."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Click, Key

from anabranch_console.lines import Line, Span, hang, line_cells
from anabranch_console.presenters.consequences import Consequences
from anabranch_console.presenters.wording import safe
from anabranch_console.screens.asked import AskedOnce
from anabranch_console.widgets.line_view import TextLines


class Choice(NamedTuple):
    """One thing to choose; ``why_not`` says why it cannot be chosen now."""

    id: str
    key: str
    title: str
    detail: str = ""
    why_not: str | None = None


OWN_LETTERS = "jkq"
"""The letters that move through a list of choices, or leave it: no choice has one of them."""

_WIDTH, _HEIGHT = 0.96, 0.9
_FRAME_CELLS, _FRAME_LINES = 6, 4
"""How much of the screen a box may have, and what its border and padding take of that."""


class Dialog(AskedOnce[str | None]):
    """A box with lines in the middle of the screen."""

    AUTO_FOCUS = "#dialog-lines"
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $ab-background 60%; }
    Dialog.-previewing { background: $ab-background 0%; }
    Dialog > Container {
        width: auto; height: auto; max-width: 96%; max-height: 90%;
        border: round $ab-accent; background: $ab-background; padding: 1 2;
        border-title-color: $ab-accent; border-title-style: bold;
        border-subtitle-color: $ab-muted;
    }
    Dialog.-ascii > Container { border: ascii $ab-accent; }
    Dialog.-dangerous > Container { border: round $ab-failed; border-title-color: $ab-failed; }
    """

    def __init__(self, title: str, hint: str) -> None:
        super().__init__()
        self._title, self._hint = safe(title), hint
        self.body = TextLines(id="dialog-lines")

    def compose(self) -> ComposeResult:
        with Container() as box:
            yield self.body
        box.border_title = Content(self._title)
        box.border_subtitle = Content(self._hint)

    def on_mount(self) -> None:
        self.set_class(self.body.looks.glyphs.is_ascii, "-ascii")

    def readable(self, lines: Sequence[Line], below: int) -> list[Line]:
        """Return lines wrapped for this screen, or as they are (to be cut) if it is too low.

        What is asked stands below them and is always seen: of more lines than there is room for
        those in the middle go, and it is said how many. The last ones say what cannot be undone.

        Args:
            lines: each a label and what it says.
            below: how many more lines the box has.
        """
        most = max(self._most_lines - below, 3)
        wrapped = [piece for line in lines for piece in hang(line, self._room)]
        if len(wrapped) <= most:
            return wrapped
        if len(lines) <= most:
            return list(lines)
        ends = min(2, most - 2)
        begins = most - ends - 1
        text = f"… {len(lines) - begins - ends} more lines, for which the screen is too low"
        return [*lines[:begins], (Span(text, "muted"),), *lines[-ends:]]

    @property
    def _most_lines(self) -> int:
        """How many lines the box may have on this screen."""
        return int(self.app.size.height * _HEIGHT) - _FRAME_LINES

    @property
    def _room(self) -> int:
        """How many cells a line of the box may have on this screen."""
        return int(self.app.size.width * _WIDTH) - _FRAME_CELLS

    def on_resize(self) -> None:
        """Draw again, for a screen of another size."""
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Show what there is to show; the dialog that knows it says it."""
        raise AssertionError

    def show(self, lines: list[Line]) -> None:
        """Show lines, the box as large as they need."""
        width = max((line_cells(line) for line in lines), default=10)
        wanted = max(width, len(self._title) + 4, len(self._hint) + 4)
        self.body.styles.width = min(wanted, self._room)
        self.body.styles.height = len(lines)
        self.body.show(lines)


class Choose(Dialog):
    """Asks for one of a few choices, by its key, by arrows and enter, or by a click.

    Args:
        title: the question.
        choices: what there is to choose.
        chosen: which one is preset; that is also what enter picks at once.
        preview: called with a choice whenever it is highlighted.
        about: what there is to know, above the choices.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", show=False),
        Binding("down,j,tab", "step(1)", show=False, priority=True),
        Binding("up,k,shift+tab", "step(-1)", show=False, priority=True),
        Binding("enter", "pick", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        chosen: str | None = None,
        preview: Callable[[str], None] | None = None,
        about: Sequence[Line] = (),
    ) -> None:
        super().__init__(title, "enter choose  esc cancel")
        self._about, self._above = about, 0
        self._choices = list(choices)
        self._index = next((i for i, c in enumerate(choices) if c.id == chosen), 0)
        self._first = 0
        self._preview = preview
        self.set_class(preview is not None, "-previewing")  # what is previewed is not dimmed

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        titles = max((len(c.title) for c in self._choices), default=0)
        glyphs = self.body.looks.glyphs
        lines: list[Line] = []
        for index, choice in enumerate(self._choices):
            is_here = index == self._index
            style = "muted" if choice.why_not else "strong" if is_here else "text"
            detail = choice.why_not or choice.detail
            lines.append(
                (
                    Span(f"{glyphs.cursor if is_here else ' '} ", "key"),
                    Span(f"{choice.key:<3}" if choice.key else "", "key"),
                    Span(choice.title.ljust(titles), style),
                    Span(f"   {detail}" if detail else "", "muted"),
                )
            )
        above = self._lines_above()
        self._above = len(above)
        self.show([*above, *self._around_chosen(lines)])

    def _lines_above(self) -> list[Line]:
        """Return what there is to know, if there is room for it and for every choice."""
        below = len(self._choices) + 1
        if not self._about or self._most_lines < below + len(self._about):
            return []
        return [*self.readable(self._about, below), ()]

    def _around_chosen(self, lines: list[Line]) -> list[Line]:
        """Return the lines that there is room for, the highlighted one among them."""
        most = max(self._most_lines, 1)
        is_cut = len(lines) > most
        self._first = min(max(self._index - most // 2, 0), max(len(lines) - most, 0))
        place = f"{self._index + 1} of {len(lines)}  " if is_cut else ""
        self.query_one(Container).border_subtitle = Content(place + self._hint)
        return lines[self._first : self._first + most]

    def action_step(self, step: int) -> None:
        """Highlight the next choice."""
        if not self._choices:
            return
        self._index = (self._index + step) % len(self._choices)
        self.draw()
        if self._preview:
            self._preview(self._choices[self._index].id)
            self.body.refresh_everything()

    def action_pick(self) -> None:
        """Take the highlighted choice, unless it cannot be chosen now."""
        if self._choices and not self.is_fresh:
            self._take(self._choices[self._index])

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)

    def on_key(self, event: Key) -> None:
        for choice in self._choices:
            if choice.key and event.character == choice.key:
                event.stop()
                self._take(choice)
                return

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self.body)
        if self.is_fresh or offset is None:
            return
        if self._above <= offset.y < self.body.line_count:
            self._take(self._choices[self._first + offset.y - self._above])

    def _take(self, choice: Choice) -> None:
        if choice.why_not:
            self.notify(f"{choice.title}: {choice.why_not}", severity="warning", markup=False)
            return
        self.dismiss(choice.id)


class Confirm(Dialog):
    """Asks before something dangerous: cancel has the focus, ``y`` says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
        Binding("enter", "press", show=False, priority=True),
        Binding("left,right,tab,shift+tab,h,l", "other", show=False, priority=True),
    ]

    def __init__(self, consequences: Consequences, hold_off_seconds: float) -> None:
        super().__init__(consequences.title, "y yes  esc no")
        self._consequences = consequences
        self._hold_off_seconds = hold_off_seconds
        self._opened_at = monotonic()
        self._is_on_yes = False
        self.add_class("-dangerous")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        cancel, yes = " Cancel ", f" y {self._consequences.confirm} "
        marks = ("[", "]")
        buttons: Line = (
            _button(cancel, marks, not self._is_on_yes),
            Span("   "),
            _button(yes, marks, self._is_on_yes),
        )
        self.show([*self.readable(self._consequences.lines, 2), (Span(""),), buttons])

    def action_other(self) -> None:
        """Move between the two answers."""
        self._is_on_yes = not self._is_on_yes
        self.draw()

    def action_press(self) -> None:
        """Give the answer that has the focus."""
        self.action_answer(self._is_on_yes)

    def action_answer(self, is_yes: bool) -> None:
        """Answer; a yes right after opening is taken for a slip."""
        if is_yes and monotonic() - self._opened_at < self._hold_off_seconds:
            return
        self.dismiss("yes" if is_yes else None)

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self.body)
        if offset is not None and offset.y == self.body.line_count - 1:
            self.action_answer(offset.x >= len(" Cancel ") + 4)


def _button(text: str, marks: tuple[str, str], has_focus: bool) -> Span:
    label = f"{marks[0]}{text}{marks[1]}" if has_focus else f" {text} "
    return Span(label, "key" if has_focus else "muted")


class ConfirmByName(Dialog):
    """Asks before something that cannot be undone: yes is the name, typed in full, and enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False, priority=True),
        Binding("enter", "press", show=False, priority=True),
        Binding("backspace", "erase", show=False, priority=True),
    ]

    def __init__(self, consequences: Consequences, name: str) -> None:
        super().__init__(consequences.title, "type the name  esc no")
        self._consequences = consequences
        self._name_wanted = name
        self._typed = ""
        self.add_class("-dangerous")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        is_right = self._typed == self._name_wanted
        label = f"type {self._name_wanted} to {self._consequences.confirm.lower()}: "
        typed = Span(self._typed, "level.good" if is_right else "strong")
        mark = Span("  enter" if is_right else "_", "key")
        asked: Line = (Span(label, "muted"), typed, mark)
        self.show([*self.readable(self._consequences.lines, 2), (Span(""),), asked])

    def on_key(self, event: Key) -> None:
        if event.character and event.is_printable:
            event.stop()
            self._typed = (self._typed + event.character)[: len(self._name_wanted) + 8]
            self.draw()

    def action_erase(self) -> None:
        """Take the last character back."""
        self._typed = self._typed[:-1]
        self.draw()

    def action_press(self) -> None:
        """Say yes, if the name is the right one."""
        if self._typed == self._name_wanted:
            self.dismiss("yes")

    def action_leave(self) -> None:
        """Say no."""
        self.dismiss(None)
