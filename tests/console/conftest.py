"""A console over a scripted run, for every test of this folder."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from anabranch_console.app import ConsoleApp, ConsoleExit
from tests.console.scripted_source import ScriptedSource, demo_source

OpenConsole = Callable[..., AbstractAsyncContextManager["Console"]]


class Console:
    """A console in a test: the app, its source, and hands to use it with."""

    def __init__(self, app: ConsoleApp, source: ScriptedSource, pilot: Pilot[ConsoleExit]) -> None:
        self.app = app
        self.source = source
        self.pilot = pilot
        self.screen = app.run_screen

    async def frame(self) -> None:
        """Pull one frame, and let everything that follows from it happen."""
        self.app.advance()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys, and let everything that follows from them happen."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text, character by character."""
        await self.press(*text)

    async def command(self, line: str) -> None:
        """Type a command into the command bar."""
        await self.press("colon")
        self.screen.bar.bar.value = line
        await self.press("enter")

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


@pytest.fixture
def open_console(tmp_path: Path) -> OpenConsole:
    """Return a function that opens a console of some size over a source."""

    @asynccontextmanager
    async def opened(
        source: ScriptedSource | None = None,
        size: tuple[int, int] = (120, 36),
        **environ: str,
    ) -> AsyncIterator[Console]:
        source = source or demo_source(tmp_path)
        environ = {"ANABRANCH_GLYPHS": "unicode", **environ}
        app = ConsoleApp(source, is_paced=False, environ=environ)
        app.run_screen.hold_off_seconds = 0.0
        async with app.run_test(size=size) as pilot:
            console = Console(app, source, pilot)
            await console.frame()
            yield console

    return opened
