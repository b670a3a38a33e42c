"""Every hook of the console: panes, columns, actions and themes that plugins bring.

They are a group of entry points of their own (``anabranch.console``), so that a plugin of the
engine needs no console. All are shown what scripts see, the run as ``anabranch status --json``
tells it, and answer with text. They are asked in a thread beside the console, for a limited time;
what fails is reported by name and set aside, and what they say is made harmless before it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import pluggy

from anabranch.bounded_call import in_words
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugins import SetAside, gather
from anabranch_console.lines import Align

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "anabranch.console"
PROJECT = "anabranch_console"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

_NAME = re.compile(r"[a-z][a-z0-9-]*")
NARROWEST, WIDEST = 3, 40
"""The cells that a column may have."""

Status = Mapping[str, Any]
"""The run as ``anabranch status --json`` tells it."""


class PaneColumn(msgspec.Struct, frozen=True):
    """A column of a plugin's table; ``width`` is in cells, 0 takes what is left.

    ``align`` is ``left`` or ``right``.
    """

    title: str
    width: int = 0
    align: Align = "left"


class PaneRow(msgspec.Struct, frozen=True):
    """A row of a plugin's table: known by ``key``, ``details`` are the lines beside it.

    ``refusals`` says of verbs, by name, why they cannot be used on it now; ``level`` is what its
    colour says, ``stream`` the stream it is about, for verbs that act on the chosen one.
    """

    key: str
    cells: Sequence[str]
    details: Sequence[str] = ()
    refusals: Mapping[str, str] = {}
    level: Literal["", "good", "warning", "error"] = ""
    stream: str = ""


class PaneVerb(msgspec.Struct, frozen=True):
    """Something to do in a plugin's pane: by its key (a letter), by ``x``, and by ``:PANE.NAME``.

    ``args`` shows in help what may be typed after it, "" for nothing; ``completes`` is what that is
    completed from: ``rows`` for the keys of the pane's rows, or what the console's own verbs
    complete (``streams``, ``locks``, ``points``…). ``footer`` is its short name in the footer. A
    verb that ``steers`` cannot be used while the past is shown.
    """

    name: str
    title: str
    key: str = ""
    args: str = ""
    completes: str = ""
    footer: str = ""
    steers: bool = False


class RunCommand(msgspec.Struct, frozen=True):
    """The answer of a verb that has a command of the console done, as if somebody had typed it."""

    line: str


class PluginPane(Protocol):
    """A pane of lines. Asked once a second while it is shown."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...

    def lines(self, status: Status) -> Sequence[str]:
        """Return the lines to show."""
        ...


class PluginTable(Protocol):
    """A pane with columns, rows, details and verbs, as the console's own are."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def columns(self) -> Sequence[PaneColumn]: ...
    @property
    def verbs(self) -> Sequence[PaneVerb]: ...

    def rows(self, status: Status) -> Sequence[PaneRow]:
        """Return the rows to show; asked once a second while the pane is shown."""
        ...

    def do(self, verb: str, row: str, argument: str, status: Status) -> str | RunCommand:
        """Do it, and return what to tell, or what the console is to do; ``row`` is a key."""
        ...


class PluginColumn(Protocol):
    """A column of the streams. Asked once a second about every stream; ``width`` is in cells."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def width(self) -> int: ...

    def text(self, stream: Mapping[str, Any]) -> str:
        """Return what to show of a stream, as an entry of ``streams`` of the status tells it."""
        ...


class PluginAction(Protocol):
    """Something to do by ``:do NAME [STREAM]``, or by ``X``."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...

    def run(self, status: Status, stream: str | None) -> str:
        """Do it, and return what to tell; ``stream`` is the chosen one."""
        ...


class PluginTheme(Protocol):
    """A theme: ``toml`` is the text of a theme file."""

    @property
    def name(self) -> str: ...
    @property
    def toml(self) -> str: ...


class ConsoleHooks:
    """The hooks that a plugin of the console may implement. None has arguments."""

    @hookspec
    def anabranch_console_panes(self) -> Iterable[PluginPane | PluginTable]:
        """Return the panes this plugin brings: ``0`` goes to them, and ``:pane NAME``.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_console_columns(self) -> Iterable[PluginColumn]:
        """Return the columns this plugin brings to the table of streams.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_console_actions(self) -> Iterable[PluginAction]:
        """Return the actions this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_console_themes(self) -> Iterable[PluginTheme]:
        """Return the themes this plugin brings; one that is wrong is left out with the reason.

        .. versionadded:: 0.1
        """
        return ()


class PaneShape(msgspec.Struct, frozen=True):
    """The columns and the verbs of a plugin's pane, as they were read when it was loaded."""

    columns: tuple[PaneColumn, ...] = ()
    verbs: tuple[PaneVerb, ...] = ()


KINDS = {
    "panes": "anabranch_console_panes",
    "columns": "anabranch_console_columns",
    "actions": "anabranch_console_actions",
    "themes": "anabranch_console_themes",
}
"""Which hook brings which kind (a field of :class:`ConsolePlugins`)."""


class ConsolePlugins(msgspec.Struct, frozen=True):
    """What the console's plugins bring, by name, and which were set aside.

    ``themes`` are their texts, ``widths`` those of columns; what a plugin has for a title, and the
    ``shapes`` of its panes, are read once, when it is loaded.
    """

    panes: Mapping[str, PluginPane | PluginTable] = {}
    columns: Mapping[str, PluginColumn] = {}
    actions: Mapping[str, PluginAction] = {}
    themes: Mapping[str, str] = {}
    titles: Mapping[str, str] = {}
    widths: Mapping[str, int] = {}
    shapes: Mapping[str, PaneShape] = {}
    set_aside: tuple[SetAside, ...] = ()

    def title(self, kind: str, name: str) -> str:
        """Return the title of something, its name if it has none."""
        return self.titles.get(f"{kind} {name}") or name


def load_console_plugins(points: Iterable[EntryPoint] | None = None) -> ConsolePlugins:
    """Return what is installed for the console; never raises because of a plugin."""
    gathered = gather(GROUP, ConsoleHooks, KINDS, points, PROJECT)
    set_aside = list(gathered.set_aside)
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    titles: dict[str, str] = {}
    widths: dict[str, int] = {}
    shapes: dict[str, PaneShape] = {}
    for kind, brought in gathered.found.items():
        for one in brought:
            if one.name in found[kind]:
                set_aside.append(SetAside(one.plugin, f"{one.name!r} is already taken"))
                continue
            try:
                if kind == "themes":
                    found[kind][one.name] = str(one.strategy.toml)
                    continue
                titles[f"{kind} {one.name}"] = escape_for_terminal(str(one.strategy.title))
                if kind == "columns":
                    widths[one.name] = min(WIDEST, max(NARROWEST, int(one.strategy.width)))
                if kind == "panes":
                    shapes[one.name] = shape_of(one.strategy)
                found[kind][one.name] = one.strategy
            except Exception as error:
                set_aside.append(SetAside(one.plugin, f"{one.name}: {in_words(error)}"))
    aside = tuple(set_aside)
    return ConsolePlugins(**found, titles=titles, widths=widths, shapes=shapes, set_aside=aside)


def shape_of(pane: PluginPane | PluginTable) -> PaneShape:
    """Return the columns and the verbs of a pane; one of lines has none of its own.

    Raises:
        TypeError, ValueError: they are not what they have to be.
    """
    if not hasattr(pane, "rows"):
        return PaneShape(verbs=_verbs_of(pane))
    columns = tuple(getattr(pane, "columns", ()))
    if not columns or not all(isinstance(column, PaneColumn) for column in columns):
        raise TypeError("columns is not a list of PaneColumn with at least one")
    for column in columns:
        _hold_to_types(column)
    return PaneShape(columns, _verbs_of(pane))


def _verbs_of(pane: object) -> tuple[PaneVerb, ...]:
    verbs = tuple(getattr(pane, "verbs", ()))
    if not all(isinstance(verb, PaneVerb) for verb in verbs):
        raise TypeError("verbs is not a list of PaneVerb")
    if verbs and not callable(getattr(pane, "do", None)):
        raise TypeError("it has verbs, but no method do that does them")
    for verb in verbs:
        _hold_to_types(verb)
        if not _NAME.fullmatch(verb.name):
            raise ValueError(f"the verb {verb.name!r} is not named by small letters and dashes")
        if verb.key and not (verb.key.isascii() and verb.key.isalpha() and len(verb.key) == 1):
            raise ValueError(f"the key {verb.key!r} of {verb.name} is not one letter")
    if len({verb.name for verb in verbs}) != len(verbs):
        raise ValueError("two verbs have the same name")
    return verbs


def _hold_to_types(found: PaneColumn | PaneVerb) -> None:
    """Raise ValidationError if a plugin has filled a field with something else than it is for."""
    msgspec.convert(msgspec.structs.asdict(found), type(found))
