"""The start screen: what to begin with in a project in which no run goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from textual import on
from textual.app import App, ComposeResult
from textual.driver import Driver
from textual.screen import Screen

from anabranch.config import PlanContext
from anabranch.config.templates import Template
from anabranch.core.plans.consent import commands_of
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.engine.trusting import Trust
from anabranch.errors import AnabranchError
from anabranch_console.containing import Contained
from anabranch_console.glyphs import Glyphs, choose_glyphs
from anabranch_console.handing_over import HandingOver, TerminalWanted
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.wording import safe
from anabranch_console.screens.asked import HOLD_OFF_SECONDS
from anabranch_console.screens.consent import Consent
from anabranch_console.screens.dialogs import Choice, Choose
from anabranch_console.screens.new_stream import NOTHING_ADDED, StreamForm
from anabranch_console.taking_turns import TakesTurns
from anabranch_console.terminal import Ending
from anabranch_console.theme_files import load_themes
from anabranch_console.theming import DEFAULT_THEME, Palette, default_theme, textual_theme
from anabranch_console.widgets.line_view import TextLines


class Beginning(NamedTuple):
    """What a person wants to begin with: a ``choice``, and the stream or the run that it is of."""

    choice: str
    stream: StreamPlan | None = None
    run: str = ""


class StartScreen(Contained, Screen[None]):
    """The name of the project, and nothing else; the question lies above it."""

    DEFAULT_CSS = "StartScreen { background: $ab-background; padding: 1 2; }"

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = lines
        self.body = TextLines(id="start-lines")

    def compose(self) -> ComposeResult:
        yield self.body

    def on_mount(self) -> None:
        self.body.can_focus = False
        self.body.show(list(self._lines))


class StartApp(TakesTurns, Contained, App[Beginning | None]):
    """Asks what to begin with, and returns it.

    Args:
        plan: that of an open run here, in which there is no stream yet.
        choices: what there is to begin with.
        runs: the last runs, newest first, to look at again.
        context: what a plan depends on besides what is written.
        templates: what streams can be made of.
        trust: which commands may be run without being asked about.
        environ: where ``ANABRANCH_GLYPHS`` and ``ANABRANCH_THEME`` are looked up.
        driver_class: what reads and writes the terminal; the toolkit's own without one.
    """

    TITLE = "anabranch"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        plan: Plan,
        choices: Sequence[Choice],
        runs: Sequence[Choice],
        context: PlanContext,
        templates: Mapping[str, Template],
        trust: Trust,
        environ: Mapping[str, str] = os.environ,
        driver_class: type[Driver] | None = None,
    ) -> None:
        self.palettes: dict[str, Palette] = load_themes([]).palettes
        self.palette = self.palettes[DEFAULT_THEME]
        super().__init__(driver_class)
        self.handing_over = HandingOver(self, self._tell_visited)
        wanted = environ.get("ANABRANCH_THEME") or default_theme(self.console.color_system)
        self.palette = self.palettes.get(wanted, self.palette)
        self.glyphs: Glyphs = choose_glyphs(environ)
        self.register_theme(textual_theme(self.palette))
        self.theme = self.palette.name
        self._plan, self._choices, self._runs, self._trust = plan, choices, runs, trust
        self._forms = StreamForm(lambda: plan, context, templates)
        self._unsent: dict[str, str] | None = None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the palette's colours, so that every style sheet finds them."""
        return {f"ab-{name}": colour for name, colour in self.palette.colours.items()}

    def get_default_screen(self) -> Screen[None]:
        """Return what lies below the question."""
        words = "no run goes on here"
        return StartScreen([(Span(safe(self._plan.name), "title"), Span(f"  {words}", "muted"))])

    def on_mount(self) -> None:
        self.begin()

        if self._trust.problem:
            self.notify(safe(self._trust.problem), severity="warning", markup=False)

    def begin(self) -> None:
        """Ask what to begin with."""
        self.push_screen(Choose("Begin with", self._choices), self._follow)

    def _follow(self, choice: str | None) -> None:
        if choice == "new":
            form = self._forms.form("New stream", begun=self._unsent)
            self._unsent = None
            self.push_screen(form, self._add)
        elif choice == "last":
            self.push_screen(Choose("Last runs", self._runs), self._open)
        else:
            self.exit(Beginning(choice) if choice else None)

    def _open(self, run: str | None) -> None:
        if run is None:
            self.begin()
        else:
            self.exit(Beginning("last", run=run))

    def _add(self, values: dict[str, str] | None) -> None:
        made = self._forms.made(values) if values is not None else ""
        if values is None or not isinstance(made, StreamPlan):
            self.begin()
            return
        brought = (*commands_of(self._plan), *self._forms.asked_about(values))
        unknown = self._trust.unknown(brought)

        def answered(answer: str | None) -> None:
            if answer is None:
                self._unsent = values
                self.notify(NOTHING_ADDED, markup=False)
                self.begin()
                return
            try:
                self._trust.allow(unknown)
            except AnabranchError as error:
                self.notify(safe(error.message), severity="error", markup=False)
                self.begin()
            else:
                self.exit(Beginning("new", made))

        if unknown:
            question = Consent(unknown)
            question.hold_off(HOLD_OFF_SECONDS)
            self.push_screen(question, answered)
        else:
            self.exit(Beginning("new", made))

    # --- the terminal ----------------------------------------------------------------------------

    @on(TerminalWanted)
    def _hand_over(self, message: TerminalWanted) -> None:
        self.handing_over.give(message.visit)

    def _tell_visited(self, words: str) -> None:
        if words:
            self.notify(safe(words), markup=False)

    @on(Ending)
    def _end(self) -> None:
        self.handing_over.call_back()
        self.exit(None)

    def contains(self, error: Exception) -> bool:
        """Let what nobody foresaw end it: nothing has begun yet."""
        return False
