"""The footer names the keys that can be used now, and no others: in every pane, on every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import ModalScreen

from anabranch_console.built_in_verbs import BUILT_IN
from anabranch_console.places import places_of
from anabranch_console.verbs import Verb, shown_key
from tests.console.conftest import Console, OpenConsole
from tests.console.coordination import coordinated_source
from tests.console.scripted_source import (
    ScriptedSource,
    demo_source,
    finish_everything,
)
from tests.console.test_nothing_ends_it import calm, leave_everything, press

MOST_ROWS = 5


def over_source(folder: Path) -> ScriptedSource:
    """Return a run that is over."""
    source = demo_source(folder)
    finish_everything(source)
    return source


SOURCES: dict[str, Callable[[Path], ScriptedSource]] = {
    "plain": demo_source,
    "coordinated": coordinated_source,
    "over": over_source,
}
PANES = sorted({known.pane for known in BUILT_IN.known.values() if known.pane})


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind in ("DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("EDITOR", "true")


def named_in_footer(console: Console) -> list[str]:
    """Return the keys that the footer names."""
    return [span.text for span in console.screen.footer.lines[0] if span.style == "key"]


def named_here(console: Console) -> list[Verb[Any]]:
    """Return the verbs with a place in the footer here, those that cannot be used too."""
    own = getattr(console.screen.focused, "own_keys", ())
    places = places_of(BUILT_IN, console.screen.mode, console.screen.focused)
    return BUILT_IN.in_footer(places, own)


def warnings(console: Console) -> list[str]:
    """Return what was refused."""
    return [n.message for n in console.app._notifications if n.severity != "information"]


async def show_row(console: Console, pane: str, index: int) -> None:
    """Go to a row of a pane."""
    if console.screen.mode != pane or isinstance(console.app.screen, ModalScreen):
        await leave_everything(console)
        console.screen.go_to(pane)
        await calm(console)
        console.app.advance()
    console.screen.bar.close()
    console.screen.pane.grid.focus()
    console.screen.pane.grid.put_cursor(index)
    await calm(console)


@pytest.mark.parametrize("name", SOURCES)
async def test_the_footer_names_what_can_be_used_on_the_chosen_row(
    name: str, open_console: OpenConsole, tmp_path: Path
) -> None:
    """And what it names is not refused when it is done."""
    done: set[tuple[str, str]] = set()
    async with open_console(SOURCES[name](tmp_path), size=(300, 20)) as console:
        for pane in PANES:
            await show_row(console, pane, 0)
            for index in range(max(1, min(len(console.screen.pane.grid.rows), MOST_ROWS))):
                await _row_is_named(console, pane, index, done)
    assert len(done) > 20


async def _row_is_named(
    console: Console, pane: str, index: int, done: set[tuple[str, str]]
) -> None:
    """Look at one row's footer, and do what it names if nobody has yet."""
    await show_row(console, pane, index)
    fit = [v for v in named_here(console) if console.screen.why_not(v.id) is None]
    keys = [shown_key(verb.keys[0]) for verb in fit]
    assert sorted(named_in_footer(console)) == sorted(keys), (pane, index)
    for verb in fit:
        if (pane, verb.id) not in done and BUILT_IN[verb.id].pane:
            done.add((pane, verb.id))
            await _is_not_refused(console, pane, index, verb)


async def _is_not_refused(console: Console, pane: str, index: int, verb: Verb[Any]) -> None:
    await show_row(console, pane, index)
    before = len(warnings(console))
    if console.screen.why_not(verb.id) is not None:
        return  # what was done before has changed it
    await press(console, verb.keys[0])
    assert warnings(console)[before:] == [], (pane, index, verb.id)
    if isinstance(console.app.screen, ModalScreen):
        await press(console, "escape")
