"""A small form over the screen: a few lines to type, and below them what they would come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Paste
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label

from anabranch_console.attached.editing import EditorVisit
from anabranch_console.containing import Contained
from anabranch_console.handing_over import TerminalWanted
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.wording import safe
from anabranch_console.screens.asked import AskedOnce
from anabranch_console.widgets.line_view import TextLines

EDITOR_KEY = "ctrl+g"

_LABEL_CELLS = 11
_FRAME_LINES, _PREVIEW_LINES = 4, 3


class Field(NamedTuple):
    """One line of a form; ``offers`` are completed while it is typed.

    One that ``has_lines`` may hold a text of several, as it is pasted or comes from an editor;
    there its file has the ``file`` name.
    """

    id: str
    label: str
    value: str = ""
    placeholder: str = ""
    offers: Sequence[str] = ()
    has_lines: bool = False
    file: str = "text.md"


Values = Mapping[str, str]
"""What the lines of a form say, by their ids."""

LINE_END = "\N{SYMBOL FOR NEWLINE}"
"""What stands in a line of the form for the end of a line of its text."""


class Preview(NamedTuple):
    """What a form as it is would come to, and why it cannot be sent so, "" if it can.

    ``proposed`` is what lines that are left empty will be, by their ids.
    """

    lines: Sequence[Line] = ()
    fault: str = ""
    proposed: Mapping[str, str] = {}


class _Typed(Contained, Input):
    """One line to type."""

    def __init__(self, field: Field) -> None:
        super().__init__(
            _in_one_line(field.value),
            placeholder=safe(field.placeholder),
            compact=True,
            select_on_focus=False,
            suggester=SuggestFromList(field.offers) if field.offers else None,
        )
        self.field = field

    @property
    def text(self) -> str:
        """What is typed, with the lines that it has."""
        return (self.value.replace(LINE_END, "\n") if self.field.has_lines else self.value).strip()

    def _on_paste(self, event: Paste) -> None:
        """Take all of what is pasted: of several lines an input itself takes the first alone."""
        event.prevent_default()
        event.stop()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        whole = _in_one_line(text) if self.field.has_lines else " ".join(text.split())
        selection = self.selection
        self.replace(whole, *sorted((selection.start, selection.end)))
        if "\n" in text:
            count = len(text.split("\n"))
            self.notify(f"{count} lines were pasted: look at them before you send them")

    def complete(self) -> None:
        """Take the first offer that begins with what is typed, unless that is one itself."""
        offers = self.field.offers
        if self.value and self.value not in offers:
            found = next((offer for offer in offers if offer.startswith(self.value)), self.value)
            self.value = found
            self.action_end()


def _in_one_line(text: str) -> str:
    return LINE_END.join(text.strip("\n").split("\n"))


class Form(AskedOnce[dict[str, str] | None]):
    """Asks for a few texts; enter sends them, from whichever line.

    Args:
        title: what it is for.
        fields: returns its lines, given what all lines say that there were by now; those with a
            value begin with it.
        preview: called with what is typed by now, whenever that changes.
        verb: what enter does, in a word.
        begun: what is typed already, by the ids of lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down,tab", "step(1)", show=False, priority=True),
        Binding("up,shift+tab", "step(-1)", show=False, priority=True),
        Binding(EDITOR_KEY, "edit", show=False, priority=True),
    ]
    DEFAULT_CSS = f"""
    Form {{ align: center middle; background: $ab-background 60%; }}
    Form > Container {{
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $ab-accent; background: $ab-background; padding: 1 2;
        border-title-color: $ab-accent; border-title-style: bold;
        border-subtitle-color: $ab-muted;
    }}
    Form.-ascii > Container {{ border: ascii $ab-accent; }}
    Form.-low > Container {{ padding: 0 1; }}
    Form VerticalScroll {{ height: auto; scrollbar-size: 0 0; }}
    Form Horizontal {{ height: 1; }}
    Form Label {{ width: {_LABEL_CELLS}; height: 1; padding: 0 1 0 0; color: $ab-muted; }}
    Form Input {{
        width: 1fr; height: 1; border: none; padding: 0;
        background: $ab-background; background-tint: $ab-background 0%; color: $ab-foreground;
    }}
    Form Input:focus {{ background: $ab-cursor; }}
    Form Input > .input--placeholder {{ color: $ab-muted; }}
    Form TextLines {{ height: 3; margin-top: 1; }}
    Form.-low TextLines {{ margin-top: 0; }}
    """

    def __init__(
        self,
        title: str,
        fields: Callable[[Values], Sequence[Field]],
        preview: Callable[[Values], Preview],
        verb: str = "send",
        begun: Values | None = None,
    ) -> None:
        super().__init__()
        self._begun = begun or {}
        self._title, self._fields, self._preview, self._verb = safe(title), fields, preview, verb
        self._lines = TextLines(id="form-lines")
        self._lines.can_focus = False
        self._scroll = VerticalScroll(can_focus=False)
        self._inputs: dict[str, _Typed] = {}
        self._shown: tuple[str, ...] = ()
        self._rows: dict[str, Horizontal] = {}
        self._beginning: Values = {}

    def compose(self) -> ComposeResult:
        with Container() as box:
            yield self._scroll
            yield self._lines
        box.border_title = Content(self._title)
        keys = f"enter {self._verb}  tab next  esc cancel"
        has_lines = any(field.has_lines for field in self._fields({}))
        box.border_subtitle = Content(f"{keys}  {EDITOR_KEY} editor" if has_lines else keys)

    async def on_mount(self) -> None:
        self.set_class(self._lines.looks.glyphs.is_ascii, "-ascii")
        await self._show_rows()
        self._beginning = self.values
        self._show_preview()

    async def _show_rows(self) -> None:
        """Show the lines that there are by now, in their order; those that go keep their text."""
        every = {**self._begun, **{name: typed.text for name, typed in self._inputs.items()}}
        fields = self._fields(every)
        self._shown = tuple(field.id for field in fields)
        above: Horizontal | None = None
        for field in fields:
            if field.id not in self._rows:
                begun = field._replace(value=self._begun.get(field.id, field.value))
                typed = self._inputs[field.id] = _Typed(begun)
                row = self._rows[field.id] = Horizontal(Label(Content(safe(field.label))), typed)
                await self._scroll.mount(row, after=above, before=None if above else 0)
            above = self._rows[field.id]
        for name, row in self._rows.items():
            row.display = name in self._shown
        if all(self._inputs[name] is not self.focused for name in self._shown):
            self.set_focus(self._inputs[self._shown[0]])
        self.on_resize()

    def on_resize(self) -> None:
        """Keep what would come of it in sight on a low screen, where the lines scroll."""
        room = self.app.size.height - _FRAME_LINES
        is_low = room < len(self._shown) + _PREVIEW_LINES + 1
        self.set_class(is_low, "-low")
        preview = 1 if is_low else _PREVIEW_LINES
        self._lines.styles.height = preview
        self._scroll.styles.max_height = max(room - preview - (0 if is_low else 1), 1)

    @property
    def values(self) -> dict[str, str]:
        """What is typed by now into the lines that are shown."""
        return {name: self._inputs[name].text for name in self._shown}

    @on(Input.Changed)
    async def _show(self) -> None:
        """Show the lines that there are now, and what would come of them."""
        if not self._shown:
            return
        await self._show_rows()
        self._show_preview()

    def _show_preview(self) -> None:
        """Show what would come of it, or why nothing can."""
        preview = self._preview(self.values)
        for name in self._shown:
            typed = self._inputs[name]
            typed.placeholder = safe(preview.proposed.get(name, typed.field.placeholder))
        fault: Sequence[Line] = [(Span(safe(preview.fault), "level.warning"),)]
        self._lines.show(list(fault if preview.fault else preview.lines))

    async def action_step(self, step: int) -> None:
        """Go to the next line; what is typed is completed first, if there is an offer for it."""
        here = self.focused
        if isinstance(here, _Typed) and step > 0:
            here.complete()
            await self._show_rows()  # maybe the next line comes with what this one says now
        typed = [self._inputs[name] for name in self._shown]
        at = next((i for i, one in enumerate(typed) if one is here), 0)
        self.set_focus(typed[(at + step) % len(typed)])

    @on(Input.Submitted)
    def send(self) -> None:
        """Send what is typed, if that can be."""
        if self.is_fresh and self.values == self._beginning:
            return
        if not self._preview(self.values).fault:
            self.dismiss(self.values)

    def action_edit(self) -> None:
        """Open the text of the line in the person's editor; of the first that may have several."""
        lines = [self._inputs[name] for name in self._shown]
        longer = [line for line in lines if line.field.has_lines]
        if not longer:
            return
        line = self.focused if self.focused in longer else longer[0]
        assert isinstance(line, _Typed)

        def take(text: str) -> None:
            self.call_later(self._take_edited, line, text)

        self.post_message(TerminalWanted(EditorVisit(line.text, line.field.file, take)))

    def _take_edited(self, line: _Typed, text: str) -> None:
        line.value = _in_one_line(text.rstrip())
        line.action_end()

    def action_leave(self) -> None:
        """Send nothing."""
        self.dismiss(None)
