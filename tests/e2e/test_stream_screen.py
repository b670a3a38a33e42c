"""A stream's terminal as a pane of the console: a real holder, the console driven by its keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import thread_time

from textual.events import Paste

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.attaching import terminal_record
from anabranch.paths import RunFolder
from anabranch_console.app import ConsoleApp
from tests.console.conftest import Console, settle
from tests.console.scripted_source import ScriptedSource, plan_of, stream
from tests.e2e.conftest import Crew

LEAVE = "ctrl+right_square_bracket"
LONGEST_LAG_SECONDS = 0.3


@asynccontextmanager
async def console_beside(crew: Crew, script: str) -> AsyncIterator[Console]:
    """Open a console on a run with one stream, which a real holder keeps on a terminal."""
    source = ScriptedSource(plan_of([stream("shell", tty=True)]), crew.run_folder)
    await crew.start("shell", "/bin/sh", "-c", script, tty=True)
    await crew.begun("shell")
    app = ConsoleApp(source, is_paced=False, environ={"ANABRANCH_GLYPHS": "unicode"})
    async with app.run_test(size=(120, 36)) as pilot:
        console = Console(app, source, pilot)
        await settle(pilot)
        await console.frame()
        yield console
        assert not app.faults, app.faults


async def test_a_program_in_the_pane_gets_all_keys_but_one(crew: Crew) -> None:
    """What moves, quits or pastes elsewhere is typed here; ctrl+] gives the keys back."""
    script = "stty raw -echo; printf '漢字 ready\\r\\n'; exec cat -vt"
    async with console_beside(crew, script) as console:
        await console.press("A")
        await crew.until(lambda: "漢字 ready" in console.shown(), "it is shown")
        assert "ctrl+] leaves" in console.shown()
        await console.press("ctrl+q", "tab", "q", "up", "escape", "ctrl+c", "X", "ü")
        console.app.screen.post_message(Paste("pasted"))
        await crew.until(lambda: "^Q^Iq^[[A^[^CXM-CM-<pasted" in console.shown(), "all went in")
        record = terminal_record(RunFolder(crew.run_folder), StreamId("shell"), Attempt(1))
        assert record is not None
        assert (record.rows, record.watchers, record.half_typed) == (23, 1, True)
        await console.press(LEAVE)
        assert console.app.focused is console.grid("streams")
        await console.press("question_mark")
        assert "Keys and commands" in console.shown()


async def test_the_program_in_the_pane_has_the_mouse_if_it_hears_it(crew: Crew) -> None:
    """Otherwise the mouse selects, as in every pane."""
    hears = "head -c 1 >/dev/null; printf '\\033[?1000h\\033[?1006h'"
    script = f"stty raw -echo; echo ready; {hears}; exec cat -vt"
    async with console_beside(crew, script) as console:
        await console.press("A")
        await crew.until(lambda: "ready" in console.shown(), "it is shown")
        view = console.screen.home.details.terminal
        assert view is not None
        await console.pilot.click(view, offset=(5, 2))
        assert view.allow_select
        await console.press("x")
        await crew.until(lambda: not view.allow_select, "it hears the mouse")
        await console.pilot.click(view, offset=(5, 2))
        await crew.until(lambda: "^[[<0;6;3M" in console.shown(), "it was told")
        assert "^[[<0;6;3m" in console.shown()


async def test_a_flood_in_the_pane_freezes_nothing(crew: Crew) -> None:
    """The stream runs at its own pace; the console answers, and shows the end when it is there."""
    flood = "yes 'a line of a flood, and one more' | head -c 20000000"
    async with console_beside(crew, f"stty -echo; read go; {flood}; echo over; read go") as console:
        lags: list[float] = []
        looking = asyncio.create_task(_look_at_lags(lags))
        await console.press("A")
        await crew.until(lambda: "leaves" in console.shown(), "it has the keys")
        await console.press("enter")
        await crew.until(lambda: "over" in console.shown(), "the end is shown")
        await console.press(LEAVE)
        assert console.app.focused is console.grid("streams")
        looking.cancel()
        assert max(lags) < LONGEST_LAG_SECONDS
    assert len(crew.log("shell")) > 19_000_000


async def _look_at_lags(lags: list[float]) -> None:
    """Note for how long, in this thread's own time, nothing else could happen."""
    while True:
        began = thread_time()
        await asyncio.sleep(0.005)
        lags.append(thread_time() - began)
