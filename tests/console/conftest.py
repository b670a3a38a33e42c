"""A console over a scripted run, for every test of this folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Key, Paste
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input

from anabranch_console.app import ConsoleApp, ConsoleExit
from anabranch_console.remembering import Memory
from anabranch_console.screens.anywhere import Anywhere
from anabranch_console.widgets.grid import Grid
from tests.console.scripted_source import ScriptedSource, demo_source

OpenConsole = Callable[..., AbstractAsyncContextManager["Console"]]


QUIET_ROUNDS = 2
SETTLING_SECONDS = 20.0


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until every message is handled and nothing is left to lay out or paint."""
    quiet = 0
    async with asyncio.timeout(SETTLING_SECONDS):
        while quiet < QUIET_ROUNDS and not pilot.app._exit:
            await pilot._wait_for_screen()
            quiet = quiet + 1 if _is_quiet(pilot.app) else 0
            await asyncio.sleep(0.001)


def _is_quiet(app: App[Any]) -> bool:
    screen = app.screen
    pumps = [app, *app.screen_stack, *screen.walk_children()]
    is_painted = not (screen._layout_required or screen._dirty_widgets)
    if getattr(app, "is_taking_in", False):
        return False
    return is_painted and not any(pump.message_queue_size for pump in pumps)


def burst(app: App[Any], *typed: str) -> None:
    """Type texts and keys, all before the first has had its effect; a list is pasted."""
    for what in typed:
        if what.startswith("paste:"):
            app.post_message(Paste(what.removeprefix("paste:")))
        elif what in ("enter", "tab", "backspace", "shift+tab", "left", "escape"):
            app.post_message(Key(what, None))
        else:
            for letter in what:
                key = letter if letter.isalnum() else _character_to_key(letter)
                app.post_message(Key(key, letter))


class Console:
    """A console in a test: the app, its source, and hands to use it with."""

    def __init__(self, app: ConsoleApp, source: ScriptedSource, pilot: Pilot[ConsoleExit]) -> None:
        self.app = app
        self.source = source
        self.pilot = pilot
        self.screen = app.run_screen
        self.expects_faults = False

    async def frame(self) -> None:
        """Pull one frame, and let everything that follows from it happen."""
        self.app.advance()
        await settle(self.pilot)

    async def press(self, *keys: str) -> None:
        """Press keys, and let everything that follows from them happen."""
        for key in keys:
            await self.pilot.press(key)
            await settle(self.pilot)

    async def type(self, text: str) -> None:
        """Type a text into the input that has the focus."""
        focused = self.app.focused
        assert isinstance(focused, Input)
        focused.insert_text_at_cursor(text)
        await settle(self.pilot)

    async def command(self, line: str) -> None:
        """Type a command into the command bar."""
        await self.press("colon")
        self.screen.bar.bar.value = line
        await self.press("enter")

    def grid(self, pane: str) -> Grid[Any]:
        """Return the grid of a pane."""
        return self.screen.pane_of(pane).grid

    def hits(self) -> set[str]:
        """Return what the palette offers."""
        return {hit.id for hit in Anywhere(self.screen).hits()}

    def shown(self) -> str:
        """Return the screen as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    def toasts(self) -> list[str]:
        """Return what the toasts say."""
        return [notification.message for notification in self.app._notifications]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every clock on screen show UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test changes what is in the clipboard of whoever runs it."""
    monkeypatch.setenv("ANABRANCH_CLIPBOARD", "osc52")


@pytest.fixture(autouse=True)
def _toasts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told stands for as long as a test takes, however busy the machine is."""
    monkeypatch.setattr(ConsoleApp, "NOTIFICATION_TIMEOUT", 3600.0)


@pytest.fixture
def open_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenConsole:
    """Return a function that opens a console of some size over a source."""
    # The pilot guesses from the processor's idleness; waiting is what `settle` is for.
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.002)

    @asynccontextmanager
    async def opened(
        source: ScriptedSource | None = None,
        size: tuple[int, int] = (120, 36),
        memory: Memory | None = None,
        **environ: str,
    ) -> AsyncIterator[Console]:
        source = source or demo_source(tmp_path)
        environ = {"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ}
        app = ConsoleApp(source, is_paced=False, environ=environ, memory=memory)
        app.run_screen.steering.hold_off_seconds = 0.0
        async with app.run_test(size=size) as pilot:
            console = Console(app, source, pilot)
            await settle(pilot)
            await console.frame()
            yield console
            assert console.expects_faults or not app.faults, app.faults

    return opened
