"""Nothing that is pressed, clicked or typed ends the console, which may be hosting the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key, MouseDown, MouseUp
from textual.screen import ModalScreen

from anabranch_console.built_in_verbs import BUILT_IN
from anabranch_console.panes.plugins import PluginsPane
from anabranch_console.registry import Known
from anabranch_console.screens.anywhere import Anywhere
from anabranch_console.screens.dialogs import Choose
from anabranch_console.verbs import Verb
from anabranch_console.widgets.command_bar import CommandBar, Purpose
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.coordination import coordinated_source
from tests.console.scripted_source import ScriptedSource, demo_source

SOURCES: dict[str, Callable[[Path], ScriptedSource]] = {
    "plain": demo_source,
    "coordinated": coordinated_source,
}
HOSTILE = "nonsense \x1b[2J[bold]%s {x}"
DIALOGS = (
    ("x",),
    ("2", "x"),
    ("x", "s"),
    ("x", "g"),
    ("x", "g", "h"),
    ("o",),
    ("ctrl+t",),
    ("y",),
    ("q",),
    ("question_mark",),
    ("ctrl+p",),
    ("9", "x"),
)
"""What opens each sort of dialog."""


async def calm(console: Console) -> None:
    """Let everything happen that was asked for; cheaper than waiting for the last paint."""
    app = console.app
    quiet = 0
    while quiet < 4 and app.is_running:
        await asyncio.sleep(0)
        pumps = [app, *app.screen_stack, *app.screen.walk_children()]
        quiet = 0 if any(pump.message_queue_size for pump in pumps) else quiet + 1


async def press(console: Console, *keys: str) -> None:
    """Press keys one after the other."""
    for key in keys:
        await press_at_once(console, key)


async def press_at_once(console: Console, *keys: str) -> None:
    """Press keys as fast as a hand that slips: all are in the queue before the first one counts."""
    for key in keys:
        console.app.post_message(Key(key, key if len(key) == 1 else None))
    await calm(console)


async def leave_everything(console: Console) -> None:
    """Go back to the table of the streams, whatever lies above it."""
    for _ in range(12):
        if not isinstance(console.app.screen, ModalScreen):
            break
        await press(console, "escape")
    console.screen.bar.close()
    if console.screen.mode != "streams" or not console.screen.home.grid.has_focus:
        console.screen.go_to("streams")
        console.screen.home.grid.focus()
        await calm(console)
    assert console.app.screen is console.screen


async def say(console: Console, line: str) -> None:
    """Enter a command by name."""
    console.screen.bar.bar.post_message(CommandBar.Entered(Purpose.COMMAND, line))
    await calm(console)


async def agree(console: Console) -> None:
    """Say yes to whatever is asked, unless it is whether to leave."""
    for key in ("y", "enter"):
        if isinstance(console.app.screen, ModalScreen):
            await press(console, key)


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What verbs change on disk (plugins, faults) is the test's own; an editor changes nothing."""
    for kind in ("DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("EDITOR", "true")


USUAL_SIZES = ((80, 24), (120, 40))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("plain", (40, 12)),
        ("coordinated", (80, 24)),
        ("plain", (120, 40)),
        ("coordinated", (200, 50)),
    ],
)
async def test_every_verb_is_done_by_key_and_by_name(
    name: str, size: tuple[int, int], open_console: OpenConsole, tmp_path: Path
) -> None:
    """With and without an argument, of the right sort and of none, and agreed to where it asks.

    At the smallest and the largest size by key alone.
    """
    source, is_usual = SOURCES[name](tmp_path), size in USUAL_SIZES
    async with open_console(source, size=size) as console:
        for known in BUILT_IN.known.values():
            verb = known.verb
            answer = leave_everything if verb.id == "quit" else agree
            await leave_everything(console)
            await _by_key(console, known)
            await answer(console)
            for argument in _arguments(console, verb) if is_usual else ():
                await leave_everything(console)
                await say(console, f"{verb.id} {argument}")
                await answer(console)
            assert console.app.is_running, verb.id
        await leave_everything(console)
        assert "Streams" in console.shown()


async def _by_key(console: Console, known: Known) -> None:
    """Press the key where it means the verb; some have none."""
    if not known.verb.keys:
        return
    if known.pane:
        await say(console, known.pane)
    if known.owner == "log":
        await press(console, "l")
    await press(console, *known.verb.keys[0].split(" "))


def _arguments(console: Console, verb: Verb[Any]) -> tuple[str, ...]:
    """Return what to give a verb: nothing, nonsense, and the first of what it takes."""
    if not verb.args:
        return ("", HOSTILE)
    known = list(console.screen.completable().get(verb.completes, ()))
    return ("", HOSTILE, *known[:1], f"{known[0]} {HOSTILE}" if known else "1")


async def test_whatever_is_done_twice_counts_once(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Doubled keys, clicks and escapes in every dialog, and in what opens it."""
    async with open_console(coordinated_source(tmp_path)) as console:
        for opening in DIALOGS:
            leaving = opening == ("q",)  # whose choices do end it
            for twice in ("escape", "q") + (() if leaving else ("enter", "y", "e", "s")):
                await leave_everything(console)
                await press(console, *opening)
                await press_at_once(console, twice, twice, twice)
                assert len(console.app.screen_stack) <= 2
            await leave_everything(console)
            await press(console, *opening[:-1])
            await press_at_once(console, opening[-1], opening[-1])
            assert len(console.app.screen_stack) <= 2
            await leave_everything(console)
            for y in (17, 18, 19) if not leaving else ():
                console.screen.steering.hold_off_seconds = 0.0
                await press(console, *opening)
                console.screen.steering.hold_off_seconds = (
                    60.0  # for what comes up under the second click
                )
                await click_twice(console, 60, y)
                await leave_everything(console)
            console.screen.steering.hold_off_seconds = 0.0
            assert console.app.is_running, (opening, console.app.return_value, console.app.faults)


async def click_twice(console: Console, x: int, y: int) -> None:
    """Click somewhere on the screen, twice before the first one counts."""
    for kind in (MouseDown, MouseUp) * 2:
        event = kind(None, x, y, 0, 0, 1, False, False, False, x, y)
        console.app.post_message(event)
    await calm(console)


async def test_a_key_that_left_a_question_means_nothing_below_it(
    open_console: OpenConsole,
) -> None:
    """Doubled it chooses once; without the moment's grace the second one would open the log."""
    async with open_console() as console:
        console.screen.home.choose("unit")
        console.screen.steering.hold_off_seconds = 60.0
        await console.press("y", "l", "l")
        assert console.screen.focused is console.screen.home.grid
        console.screen.steering.hold_off_seconds = 0.0
        await console.press("l")
        assert console.screen.focused is not console.screen.home.grid


async def test_two_questions_are_never_stacked_by_a_doubled_key(open_console: OpenConsole) -> None:
    """The menu is there once, so one escape leaves it."""
    async with open_console() as console:
        await press_at_once(console, "x", "x")
        assert len(console.app.screen_stack) == 2
        await console.press("escape")
        assert console.app.screen is console.screen


async def test_nothing_to_choose_is_no_dialog(open_console: OpenConsole) -> None:
    """A pane without actions says so; an empty choice can be left."""
    async with open_console() as console:
        await console.press("9", "x")
        assert "Actions: nothing can be done with what is chosen here" in console.toasts()
        console.app.push_screen(Choose("Nothing", []))
        await settle(console.pilot)
        await console.press("down", "enter", "escape")
        assert console.app.screen is console.screen


async def test_an_error_in_a_verb_is_told_and_kept(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a key, in the answer to a dialog, in a worker, in painting: the console goes on."""

    def broken(*_: object) -> None:
        raise RuntimeError("nobody [red]foresaw[/] this")

    async with open_console() as console:
        home = console.screen.home
        plugins = console.screen.pane_of("plugins")
        assert isinstance(plugins, PluginsPane)
        for owner, name in (
            (home, "step_sort"),
            (home, "_sort_by"),
            (Anywhere, "_leave"),
            (plugins.changes, "look_up"),
        ):
            monkeypatch.setattr(owner, name, broken)
        await console.press("less_than_sign", "o", "enter", "q", "c", "9", "1")
        monkeypatch.setattr(home.grid, "strip_at", broken)
        home.grid.refresh()
        await settle(console.pilot)
        monkeypatch.undo()
        await console.press("j", "2")
        assert "Locks" in console.shown()
        (shown,) = [t for t in console.toasts() if "should not have happened" in t]
        assert "RuntimeError: nobody [red]foresaw[/] this" in shown
        (kept,) = (tmp_path / "state" / "anabranch" / "faults").iterdir()
        assert "Traceback" in kept.read_text("utf-8")
        console.expects_faults = True


async def test_the_store_waits_for_nobody_who_left(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Whoever closes the console while a plugin is to be agreed to has not agreed."""
    answer: Future[bool] = Future()
    source = coordinated_source(tmp_path)
    async with open_console(source) as console:
        plugins = console.screen.pane_of("plugins")
        assert isinstance(plugins, PluginsPane)
        plugins.changes._asked = answer
    assert answer.result(5) is False
