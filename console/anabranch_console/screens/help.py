"""Help: every key and command, those of the present pane first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from anabranch_console.lines import Line, Span, fit
from anabranch_console.registry import Registry
from anabranch_console.screens.asked import AskedOnce
from anabranch_console.verbs import shown_keys
from anabranch_console.widgets.line_view import TextLines, move_bindings

_FILTER_HELP = (
    ("text", "the row shows it"),
    ("!text", "it does not"),
    ("re:x", "regular expression"),
    ("state:fail", "the state begins so"),
    ("cpu>50", "also mem files age time try, with > < >= <= ="),
)


_BEGINNERS = ("streams", "the chosen stream", "the run", "anywhere")
"""What is looked for in the list of streams, in this order."""
_MAKES_MORE = "growing"


def help_lines(registry: Registry, first: str = "") -> list[Line]:
    """Return all verbs by where their keys work, then the filter language.

    Those of the owner ``first`` stand at the top; at home what can be done with streams.
    """
    places = registry.places()
    here = places.get(first)
    order = _BEGINNERS if here == _BEGINNERS[0] else (here,)
    names = sorted(
        dict.fromkeys(places.values()),
        key=lambda name: order.index(name) if name in order else len(order),
    )
    verbs = sorted(registry.known.values(), key=lambda known: known.owner != _MAKES_MORE)
    lines: list[Line] = []
    for name in names:
        lines += [(Span(name.capitalize(), "title"),)]
        lines += [
            (
                Span("  " + fit(shown_keys(known.verb), 12), "key"),
                Span(fit(known.verb.title, 34), "text"),
                Span(known.verb.usage, "muted"),
            )
            for known in verbs
            if known.where == name
        ]
        lines.append((Span(""),))
    lines.append((Span("Words of a filter (all must hold)", "title"),))
    lines += [(Span("  " + fit(w, 12), "key"), Span(m, "text")) for w, m in _FILTER_HELP]
    return lines


class HelpScreen(AskedOnce[None]):
    """Shows all keys; scrolls where they do not fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *move_bindings(),
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

    def __init__(self, registry: Registry, first: str) -> None:
        super().__init__()
        self._registry, self._first = registry, first
        self.body = TextLines(id="help-lines")

    def compose(self) -> ComposeResult:
        with Container() as box:
            yield self.body
        box.border_title = Content("Keys and commands")
        box.border_subtitle = Content("j k scroll  esc close")

    def on_mount(self) -> None:
        self.set_class(self.body.looks.glyphs.is_ascii, "-ascii")
        self.body.show(help_lines(self._registry, self._first))
        self.body.focus()

    def action_move(self, way: str) -> None:
        """Scroll."""
        self.body.move(way)
