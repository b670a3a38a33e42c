"""What plugins bring to the console: it is shown, made harmless, and whoever fails is told."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from anabranch_console.app import ConsoleApp
from anabranch_console.console_hooks import KINDS, ConsoleHooks, load_console_plugins
from anabranch_console.hook_checks import faults_of_console_plugin
from anabranch_console.plugged import Plugged
from tests.console.conftest import Console
from tests.console.scripted_source import demo_source

SOURCE = """
from anabranch_console.console_hooks import (
    PaneColumn, PaneRow, PaneVerb, RunCommand, hookimpl
)

class Owners:
    name, title = "owners", "Who owns \x1b[2Jwhat"
    def lines(self, status):
        return [f"{s['stream']} is of \\x1b[31mteam {i}" for i, s in enumerate(status["streams"])]

class Reviews:
    name, title = "reviews", "Reviews"
    columns = (PaneColumn("stream", 14), PaneColumn("state", 10, "right"), PaneColumn("owner"))
    verbs = (
        PaneVerb("ask", "Ask for a review", "r", args="[WHO]", completes="rows", footer="Ask"),
        PaneVerb("end", "Stop it", "s", steers=True),
        PaneVerb("mark", "Mark it", "f", footer="Mark"),
        PaneVerb("crash", "Crash", "k"),
    )
    def rows(self, status):
        return [
            PaneRow(
                s["stream"], [s["stream"], s["state"], "team \x1b[31m1"], ["first", "\x1b]0;x\x07"],
                {"mark": "it is marked"} if s["stream"] == "lint" else {},
                "error" if s["state"] == "failed" else "", s["stream"],
            )
            for s in status["streams"]
        ]
    def do(self, verb, row, argument, status):
        if verb == "crash": raise SystemExit(2)
        if verb == "end": return RunCommand(f"stop {row}")
        if verb == "mark": return RunCommand(7)
        return f"{verb} {row} of {argument or 'nobody'} in {status['run'] != ''}"

class Ticket:
    name, title, width = "ticket", "Ticket", 8
    def text(self, stream):
        return "T-" + stream["stream"][:3]

class Page:
    name, title = "page", "Page the owner"
    def run(self, status, stream):
        return f"paged the owner of {stream}"

class Odd(Reviews):
    name = "odd"
    def rows(self, status): return ["a line"]

class Unnamed(Reviews):
    verbs = (PaneVerb("Two Words", "It"),)

class LongKey(Reviews):
    verbs = (PaneVerb("it", "It", "ctrl+x"),)

class Numbered(Reviews):
    verbs = (PaneVerb("it", 5),)

class Twice(Reviews):
    verbs = (PaneVerb("it", "It"), PaneVerb("it", "It too"))

class Wide(Reviews):
    columns = (PaneColumn("A", "wide"),)

class Idle(Reviews):
    do = None

class Bare(Reviews):
    columns = ()

class Dusk:
    name = "plugin-dusk"
    toml = 'title = "Dusk"\\nextends = "delta"\\n'

class Broken:
    name, title, width = "broken", "Broken", 6
    toml = "colors = 3"
    def lines(self, status): raise RuntimeError("no lines")
    def text(self, stream): return 7
    def run(self, status, stream): raise SystemExit(3)

class Worse:
    name = "worse"
    @property
    def title(self): raise ValueError("no title")

@hookimpl
def anabranch_console_panes(): return [Owners(), Broken(), Reviews()]
@hookimpl
def anabranch_console_columns(): return [Ticket(), Broken()]
@hookimpl
def anabranch_console_actions(): return [Page(), Broken(), Worse()]
@hookimpl
def anabranch_console_themes(): return [Dusk(), Broken()]
"""


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    (tmp_path / "console_plugin_for_tests.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return [EntryPoint("tests", "console_plugin_for_tests", "anabranch.console")]


def test_all_hooks_of_the_console_are_asked() -> None:
    known = [name for name in vars(ConsoleHooks) if name.startswith("anabranch_")]
    assert set(known) == set(KINDS.values())


def test_what_cannot_even_say_its_title_is_set_aside(points: list[EntryPoint]) -> None:
    found = load_console_plugins(points)
    assert [aside.reason for aside in found.set_aside] == ["worse: ValueError: no title"]
    assert set(found.actions) == {"page", "broken"}


async def test_panes_columns_actions_and_themes_work_and_the_broken_are_told(
    points: list[EntryPoint], tmp_path: Path
) -> None:
    plugins = load_console_plugins(points)
    source = demo_source(tmp_path)
    app = ConsoleApp(source, is_paced=False, environ={}, plugins=plugins)
    async with app.run_test(size=(150, 40)) as pilot:
        console = Console(app, source, pilot)
        app.plugged.ask_all()
        await console.frame()
        assert "TICKET" in console.shown()
        assert "T-aut" in console.shown()
        await console.press("0")
        assert "Which pane?" in console.shown()
        assert "\x1b" not in console.shown()
        await console.press("1")
        app.plugged.show("owners")
        app.plugged.ask_all()
        await console.frame()
        assert "is of" in console.shown()
        assert "team 0" in console.shown()
        assert "\x1b" not in console.shown()
        await acted(console, "page lint", "paged the owner of lint")
        await acted(console, "broken", "broken has failed")
        assert any("column broken" in shown for shown in console.toasts())
        await console.command("theme plugin-dusk")
        assert app.palette.name == "plugin-dusk"
        assert any("theme broken of a plugin" in shown for shown in console.toasts())


async def acted(console: Console, command: str, text: str) -> None:
    """Let an action happen, and wait for what it tells."""
    await console.command(f"do {command}")
    await toasted(console, text)


async def test_a_plugins_pane_does_all_that_our_own_do(
    points: list[EntryPoint], tmp_path: Path
) -> None:
    """Columns, details, keys, menu, command, footer, help, refusals, and whatever we can do."""
    source = demo_source(tmp_path)
    plugins = load_console_plugins(points)
    app = ConsoleApp(source, is_paced=False, environ={}, plugins=plugins)
    async with app.run_test(size=(150, 40)) as pilot:
        console = Console(app, source, pilot)
        app.run_screen.steering.hold_off_seconds = 0.0
        await console.command("pane reviews")
        app.plugged.show("reviews")
        app.plugged.ask_all()
        await console.frame()
        shown = console.shown()
        for seen in ("STREAM", "STATE", "OWNER", "succeeded", "team", "first", "r Ask"):
            assert seen in shown, seen
        assert "\x1b" not in shown
        assert " Mark" not in shown.splitlines()[-1], "it has no key that the footer could name"
        assert "reviews.ask unit" in console.screen.registry.completions(
            "reviews.ask un", console.screen.completable()
        )
        await console.press("r")
        await toasted(console, "ask lint of nobody in True")
        await console.command("reviews.ask ana")
        await toasted(console, "ask lint of ana in True")
        await console.press("x")
        assert "Actions in reviews" in console.shown()
        await console.press("f")
        assert "it is marked" in console.toasts()[-1]
        assert " k  Crash" not in console.shown(), "k is a move in the menu"
        await console.press("1")
        await toasted(console, "crash has failed")
        await console.command("reviews.mark")
        assert console.toasts()[-1] == "Mark it: it is marked"
        await console.press("f")  # it is ours everywhere: the plugin's own is left to its menu
        assert app.run_screen.has_class("-full-streams")
        await console.press("f")
        await console.command("reviews.crash")
        await toasted(console, "crash has failed")
        console.grid("pane reviews").put_cursor(1)
        await console.command("reviews.mark")
        await toasted(console, "mark has failed")
        await console.command("filter team nobody")
        assert "nothing matches" in console.shown()
        await console.press("escape", "question_mark")
        assert ":reviews.ask [WHO]" in console.shown()
        await console.press("escape")
        assert {"reviews.ask", "reviews.end"} <= console.hits()
        running = next(
            i for i, r in enumerate(console.grid("pane reviews").rows) if r.key == "unit"
        )
        console.grid("pane reviews").put_cursor(running)
        await console.command("recover")
        assert "Recover unit" in console.shown(), "a verb of ours is about the row that is chosen"
        await console.press("escape")
        await console.press("s")
        for _ in range(500):
            if "Stop unit" in console.shown():
                break
            await console.frame()
        await console.press("y")
        assert [type(command).__name__ for command in source.commands] == ["StopStream"]
        await console.press("escape", "s")
        assert console.screen.mode == "streams"


async def toasted(console: Console, text: str) -> None:
    """Wait until something is told."""
    for _ in range(500):
        if any(text in toast for toast in console.toasts()):
            return
        await console.frame()
    raise AssertionError(console.toasts())


def test_a_pane_that_is_not_shown_is_not_asked(points: list[EntryPoint], tmp_path: Path) -> None:
    source = demo_source(tmp_path)
    plugged = Plugged(load_console_plugins(points), lambda: source.state)
    plugged.ask_all()
    assert plugged.rows == {}
    plugged.show("owners")
    plugged.ask_all()
    assert len(plugged.rows["owners"]) == len(source.state.streams)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("panes(): return [Owners()]", ""),
        ("panes(): return [Broken()]", "lines raised RuntimeError"),
        ("panes(): return [Reviews()]", ""),
        ("panes(): return [Odd()]", "not a list of PaneRow"),
        ("panes(): return [Unnamed()]", "'Two Words' is not named by small letters"),
        ("panes(): return [LongKey()]", "the key 'ctrl+x' of it is not one letter"),
        ("panes(): return [Numbered()]", "Expected `str`, got `int` - at `$.title`"),
        ("panes(): return [Twice()]", "two verbs have the same name"),
        ("panes(): return [Wide()]", "Expected `int`, got `str` - at `$.width`"),
        ("panes(): return [Idle()]", "it has verbs, but no method do"),
        ("panes(): return [Bare()]", "columns is not a list of PaneColumn"),
        ("columns(): return [Ticket()]", ""),
        ("columns(): return [Broken()]", "text returned int, not a text"),
        ("actions(): return [Page()]", ""),
        ("actions(): return [Worse()]", "no title"),
        ("themes(): return [Dusk()]", ""),
        ("themes(): return [Broken()]", "broken"),
        ("panes(): return []", "it brings nothing"),
    ],
)
def test_the_check_of_a_plugin_looks_at_what_it_brings_to_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    """Names, arguments, and one call of what only shows something."""
    head = SOURCE[: SOURCE.index("@hookimpl")]
    name = f"checked_{abs(hash((source, tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(f"{head}@hookimpl\ndef anabranch_console_{source}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    faults = list(faults_of_console_plugin(EntryPoint("odd", name, "anabranch.console")))
    assert [words in fault for _, fault in faults] == ([True] if words else [])
