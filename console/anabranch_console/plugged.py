"""Asking the console's plugins, beside the console: it shows what they said last, and never waits.

A thread asks the columns, and the pane that is shown, once a second; actions have one of their own.
All go through a guard: what raises, hangs or answers with nonsense is reported, and set aside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from anabranch.core.model.state import State
from anabranch.core.strategies.answers import WrongAnswer
from anabranch.core.views.projections import status
from anabranch.engine.guarded_strategies import Guard
from anabranch.hostile_text import escape_for_terminal
from anabranch_console.console_hooks import (
    ConsolePlugins,
    PaneRow,
    PluginAction,
    PluginColumn,
    PluginPane,
    PluginTable,
    RunCommand,
)

ASK_SECONDS = 1.0
MOST_ROWS = 2_000
MOST_DETAILS = 200
LEVELS = ("good", "warning", "error")
LONGEST_LINE = 500

Answer = TypeVar("Answer")
Cells = Mapping[tuple[str, str], str]
"""What columns say, by column and stream."""


class Plugged:
    """The console's plugins at work. What it shows may be read from any thread."""

    def __init__(self, plugins: ConsolePlugins, state: Callable[[], State]) -> None:
        self.plugins = plugins
        self.cells: Cells = {}
        self.rows: Mapping[str, tuple[PaneRow, ...]] = {}
        self.shown_pane = ""
        self._state = state
        self._guard = Guard()
        self._stopping = threading.Event()
        self._nudged = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask, if there is anybody to ask."""
        if self.plugins.panes or self.plugins.columns:
            self._thread = threading.Thread(target=self._run, name="ab-console", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask nobody any more. A plugin that hangs is left to itself."""
        self._stopping.set()
        self._nudged.set()

    def show(self, pane: str) -> None:
        """Ask this pane from now on, and no other; at once."""
        self.shown_pane = pane
        self._nudged.set()

    def faults(self) -> list[str]:
        """Return what nobody has heard of yet."""
        found = []
        for news in self._guard.news():
            aside = "; it is not asked again" if news.is_set_aside else ""
            found.append(f"{news.strategy} of {news.plugin}: {news.fault}{aside}")
        return found

    def do(self, name: str, stream: str | None, done: Callable[[str], None]) -> None:
        """Let an action happen; ``done`` is called with what it tells, from another thread."""
        action, run = self.plugins.actions[name], self._status()

        def tell(answer: str | None) -> None:
            done(f"{name}: {answer}" if answer is not None else f"{name} has failed")

        self._beside(action, f"action {name}", partial(_acted, action, run, stream), tell)

    def do_in_pane(
        self,
        pane: str,
        verb: str,
        row: str,
        argument: str,
        done: Callable[[str | RunCommand | None], None],
    ) -> None:
        """Let a verb of a pane happen; ``done`` is called elsewhere, with None if it failed."""
        owner: Any = self.plugins.panes[pane]
        ask = partial(_done, owner, verb, row, argument, self._status())
        self._beside(owner, f"verb {verb} of pane {pane}", ask, done)

    def _beside(
        self,
        who: object,
        name: str,
        ask: Callable[[], Answer],
        done: Callable[[Answer | None], None],
    ) -> None:
        """Ask in a thread of its own: whatever it does may take its time."""

        def run() -> None:
            done(self._guard.ask(who, name, ask, _nothing))

        threading.Thread(target=run, name="ab-action", daemon=True).start()

    def ask_all(self) -> None:
        """Ask everybody once, in the calling thread."""
        run = self._status()
        cells: dict[tuple[str, str], str] = {}
        for name, column in self.plugins.columns.items():
            for stream in run["streams"]:
                ask = partial(_cell, column, stream)
                cells[name, stream["stream"]] = self._guard.ask(column, f"column {name}", ask, str)
        self.cells = cells
        pane = self.plugins.panes.get(self.shown_pane)
        if pane is not None:
            name = f"pane {self.shown_pane}"
            nothing: Callable[[], tuple[PaneRow, ...]] = tuple
            rows = self._guard.ask(pane, name, partial(_rows, pane, run), nothing)
            self.rows = {**self.rows, self.shown_pane: rows}

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ask_all()
            self._nudged.wait(ASK_SECONDS)
            self._nudged.clear()

    def _status(self) -> dict[str, Any]:
        return status(self._state(), True, None)


def _nothing() -> None:
    """Answer nothing, for a plugin that has failed."""


def _cell(column: PluginColumn, stream: Mapping[str, object]) -> str:
    return _text(column.text(stream))


def _rows(pane: PluginPane | PluginTable, run: Mapping[str, object]) -> tuple[PaneRow, ...]:
    """Return the rows of a table, or each line of a pane of lines as a row that tells itself."""
    if hasattr(pane, "rows"):
        rows = tuple(_row(row) for row in list(pane.rows(run))[:MOST_ROWS])
        if len({row.key for row in rows}) != len(rows):
            raise WrongAnswer("two rows have the same key")
        return rows
    found = pane.lines(run)
    if isinstance(found, str):
        raise WrongAnswer("it answered with a text, not with lines")
    lines = [_text(line) for line in list(found)[:MOST_ROWS]]
    return tuple(PaneRow(str(number), (line,), (line,)) for number, line in enumerate(lines))


def _row(found: object) -> PaneRow:
    if not isinstance(found, PaneRow):
        raise WrongAnswer(f"{type(found).__name__} is not a PaneRow")
    if isinstance(found.cells, str) or isinstance(found.details, str):
        raise WrongAnswer("cells or details are a text, not a list of texts")
    cells = tuple(_text(cell) for cell in found.cells)
    details = tuple(_text(line) for line in list(found.details)[:MOST_DETAILS])
    refusals = {str(verb): _text(reason) for verb, reason in found.refusals.items()}
    level = found.level if found.level in LEVELS else ""
    return PaneRow(_text(found.key), cells, details, refusals, level, _text(found.stream))


def _done(
    pane: PluginTable, verb: str, row: str, argument: str, run: Mapping[str, object]
) -> str | RunCommand:
    found = pane.do(verb, row, argument, run)
    if isinstance(found, RunCommand) and isinstance(found.line, str):
        return found
    return _text(found)


def _acted(action: PluginAction, run: Mapping[str, object], stream: str | None) -> str:
    return _text(action.run(run, stream))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise WrongAnswer(f"{type(found).__name__} is not a text")
    return escape_for_terminal(found)[:LONGEST_LINE]
