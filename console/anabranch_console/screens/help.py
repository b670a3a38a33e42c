"""Help: every key and command, those of the present pane first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from anabranch_console.lines import Line, Span, fit
from anabranch_console.screens.asked import AskedOnce
from anabranch_console.verbs import VERBS, Scope, shown_keys
from anabranch_console.widgets.keys import bindings_for
from anabranch_console.widgets.line_view import LineView, TextLines

_FILTER_HELP = (
    ("text", "the row shows it"),
    ("!text", "it does not"),
    ("re:x", "regular expression"),
    ("state:fail", "the state begins so"),
    ("cpu>50", "also mem files age time try, with > < >= <= ="),
)


def help_lines(first: Scope | None) -> list[Line]:
    """Return all verbs by scope, with the scope ``first`` at the top, then the filter language."""
    scopes = sorted(Scope, key=lambda scope: scope is not first)
    lines: list[Line] = []
    for scope in scopes:
        lines += [(Span(scope.value.capitalize(), "title"),)]
        lines += [
            (
                Span("  " + fit(shown_keys(verb), 12), "key"),
                Span(fit(verb.title, 34), "text"),
                Span(f":{verb.id} {verb.args}".rstrip(), "muted"),
            )
            for verb in VERBS
            if verb.scope is scope
        ]
        lines.append((Span(""),))
    lines.append((Span("Words of a filter (all must hold)", "title"),))
    lines += [(Span("  " + fit(w, 12), "key"), Span(m, "text")) for w, m in _FILTER_HELP]
    return lines


class HelpScreen(AskedOnce[None]):
    """Shows all keys; scrolls where they do not fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_for(Scope.LISTS),
        Binding("escape,q,question_mark,f1", "dismiss", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $ab-background 60%; }
    HelpScreen > Container {
        width: 78; max-width: 100%; height: 90%;
        border: round $ab-accent; background: $ab-background; padding: 1 2 0 2;
        border-title-color: $ab-accent; border-title-style: bold;
        border-subtitle-color: $ab-muted;
    }
    HelpScreen.-ascii > Container { border: ascii $ab-accent; }
    HelpScreen TextLines { height: 1fr; }
    """

    def __init__(self, first: Scope | None) -> None:
        super().__init__()
        self._first = first
        self.body = TextLines(id="help-lines")

    def compose(self) -> ComposeResult:
        with Container() as box:
            yield self.body
        box.border_title = Content("Keys and commands")
        box.border_subtitle = Content("j k scroll  esc close")

    def on_mount(self) -> None:
        self.set_class(self.body.looks.glyphs.is_ascii, "-ascii")
        self.body.show(help_lines(self._first))
        self.body.focus()

    def action_verb(self, verb: str) -> None:
        """Scroll."""
        target: LineView = self.body
        target.move(verb)
