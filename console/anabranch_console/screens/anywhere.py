"""The verbs that work anywhere, in every list and in every table, whichever pane is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from textual.message import Message
from textual.screen import Screen

from anabranch.core.wording import counted, length
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.panes.streams import HOME, StreamsPane
from anabranch_console.presenters.leaving import about_leaving, leaving_message, stopping_message
from anabranch_console.registry import Registry
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice, Choose
from anabranch_console.steering import Steering
from anabranch_console.travel import Travel
from anabranch_console.verbs import MOVES, Verb, VerbOwner, shown_keys
from anabranch_console.widgets.command_bar import Purpose
from anabranch_console.widgets.events_pane import EventsPane
from anabranch_console.widgets.line_view import LineView

OF_THE_RUN = (
    MenuItem("approve", "A", detail="the whole run"),
    MenuItem("host", "H", detail="what was left goes on"),
    MenuItem("close", "C", detail="nothing more is added"),
)
"""What the header and the banner name stands in every menu, whichever pane is shown."""

if TYPE_CHECKING:
    from anabranch_console.screens.palette import Hit

_GO_TO = ">"
_FULL_CLASSES = ("-full-streams", "-full-details", "-full-events")


class RepaintAsked(Message):
    """The whole screen is to be painted, whatever the terminal shows."""


class ThemeChosen(Message):
    """Another theme is wanted, or is to be looked at."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Leaving(Message):
    """The console is to close."""

    def __init__(self, message: str, wants_stop: bool, next_run: str | None = None) -> None:
        super().__init__()
        self.message, self.wants_stop, self.next_run = message, wants_stop, next_run


class RunFront(Protocol):
    """The screen of a run, as far as its verbs act on it."""

    model: RunModel
    steering: Steering
    registry: Registry
    home: StreamsPane
    travel: Travel
    themes: Sequence[tuple[str, str]]
    read_themes_again: Callable[[], None]

    @property
    def widget(self) -> Screen[None]:
        """The screen itself."""
        ...

    @property
    def pane(self) -> Pane[Any]:
        """The pane that is shown."""
        ...

    def go_to(self, mode: str) -> None:
        """Show a pane."""
        ...

    def why_not(self, verb: str, argument: str = "") -> str | None:
        """Return why a verb cannot be used now."""
        ...

    def action_verb(self, verb: str, argument: str = "") -> None:
        """Do a verb, or say why it cannot be done now."""
        ...


class Anywhere(VerbOwner):
    """Help, commands, themes, what of the screen is seen, and leaving.

    Args:
        screen: the screen of the run.
    """

    name_of = "anywhere"
    where = "anywhere"

    def __init__(self, screen: RunFront) -> None:
        self._screen = screen
        self._model, self._steering = screen.model, screen.steering

    def go_to(self, pane: str, wanted: str = "") -> None:
        """Show a pane, and of it what passes a filter if one is given; ``/`` is the empty one."""
        self._screen.go_to(pane)
        if wanted:
            shown = self._screen.pane
            text = wanted.removeprefix("/").strip()
            shown.call_after_refresh(shown.apply_filter, "" if text == "/" else text)

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"themes": [name for name, _ in self._screen.themes]}

    # --- finding out what there is ---------------------------------------------------------------

    def help(self, argument: str) -> None:
        """Show all keys and commands, those of the place one is at first."""
        from anabranch_console.screens.help import HelpScreen

        focused = self._screen.widget.focused
        place = focused.verbs_of if isinstance(focused, LineView) else ""
        self._steering.ask(HelpScreen(self._screen.registry, place))

    def command(self, argument: str) -> None:
        """Open the command bar."""
        self._steering.ask_in_bar(argument)

    def palette(self, argument: str) -> None:
        """Ask for one of all verbs and streams by a few letters."""
        from anabranch_console.screens.palette import Palette

        self._steering.ask(Palette(self.hits()), self._do_hit)

    def hits(self) -> list[Hit]:
        """Return what the palette offers: every verb, and every stream to go to."""
        from anabranch_console.screens.palette import Hit

        hits = []
        for verb in self._screen.registry:
            why_not = self._screen.why_not(verb.id)
            hint = why_not or verb.usage
            hits.append(Hit(verb.id, shown_keys(verb), verb.title, hint, why_not is None))
        rows = sorted(self._model.rows.values(), key=lambda row: row.position)
        return hits + [Hit(_GO_TO + r.id, "", f"Go to {r.id}", r.state) for r in rows]

    def _do_hit(self, name: str | None) -> None:
        if name is None:
            return
        if name.startswith(_GO_TO):
            self._screen.go_to(HOME)
            self._screen.home.choose(name.removeprefix(_GO_TO))
        else:
            self._screen.action_verb(name)

    # --- looks -----------------------------------------------------------------------------------

    def theme(self, argument: str) -> None:
        """Use a theme, or ask which while each is looked at."""
        self._screen.read_themes_again()
        themes = self._screen.themes
        names = [name for name, _ in themes]
        if argument in names:
            self._use_theme(argument)
        elif argument:
            known = ", ".join(names)
            self._steering.tell("warning", f"no theme {argument!r}; there are {known}")
        else:
            before = str(self._screen.widget.app.theme)
            choices = [Choice(name, str(i), title) for i, (name, title) in enumerate(themes, 1)]
            dialog = Choose("Theme", choices, before, preview=self._use_theme)
            self._steering.ask(dialog, lambda name: self._use_theme(name or before))

    def _use_theme(self, name: str) -> None:
        self._screen.widget.post_message(ThemeChosen(name))

    @property
    def is_full(self) -> bool:
        """Whether one part has the whole screen."""
        return any(self._screen.widget.has_class(name) for name in _FULL_CLASSES)

    def leave_full(self) -> None:
        """Show all parts again."""
        self._screen.widget.remove_class(*_FULL_CLASSES)

    def full(self, argument: str) -> None:
        """Give the focused part the whole screen, or take it back."""
        screen = self._screen
        if self.is_full:
            self.leave_full()
        elif isinstance(screen.widget.focused, EventsPane):
            screen.widget.add_class("-full-events")
        elif screen.widget.focused is screen.pane.detail_view:
            screen.widget.add_class("-full-details")
        else:
            screen.widget.add_class("-full-streams")

    def details(self, argument: str) -> None:
        """Show or hide the panel about what is chosen."""
        is_wide = self._screen.widget.has_class("-wide")
        self._screen.widget.toggle_class("-no-details" if is_wide else "-drawer")
        self._screen.pane.grid.focus()

    def repaint(self, argument: str) -> None:
        """Paint the whole screen, whatever the terminal shows."""
        self._screen.widget.post_message(RepaintAsked())

    def back(self, argument: str) -> None:
        """Undo the last thing that only changed what is seen; at last go home."""
        screen, pane = self._screen, self._screen.pane
        if screen.widget.selections:
            screen.widget.clear_selection()
        elif self.is_full:
            self.leave_full()
        elif self._model.time.past is not None:
            screen.travel.live()
        elif pane.step_back():
            return
        elif isinstance(focused := screen.widget.focused, EventsPane) and focused.filter.text:
            focused.apply_filter("")
        elif screen.widget.focused is not pane.grid or screen.widget.has_class("-drawer"):
            screen.widget.remove_class("-drawer")
            pane.grid.focus()
        elif pane.filter.text:
            pane.apply_filter("")
        elif pane is not screen.home:
            screen.go_to(HOME)
        elif screen.home.listed.marked:
            screen.home.unmark("")

    def events(self, argument: str) -> None:
        """Filter the events, or go to them."""
        pane = self._screen.widget.query_one(EventsPane)
        if argument:
            pane.apply_filter(argument.removeprefix("/"))
        else:
            pane.focus()

    def copy_selection(self, argument: str) -> None:
        """Copy the text that was selected with the mouse."""
        text = self._screen.widget.get_selected_text()
        if text:
            self._steering.copy(text, counted(len(text), "character"))
        else:
            hint = "nothing is selected: drag selects, shift-drag past the console"
            self._steering.tell("info", f"{hint}; y copies ids, logs and patches; q quits")

    # --- leaving ---------------------------------------------------------------------------------

    def suspend(self, argument: str) -> None:
        """Stop this console, unless the engine would stop with it."""
        if self._model.source.hosting != "here":
            self._screen.widget.app.action_suspend_process()
            return
        refusal = "the engine runs in this console and would stand still with it"
        self._steering.tell("warning", f"{refusal}; q leaves, and the streams run on")

    def quit(self, argument: str) -> None:
        """Leave; ask what becomes of the streams where they are run from here."""
        state, hosting = self._model.live_state, self._model.source.hosting
        if hosting != "here" or not state.counts.at_work:
            self._leave(leaving_message(state, hosting))
            return
        grace = length(state.plan.stop_grace_seconds, 1)
        choices = [
            Choice("leave", "l", "Leave them running", "the console closes, they go on"),
            Choice("stop", "s", "Stop them all", f"TERM, {grace}, KILL; their work is kept"),
            Choice("cancel", "c", "Cancel", "stay here"),
        ]
        is_one = state.counts.at_work == 1
        title = f"{counted(state.counts.at_work, 'stream')} {'is' if is_one else 'are'} running"
        self._steering.choose(title, choices, self._leave_or_stop, about=about_leaving(state))

    def _leave_or_stop(self, choice: str) -> None:
        state = self._model.live_state
        if choice == "leave":
            self._leave(leaving_message(state, "here"))
        elif choice == "stop":
            self._leave(stopping_message(state), wants_stop=True)

    def _leave(self, message: str, *, wants_stop: bool = False) -> None:
        self._screen.widget.post_message(Leaving(message, wants_stop))

    verbs = (
        Verb("help", "Help: keys and commands", ("question_mark", "f1"), help, footer="Help"),
        Verb("full", "Full pane on and off", ("f",), full, footer="Full"),
        Verb("command", "Command by name", ("colon",), command, footer="Command"),
        Verb("palette", "Find a command", ("ctrl+p",), palette, footer="Palette"),
        Verb("theme", "Choose a theme", ("ctrl+t",), theme, args="[NAME]", completes="themes"),
        Verb("details", "Show or hide the details", ("i",), details),
        Verb("next-pane", "Next pane", ("tab",), lambda self, _: self._screen.widget.focus_next()),
        Verb(
            "previous-pane",
            "Previous pane",
            ("shift+tab",),
            lambda self, _: self._screen.widget.focus_previous(),
        ),
        Verb("events", "Go to the events, or filter them", ("J",), events, args="[/FILTER]"),
        Verb("back", "Back: close, clear, return", ("escape",), back),
        Verb("copy-selection", "Copy the selected text", ("ctrl+c",), copy_selection),
        Verb("repaint", "Paint the screen again", ("ctrl+l",), repaint),
        Verb("suspend", "Suspend the console", ("ctrl+z",), suspend),
        Verb("quit", "Quit", ("q", "ctrl+q"), quit, aliases=("q", "exit"), footer="Quit"),
    )


class EveryList(VerbOwner):
    """Moves in whatever list has the focus.

    Args:
        screen: the screen of the run.
    """

    name_of = "lists"
    where = "in every pane"

    def __init__(self, screen: RunFront) -> None:
        self._screen = screen

    def move(self, way: str) -> None:
        """Move in the list that has the focus, else in the pane's own."""
        focused = self._screen.widget.focused
        view = focused if isinstance(focused, LineView) else self._screen.pane.grid
        view.move(way)


def _moving(way: str) -> Callable[[EveryList, str], None]:
    return lambda owner, argument: owner.move(way)


EveryList.verbs = tuple(Verb(way, title, keys, _moving(way)) for way, title, keys in MOVES)


class EveryTable(VerbOwner):
    """Opens, filters and acts on what is in the pane that is shown.

    Args:
        screen: the screen of the run.
    """

    name_of = "tables"
    where = "in every table"

    def __init__(self, screen: RunFront) -> None:
        self._screen, self._steering = screen, screen.steering

    def open(self, argument: str = "") -> None:
        """Go to the panel about what is chosen."""
        self._screen.pane.open_details()

    def nothing_chosen(self, argument: str) -> str | None:
        """Say so if the pane is empty."""
        return None if self._screen.pane.grid.rows else "nothing is chosen"

    def filter(self, argument: str) -> None:
        """Filter the rows, or have the filter typed; that of the events if they have the focus."""
        focused = self._screen.widget.focused
        if not argument and isinstance(focused, EventsPane):
            self._steering.ask_in_bar(focused.filter.text, Purpose.EVENTS)
        elif argument:
            self._screen.pane.apply_filter(argument)
        else:
            self._steering.ask_in_bar(self._screen.pane.filter.text, Purpose.FILTER)

    def menu(self, argument: str) -> None:
        """Ask which of the things is to be done that can be done with what is chosen."""
        pane, screen, items = self._screen.pane, self._screen, self._items()
        choices = [
            Choice(
                item.verb,
                item.key,
                screen.registry[item.verb].verb.name,
                item.detail,
                screen.why_not(item.verb, item.argument),
            )
            for item in items.values()
        ]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        self._steering.choose(
            pane.menu_title,
            choices,
            lambda verb: screen.action_verb(verb, items[verb].argument),
            chosen,
        )

    def _items(self) -> dict[str, MenuItem]:
        """Return what can be done here, by verb: with what is chosen, then with the run."""
        items = {item.verb: item for item in self._screen.pane.menu()}
        taken = {item.key for item in items.values()}
        return items | {
            item.verb: item
            for item in OF_THE_RUN
            if not {item.verb, item.key} & {*items, *taken}
            and not self._screen.why_not(item.verb, "")
        }

    def nothing_to_do(self, argument: str) -> str | None:
        """Say so if the menu would be empty."""
        return None if self._items() else self._screen.pane.nothing_to_do

    verbs = (
        Verb("open", "Open the details", ("enter",), open, nothing_chosen, footer="Open"),
        Verb("filter", "Filter the rows", ("slash",), filter, args="[FILTER]", footer="Filter"),
        Verb("menu", "Actions…", ("x",), menu, nothing_to_do, footer="Actions"),
    )
