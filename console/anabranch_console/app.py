"""The console as an application: it looks at a run through a :class:`Source` and may steer it.

The engine runs elsewhere, on its own thread or in another process. The app pulls frames from it and
never waits for it; when the app closes, streams go on running.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from textual import on
from textual.app import App
from textual.driver import Driver
from textual.events import AppBlur, AppFocus, Event, InputEvent
from textual.notifications import Notify
from textual.screen import Screen

from anabranch.errors import AnabranchError
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import console_file, themes_folder
from anabranch_console.console_hooks import ConsolePlugins, load_console_plugins
from anabranch_console.containing import Contained
from anabranch_console.faults import keep_fault, last_words
from anabranch_console.frame_clock import FrameClock, writes_waiting
from anabranch_console.glyphs import Glyphs, choose_glyphs
from anabranch_console.handing_over import HandingOver, TerminalWanted
from anabranch_console.no_colour import without_greys
from anabranch_console.notices.noticing import HERE_SECONDS, Noticing
from anabranch_console.notices.settings import read_settings
from anabranch_console.notices.signals import BRING_TITLE_BACK, KEEP_TITLE
from anabranch_console.panes.streams import HOME
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.leaving import leaving_message
from anabranch_console.recalling import Recalling
from anabranch_console.remembering import Memory
from anabranch_console.run_model import RunModel
from anabranch_console.screens.anywhere import Leaving, RepaintAsked, ThemeChosen
from anabranch_console.screens.run_screen import RunScreen
from anabranch_console.taking_turns import TakesTurns
from anabranch_console.terminal import ConsoleDriver, Ending
from anabranch_console.theme_files import Themes, load_themes, with_texts
from anabranch_console.theming import (
    DEFAULT_THEME,
    Palette,
    default_theme,
    textual_theme,
)

if TYPE_CHECKING:
    from anabranch.engine.source import Source

LOOK_SECONDS = 1.0
"""How often it is looked whether somebody is needed."""

MOST_FAULTS = 20
"""How many different faults are reported and kept; further ones are passed over."""

MOST_TOASTS = 3
"""How many toasts stand at once: they lie above what a person looks at."""

_WIDTH_CLASSES = [(0, "-narrow"), (100, "-wide")]
_HEIGHT_CLASSES = [(0, "-short"), (24, "-tall"), (34, "-very-tall"), (46, "-huge")]


@dataclass(frozen=True, slots=True)
class ConsoleExit:
    """How the console was left: what to say afterwards, and whether the run is to be stopped.

    ``was_ended`` says that no person left it: a signal ended it, or the terminal has gone.
    ``next_run`` is the run that is looked at next, None to leave altogether.
    """

    message: str
    wants_stop: bool = False
    was_ended: bool = False
    next_run: str | None = None


class ConsoleApp(TakesTurns, Contained, App[ConsoleExit]):
    """Shows one run.

    Args:
        source: the run.
        is_paced: whether frames are pulled by the clock; tests pull them with :meth:`advance`.
        environ: where ``ANABRANCH_GLYPHS`` and ``ANABRANCH_THEME`` are looked up.
        plugins: what plugins bring to the console.
        driver_class: what reads and writes the terminal; the toolkit's own without one.
        ending: asked every frame; what it answers is the message with which the console closes.
        memory: where it is remembered what was chosen in consoles; nowhere without one.
    """

    notice = ""
    """What is told as it opens."""

    TITLE = "anabranch"
    CSS_PATH = Path(__file__).parent / "screens" / "run_screen.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = _WIDTH_CLASSES
    VERTICAL_BREAKPOINTS = _HEIGHT_CLASSES

    def __init__(
        self,
        source: Source,
        *,
        is_paced: bool = True,
        environ: Mapping[str, str] = os.environ,
        plugins: ConsolePlugins | None = None,
        driver_class: type[Driver] | None = None,
        ending: Callable[[], str | None] = lambda: None,
        memory: Memory | None = None,
    ) -> None:
        self._plugins = plugins or ConsolePlugins()
        themes = self._load_themes()
        self.palettes: dict[str, Palette] = themes.palettes
        self.palette = self.palettes[DEFAULT_THEME]
        super().__init__(driver_class)
        self._filters = without_greys(self._filters, lambda: self.palette)
        usual = default_theme(self.console.color_system)
        self._theme_choice = "theme" if usual == DEFAULT_THEME else f"theme beside {usual}"
        wanted = environ.get("ANABRANCH_THEME") or usual
        self._theme_problems = [*themes.problems, *_unknown_theme(wanted, self.palettes)]
        self.palette = self.palettes.get(wanted, self.palette)
        self.glyphs: Glyphs = choose_glyphs(environ)
        self.clock = FrameClock()
        self._is_paced = is_paced
        self._ending = ending
        self._trouble: str | None = None
        self._ends: Ending | None = None
        self.handing_over = HandingOver(self, self._tell_visited)
        for palette in self.palettes.values():
            self.register_theme(textual_theme(palette))
        self.theme = self.palette.name
        model = RunModel(source)
        self.is_up = False
        self.faults: dict[str, Exception] = {}
        self.fault: Exception | None = None
        self.plugged = Plugged(self._plugins, lambda: model.live_state)
        self.run_screen = RunScreen(model, self.plugged)
        self.run_screen.themes = [(p.name, p.title) for p in self.palettes.values()]
        self.run_screen.read_themes_again = self.read_themes_again
        self.recalling: Recalling | None = None
        if memory is not None:
            theme = lambda: (self.palette.name, self._theme_choice)  # noqa: E731
            self.recalling = Recalling(self.run_screen, memory, theme)
        if self.recalling is not None and not environ.get("ANABRANCH_THEME"):
            self._take_theme(str(self.recalling.known.get(self._theme_choice, wanted)))
        self.touched_at = monotonic()
        self.noticing = self._noticing(model, environ)
        self.run_screen.the_run.noticing = self.noticing

    def _noticing(self, model: RunModel, environ: Mapping[str, str]) -> Noticing:
        settings, self._settings_problem = read_settings()
        steering = self.run_screen.steering
        return Noticing(model, steering, settings, self._write, self._looked_at, environ)

    def _write(self, text: str) -> bool:
        """Write bytes to the terminal after what is painted; False while somebody else has it."""
        if self._driver is None or self.handing_over.is_away:
            return False
        if text and not self.is_headless:
            self._driver.write(text)
        return True

    def _looked_at(self) -> str | None:
        """Return the stream whose own panel is shown, if somebody is here to look at it."""
        is_here = self.clock.is_focused and monotonic() - self.touched_at < HERE_SECONDS
        screen = self.run_screen
        return screen.home.cursor if is_here and screen.mode == HOME else None

    async def on_event(self, event: Event) -> None:
        if isinstance(event, InputEvent):
            self.touched_at = monotonic()
        await super().on_event(event)

    def get_default_screen(self) -> Screen[None]:
        """Return the screen of the run."""
        return self.run_screen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the palette's colours, so that every style sheet finds them."""
        return {f"ab-{name}": colour for name, colour in self.palette.colours.items()}

    def on_notify(self, event: Notify) -> None:
        """Take away the oldest toasts where there would be too many, and the same one."""
        standing, new = list(self._notifications), event.notification.message
        same = [old for old in standing if old.message == new]
        others = [old for old in standing if old.message != new]
        for old in [*same, *others[: max(0, len(others) + 1 - MOST_TOASTS)]]:
            self._unnotify(old, refresh=False)

    def on_mount(self) -> None:
        self._tell_theme_problems(self._theme_problems)
        for plugin in self._plugins.set_aside:
            text = f"plugin {plugin.plugin} was set aside: {plugin.reason}"
            self.run_screen.steering.tell("warning", escape_for_terminal(text))
        memory_problem = self.recalling.problem if self.recalling else ""
        for words in (self.notice, self._settings_problem, memory_problem):
            if words:
                self.run_screen.steering.tell("warning", words)
        if self._is_paced:
            self.plugged.start()
            self.set_timer(self.clock.period_seconds, self._next_frame)
            self._write(KEEP_TITLE)
            self.noticing.look()  # what is there now is on the screen that opens
            self.set_interval(LOOK_SECONDS, self.noticing.look)
        if self.recalling is not None:
            self.call_after_refresh(self.recalling.recall)
            self.set_interval(LOOK_SECONDS, self.recalling.look_and_keep)
        self.is_up = True

    def advance(self) -> None:
        """Pull one frame and paint what changed."""
        with self.batch_update():
            self.run_screen.advance()
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        """Say what keeps the engine from going on, once, and when that is over."""
        source = self.run_screen.model.source
        trouble = source.trouble
        if trouble == self._trouble:
            return
        self._trouble = trouble
        self.run_screen.paint_header()
        is_hosted = source.hosting != "nobody"
        over = "it goes on again" if is_hosted else "its host has gone; nobody hosts the run now"
        text = f"nothing goes on: {trouble}" if trouble else over
        self.run_screen.steering.tell("error" if trouble else "warning", text)

    def _next_frame(self) -> None:
        message = self._ending()
        if message is not None and self.handing_over.call_back():
            self.exit(ConsoleExit(message))
            return
        began = perf_counter()
        try:
            if self.clock.may_paint(writes_waiting(self._driver)):
                self.advance()
        finally:
            cost = perf_counter() - began
            self.set_timer(self.clock.after_frame(cost), self._next_frame)

    def on_app_blur(self, event: AppBlur) -> None:
        self.clock.is_focused = False

    def on_app_focus(self, event: AppFocus) -> None:
        self.clock.is_focused = True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let a key that quits everywhere else go to a program that has the keys."""
        if action == "quit" and self.focused is not None and self.focused.id == "terminal":
            return False
        return super().check_action(action, parameters)

    async def action_quit(self) -> None:
        """Quit by the verb, which asks first."""
        if self.screen is self.run_screen:
            self.run_screen.action_verb("quit")

    def action_help_quit(self) -> None:
        """Say what ctrl+c does not do."""
        self.notify("q quits; esc closes this", markup=False)

    # --- what nobody foresaw ---------------------------------------------------------------------

    def contains(self, error: Exception) -> bool:
        """Tell and keep a fault once; False while there is no console yet that could go on."""
        if not self.is_up or self._exit:
            return False
        text = last_words(error)
        if text not in self.faults and len(self.faults) < MOST_FAULTS:
            self.faults[text] = error
            kept = keep_fault(error)
            where = f"; the details are in {kept}" if kept else ""
            with suppress(Exception):  # what cannot even be shown is in the file
                self.run_screen.steering.tell(
                    "error", f"this should not have happened: {text}{where}"
                )
        return True

    def _handle_exception(self, error: Exception) -> None:
        """Go on without what failed; where nothing was shown yet, end in order and say why."""
        if self.contains(error):
            return
        self.fault = self.fault or error
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self._close_messages_no_wait()

    # --- themes ----------------------------------------------------------------------------------

    def read_themes_again(self) -> None:
        """Take up what changed in the user's folder of themes, and show problems."""
        themes = self._load_themes()
        self._tell_theme_problems(themes.problems)
        self.palettes = {**themes.palettes, self.palette.name: self.palette}
        for palette in themes.palettes.values():
            self.register_theme(textual_theme(palette))
        self.run_screen.themes = [(p.name, p.title) for p in self.palettes.values()]

    def _load_themes(self) -> Themes:
        return with_texts(load_themes([themes_folder()]), self._plugins.themes)

    def on_unmount(self) -> None:
        if self.recalling is not None:
            self.recalling.keep_last()
        self._write(BRING_TITLE_BACK)
        self.plugged.stop()

    def _tell_theme_problems(self, problems: Iterable[str]) -> None:
        for problem in problems:
            text = f"theme left out: {escape_for_terminal(problem)}"
            self.notify(text, severity="warning", markup=False)

    @on(ThemeChosen)
    def _use_theme(self, message: ThemeChosen) -> None:
        if self._take_theme(message.name):
            self.run_screen.repaint_everything()

    def _take_theme(self, name: str) -> bool:
        """Take another palette; return whether it is another one, and there is such a theme."""
        palette = self.palettes.get(name, self.palette)
        is_other = palette is not self.palette
        if is_other:
            self.palette = palette
            self.theme = palette.name
        return is_other

    # --- the terminal ----------------------------------------------------------------------------

    @property
    def come_back_words(self) -> str:
        """What is said where the console could say nothing itself."""
        run = self.run_screen.model.source.run
        return f"the console was killed; streams run on. Come back with: anabranch console {run}"

    def repaint(self) -> None:
        """Paint the whole screen, whatever the terminal shows now."""
        self.run_screen.repaint_everything()
        for screen in self.screen_stack:
            screen.refresh(layout=True)

    @on(Driver.SignalResume)
    @on(RepaintAsked)
    def _repaint_at_once(self) -> None:
        self.repaint()

    @on(TerminalWanted)
    def _hand_over(self, message: TerminalWanted) -> None:
        self.handing_over.give(message.visit)

    def _tell_visited(self, words: str) -> None:
        """Say what a visit has to say when it is over; close, if that has waited for it."""
        if self._ends is not None:
            self.post_message(self._ends)
        elif words:
            self.run_screen.steering.tell("info", words)

    @on(Ending)
    def _end(self, message: Ending) -> None:
        if not self.handing_over.call_back():
            self._ends = message
            return
        source = self.run_screen.model.source
        farewell = leaving_message(source.state, source.hosting)
        self.exit(ConsoleExit(f"{message.reason}. {farewell}", was_ended=True))

    @on(Leaving)
    def _leave(self, message: Leaving) -> None:
        self.exit(ConsoleExit(message.message, message.wants_stop, next_run=message.next_run))


def _unknown_theme(wanted: str, known: Mapping[str, Palette]) -> list[str]:
    """Say so if there is no theme of the name that is wanted."""
    return [] if wanted in known else [f"there is no {wanted!r}; there are {', '.join(known)}"]


def run_console(
    source: Source, ending: Callable[[], str | None] = lambda: None, notice: str = ""
) -> ConsoleExit:
    """Show a run until the user leaves, or ``ending`` does, and return what to say afterwards.

    A ``notice`` is told as it opens.
    """
    plugins = load_console_plugins()
    app = ConsoleApp(
        source,
        plugins=plugins,
        driver_class=ConsoleDriver,
        ending=ending,
        memory=Memory(console_file()),
    )
    app.notice = notice
    result = app.run()
    if app.fault is not None:
        kept = keep_fault(app.fault)
        where = f"; the details are in {kept}" if kept else ""
        raise AnabranchError(
            f"the console cannot be shown: {last_words(app.fault)}{where}",
            f"streams run on; anabranch status {source.run} tells how they are",
        )
    return result or ConsoleExit(f"Come back with: anabranch console {source.run}")
