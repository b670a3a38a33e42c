"""Asking the console's plugins, beside the console: it shows what they said last, and never waits.

A thread asks the columns, and the pane that is shown, once a second; actions have one of their own.
All go through a guard: what raises, hangs or answers with nonsense is told, and set aside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anabranch.core.model.state import State
from anabranch.core.strategies.answers import WrongAnswer
from anabranch.core.views.projections import status
from anabranch.engine.guarded_strategies import Guard
from anabranch.hostile_text import escape_for_terminal
from anabranch_console.console_hooks import (
    ConsolePlugins,
    PluginAction,
    PluginColumn,
    PluginPane,
)

ASK_SECONDS = 1.0
MOST_LINES = 2_000
LONGEST_LINE = 500

Cells = Mapping[tuple[str, str], str]
"""What columns say, by column and stream."""


class Plugged:
    """The console's plugins at work. What it shows may be read from any thread."""

    def __init__(self, plugins: ConsolePlugins, state: Callable[[], State]) -> None:
        self.plugins = plugins
        self.cells: Cells = {}
        self.lines: Mapping[str, tuple[str, ...]] = {}
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
        """Return what nobody has been told of yet."""
        found = []
        for news in self._guard.news():
            aside = "; it is not asked again" if news.is_set_aside else ""
            found.append(f"{news.strategy} of {news.plugin}: {news.fault}{aside}")
        return found

    def do(self, name: str, stream: str | None, done: Callable[[str], None]) -> None:
        """Let an action happen; ``done`` is called with what it tells, from another thread."""
        action, guard = self.plugins.actions[name], self._guard
        told = self._told()

        def run() -> None:
            asked = partial(_acted, action, told, stream)
            said = guard.ask(action, f"action {name}", asked, lambda: None)
            done(f"{name}: {said}" if said is not None else f"{name} has failed")

        threading.Thread(target=run, name="ab-action", daemon=True).start()

    def ask_all(self) -> None:
        """Ask everybody once, in the calling thread."""
        told = self._told()
        cells: dict[tuple[str, str], str] = {}
        for name, column in self.plugins.columns.items():
            for stream in told["streams"]:
                ask = partial(_cell, column, stream)
                cells[name, stream["stream"]] = self._guard.ask(column, f"column {name}", ask, str)
        self.cells = cells
        pane = self.plugins.panes.get(self.shown_pane)
        if pane is not None:
            name = f"pane {self.shown_pane}"
            nothing: Callable[[], tuple[str, ...]] = tuple
            lines = self._guard.ask(pane, name, partial(_lines, pane, told), nothing)
            self.lines = {**self.lines, self.shown_pane: lines}

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ask_all()
            self._nudged.wait(ASK_SECONDS)
            self._nudged.clear()

    def _told(self) -> dict[str, Any]:
        return status(self._state(), True, None)


def _cell(column: PluginColumn, stream: Mapping[str, object]) -> str:
    return _text(column.text(stream))


def _lines(pane: PluginPane, told: Mapping[str, object]) -> tuple[str, ...]:
    found = pane.lines(told)
    if isinstance(found, str):
        raise WrongAnswer("it answered with a text, not with lines")
    return tuple(_text(line) for line in list(found)[:MOST_LINES])


def _acted(action: PluginAction, told: Mapping[str, object], stream: str | None) -> str:
    return _text(action.run(told, stream))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise WrongAnswer(f"{type(found).__name__} is no text")
    return escape_for_terminal(found)[:LONGEST_LINE]
