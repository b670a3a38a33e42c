"""The plugins' pane: what there is, how it does, and what a person changes about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from anabranch.core import inputs
from anabranch.core.ids import FINAL_POINT
from anabranch.engine.guarded_strategies import StrategyUse
from anabranch.plugin_store.listing import Listing, list_plugins
from anabranch.plugin_store.places import Places
from tests.console.conftest import Console, OpenConsole
from tests.console.scripted_source import ScriptedSource, plan_of, stream
from tests.plugins.wheels import write_wheel


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """Give a run of two streams that meet at the final point."""
    source = ScriptedSource(plan_of([stream("a"), stream("b")]), tmp_path)
    source.pass_time(1.0)
    source.used = {
        "barrier": StrategyUse(calls=4, seconds=0.002),
        "retry": StrategyUse(3, 1.5, 3, "no answer within 1 s", is_set_aside=True),
    }
    return source


async def test_it_shows_calls_time_faults_and_what_the_plan_has_it_for(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        await console.press("9")
        rows = {row.strategy: row for row in console.grid("plugins").rows}
        assert {"barrier", "progressive", "longest-first", "retry", "sequential"} <= set(rows)
        shown = console.shown()
        for painted in ("in use", "4 calls, 0.50 ms each", "final", "1 set aside"):
            assert painted in shown
        await choose(console, "retry")
        assert "3 times; the last" in console.shown()


async def test_a_strategy_is_chosen_for_a_point_that_has_not_begun(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        await console.press("9")
        await choose(console, "progressive")
        await console.press("c")
        (asked,) = console.source.commands
        assert asked == inputs.ChooseStrategy(
            kind="convergence",
            strategy="progressive",
            point=FINAL_POINT,
            reason="chosen in the console",
        )
        assert console.source.state.point_plan(FINAL_POINT).type == "progressive"


async def test_the_options_that_a_strategy_takes_are_shown(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        await console.press("9")
        await choose(console, "progressive")
        shown = console.shown()
        assert "options" in shown
        assert "at_once = 0" in shown
        await choose(console, "affinity")
        assert "price_seconds = 10.0" in console.shown()


async def test_what_no_plan_names_is_not_chosen(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    async with open_console(source) as console:
        await console.press("9", "G", "c")
        assert not console.source.commands


async def test_a_plugin_is_installed_and_disabled_from_the_console(
    open_console: OpenConsole,
    source: ScriptedSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it would bring is shown first; nothing is installed without a yes."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = write_wheel(tmp_path, "anabranch-pane")
    async with open_console(source) as console:
        await console.press("9")
        await console.command(f"install {made}")
        await until(console, lambda: "Install anabranch-pane 1.0?" in console.shown())
        assert installed() == []
        await console.press("y")
        await until(console, lambda: installed() == [("anabranch-pane", "ok")])
        await until(console, lambda: any("installed anabranch-pane" in t for t in console.toasts()))
        await console.command("disable-plugin anabranch-pane")
        await until(console, lambda: installed() == [("anabranch-pane", "disabled")])


async def test_what_the_store_refuses_is_told_with_the_reason(
    open_console: OpenConsole,
    source: ScriptedSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    async with open_console(source) as console:
        await console.press("9")
        await console.command(f"install {tmp_path / 'nothing-here'}")
        await until(console, lambda: any("nothing-here" in shown for shown in console.toasts()))
        await console.command("disable-plugin anabranch")
        assert any("built in" in shown for shown in console.toasts())
        await console.command("remove-plugin no\x1b[2Jthing")
        assert "Remove nothing?" in console.shown(), (
            "a question has no signs that act on a terminal"
        )


async def test_however_often_it_is_visited_what_is_installed_is_read_once_at_a_time(
    open_console: OpenConsole, source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key held down takes no thread from what decides; the last visit sees what is there then."""
    may_end, begun = Event(), []

    def slowly(places: Places) -> Listing:
        begun.append(places)
        may_end.wait(20)
        return list_plugins(places)

    monkeypatch.setattr("anabranch.plugin_store.listing.list_plugins", slowly)
    async with open_console(source) as console:
        await console.press(*"91919191")
        await until(console, lambda: bool(begun))
        assert len(begun) == 1
        may_end.set()
        await until(console, lambda: len(begun) == 2)
        await console.press("9")
        await until(console, lambda: "built-in" in console.shown())
        assert len(begun) <= 3


async def choose(console: Console, strategy: str) -> None:
    """Move the cursor down to a strategy."""
    pane = console.grid("plugins")
    while pane.chosen is not None and pane.chosen.strategy != strategy:
        await console.press("down")


def installed() -> list[tuple[str, str]]:
    listing = list_plugins(Places.of_this_python())
    return [(p.name, p.state) for p in listing.plugins if p.origin == "installed"]


async def until(console: Console, condition: Callable[[], bool]) -> None:
    """Let the console go on until something is so; the store works in a process of its own."""
    deadline = monotonic() + 60.0
    while not condition():
        assert monotonic() < deadline, console.shown()
        await console.frame()
