"""What painting may cost: in painted lines, layouts and bytes, which do not depend on load."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.model.state import State
from anabranch.core.views.outlook import Rest, rest_of
from anabranch.engine.handler_book import HandlerBook
from anabranch_console import handler_reading, run_model
from anabranch_console.frame_clock import (
    BLURRED_PERIOD_SECONDS,
    PERIOD_SECONDS,
    SLOWEST_PERIOD_SECONDS,
    FrameClock,
    writes_waiting,
)
from anabranch_console.screens.run_screen import RunScreen
from anabranch_console.text_filter import TextFilter
from anabranch_console.widgets.line_view import LineView
from tests.console.conftest import Console, OpenConsole
from tests.console.fanned import Scribe, fanned_source
from tests.console.scripted_source import ScriptedSource, plan_of, stream

FULL_FRAME_BYTES_LIMIT = 24 * 1024
HANDLERS = 100_000
MOST_KEYS = 200
"""How often the console's own thread may ask which handler a row is of: not once a row."""


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the painted lines of each pane, and the layouts of the screen."""
    counts: Counter[str] = Counter()
    render_line, layout = LineView.render_line, RunScreen._refresh_layout

    def count_line(self: LineView, y: int) -> object:
        counts[self.id or ""] += 1
        return render_line(self, y)

    def count_layout(self: RunScreen, *args: object, **kwargs: object) -> None:
        counts["layout"] += 1
        layout(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(LineView, "render_line", count_line)
    monkeypatch.setattr(RunScreen, "_refresh_layout", count_layout)
    return counts


async def _settle(console: Console, painted: Counter[str]) -> None:
    for _ in range(3):
        await console.frame()
    painted.clear()


def _thousand(folder: Path) -> ScriptedSource:
    plan = plan_of([stream(f"s-{n:04}") for n in range(1000)], parallel=1000)
    return ScriptedSource(plan, folder)


async def test_nothing_is_painted_when_nothing_changed(
    open_console: OpenConsole, painted: Counter[str]
) -> None:
    """Unchanged ticks paint no line and lay nothing out."""
    async with open_console() as console:
        await _settle(console, painted)
        for _ in range(10):
            await console.frame()
        assert painted == Counter()


async def test_only_the_changed_row_is_painted(
    open_console: OpenConsole, painted: Counter[str]
) -> None:
    """One stream's new line of output paints its row, and nothing else of the table."""
    async with open_console() as console:
        await _settle(console, painted)
        console.source.speak("unit", "something new", cpu_percent=97.0, files_changed=1)
        await console.frame()
        assert painted["streams-rows"] == 1
        assert painted["header"] == painted["footer"] == painted["events"] == 0
        assert painted["layout"] == 0


async def test_invisible_rows_are_not_painted(
    open_console: OpenConsole, painted: Counter[str], tmp_path: Path
) -> None:
    """Of a thousand streams that all speak, only the visible rows are painted, once each."""
    source = _thousand(tmp_path)
    async with open_console(source) as console:
        await _settle(console, painted)
        for number in range(500, 1000):
            source._vitals[f"s-{number:04}"] = None  # type: ignore[index,assignment]
        source.speak("s-0999", "far below")
        await console.frame()
        assert painted["streams-rows"] == 0
        for number in range(200):
            source.speak(f"s-{number:04}", "hello")
        await console.frame()
        assert 0 < painted["streams-rows"] <= console.screen.home.grid.size.height
        assert painted["layout"] == 0


async def test_what_is_expected_is_worked_out_once_a_second(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The forecast of a thousand streams, however many frames have something to paint."""
    counts: Counter[str] = Counter()

    def counted(state: State, now: float) -> Rest | None:
        counts["forecast"] += 1
        return rest_of(state, now)

    monkeypatch.setattr(run_model, "rest_of", counted)
    source = _thousand(tmp_path)
    async with open_console(source) as console:
        await console.frame()
        counts.clear()
        for number in range(8):
            source.finish(f"s-{number:04}")
            await console.frame()
        assert counts["forecast"] == 0
        source.pass_time(1.0)
        await console.frame()
        assert counts["forecast"] == 1


async def test_a_key_paints_two_rows(open_console: OpenConsole, painted: Counter[str]) -> None:
    """Moving the cursor paints the row it left and the row it reached, not the table."""
    async with open_console() as console:
        await _settle(console, painted)
        await console.press("j")
        assert painted["streams-rows"] == 2
        assert painted["events"] == painted["header"] == 0
        assert painted["layout"] == 0


async def test_a_hundred_thousand_handlers_cost_a_frame_what_is_in_sight(
    open_console: OpenConsole,
    painted: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are read, filtered and sorted by another thread; the console's own looks at no row that
    nobody sees, neither when the book grows nor when a key is pressed."""
    scribe = Scribe(tmp_path)
    for place in range(HANDLERS):
        scribe.begin(place, f"src/{place}.py")
        scribe.end(place, code=int(place % 1000 == 999))
    scribe.write()
    monkeypatch.setattr(handler_reading, "LISTING_SECONDS", 0.0)
    looked_at: Counter[str] = Counter()
    ours = threading.get_ident()

    def count(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: object) -> object:
            looked_at[name if threading.get_ident() == ours else f"{name} elsewhere"] += 1
            return original(*args)

        monkeypatch.setattr(owner, name, counted)

    async with open_console(fanned_source(tmp_path)) as console:
        await console.press("enter")
        grid = console.grid("handlers")
        await wait_until(console, lambda: len(grid.rows) == HANDLERS)
        count(HandlerBook, "look")
        count(TextFilter, "matches")
        grid.key = counting(grid.key, looked_at)
        await _settle(console, painted)
        for number in range(3):
            scribe.begin(HANDLERS + number, "another.py")
            scribe.write()
            console.source.pass_time(1.0)
            await console.frame()
            await console.app.workers.wait_for_complete()
            await console.frame()
        assert len(grid.rows) == HANDLERS + 3
        assert painted["handlers-rows"] <= 3 * grid.size.height  # its title tells how many
        assert painted["layout"] == 0
        await console.command("filter failed")
        await wait_until(console, lambda: len(grid.rows) == HANDLERS // 1000)
        await console.command("filter src")
        await console.command("sort-handlers seconds")
        await wait_until(console, lambda: len(grid.rows) == HANDLERS)
        await _settle(console, painted)
        await console.press("n", "j", "G")
        assert painted["handlers-rows"] <= 3 * grid.size.height
    assert looked_at["look elsewhere"] >= 3
    assert looked_at["look"] == looked_at["matches"] == 0
    assert looked_at["key"] <= MOST_KEYS


def counting(key: Callable[[Any], Any], counts: Counter[str]) -> Callable[[Any], Any]:
    """Return a function that does the same and is counted."""

    def counted(row: object) -> object:
        counts["key"] += 1
        return key(row)

    return counted


async def wait_until(console: Console, holds: Callable[[], bool]) -> None:
    """Let frames go by until threads have brought what is waited for."""
    async with asyncio.timeout(60):
        while not holds():
            await console.app.workers.wait_for_complete()
            await console.frame()


async def test_a_full_frame_is_small(open_console: OpenConsole) -> None:
    """Painting the whole screen anew sends less than 24 KiB to the terminal."""
    async with open_console() as console:
        console.screen.refresh()
        update = console.screen._compositor.render_full_update()
        sent = update.render_segments(console.app.console)
        assert len(sent.encode()) <= FULL_FRAME_BYTES_LIMIT


def test_the_clock_slows_down_when_painting_is_dear() -> None:
    """A frame that eats its period halves the rate, down to one a second; cheap ones restore it."""
    clock = FrameClock()
    for _ in range(6):
        clock.after_frame(0.5)
    assert clock.period_seconds == SLOWEST_PERIOD_SECONDS
    for _ in range(6):
        clock.after_frame(0.001)
    assert clock.period_seconds == PERIOD_SECONDS


def test_the_clock_is_slow_while_nobody_looks() -> None:
    """A window without focus gets one frame a second."""
    clock = FrameClock()
    clock.is_focused = False
    assert clock.after_frame(0.001) == BLURRED_PERIOD_SECONDS


def test_a_stalled_terminal_skips_frames() -> None:
    """While writes wait for the terminal nothing more is painted; a headless driver never waits."""
    clock = FrameClock()
    assert clock.may_paint(0)
    assert not clock.may_paint(10)
    assert clock.skipped == 1

    class Queue:
        def qsize(self) -> int:
            return 7

    class Thread:
        _queue = Queue()

    class Driver:
        _writer_thread = Thread()

    assert writes_waiting(Driver()) == 7
    assert writes_waiting(object()) == 0


def test_importing_the_app_loads_nothing_heavy() -> None:
    """What the first picture does not need is not imported for it."""
    code = (
        "import sys, anabranch_console.app;"
        "heavy = {'pydantic', 'psutil', 'apsw', 'click', 'watchdog', 'textual.widgets._markdown',"
        " 'textual.widgets._text_area', 'textual.widgets._data_table', 'anabranch.config',"
        " 'importlib.metadata'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_who_only_looks_at_a_run_does_not_wait_for_what_hosts_one() -> None:
    """That is loaded when it is to be hosted."""
    code = (
        "import sys, anabranch_console.cli.console, anabranch_console.app;"
        "hosting = {'anabranch.engine.host', 'anabranch.engine.engine', 'anabranch.config',"
        " 'anabranch.engine.performing', 'zoneinfo', 'anabranch_console.cli.hosting',"
        " 'anabranch.engine.workspaces'};"
        "print(sorted(hosting & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
