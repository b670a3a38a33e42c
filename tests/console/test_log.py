"""The live log: following, scrolling, finding, wrapping, and whatever streams write into it."""

from __future__ import annotations

from pathlib import Path

from tests.console.conftest import Console, OpenConsole, settle
from tests.console.scripted_source import ScriptedSource, plan_of, stream

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m "
    "[bold]markup[/bold] [@click=app.quit]x[/] \u202egnp.exe \x9b1m"
)


def _source(tmp_path: Path, *lines: str) -> ScriptedSource:
    source = ScriptedSource(plan_of([stream("talker"), stream("quiet")]), tmp_path)
    source.speak("talker", *lines)
    return source


def _log_text(console: Console) -> str:
    log = console.screen.log_view
    return "\n".join(log.render_line(y).text.rstrip() for y in range(log.content_size.height))


async def test_the_log_follows_its_end(open_console: OpenConsole, tmp_path: Path) -> None:
    """New lines appear at the bottom without anybody asking."""
    source = _source(tmp_path, *[f"line {n}" for n in range(100)])
    async with open_console(source) as console:
        assert "line 99" in _log_text(console)
        source.speak("talker", "line 100")
        await console.frame()
        assert "line 100" in _log_text(console)
        assert "101 lines · following" in console.shown()


async def test_scrolling_up_stops_following_and_end_resumes(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """What is being read stays where it is while more is written."""
    source = _source(tmp_path, *[f"line {n}" for n in range(100)])
    async with open_console(source) as console:
        await console.press("l", "k", "k")
        before = _log_text(console)
        source.speak("talker", "news")
        await console.frame()
        assert _log_text(console) == before
        assert "paused" in console.shown()
        await console.press("end")
        assert "news" in _log_text(console)
        await console.press("g", "F")
        assert console.screen.log_view.is_following


async def test_finding(open_console: OpenConsole, tmp_path: Path) -> None:
    """/ finds while typing and counts; n and N go round; escape forgets."""
    source = _source(tmp_path, *[f"line {n} {'hit' if n % 30 == 5 else ''}" for n in range(100)])
    async with open_console(source) as console:
        log = console.screen.log_view
        await console.press("l", "slash")
        await console.type("HIT")
        assert log.hits == [5, 35, 65, 95]
        assert "4 hits for HIT" in console.shown()
        await console.press("enter", "g", "n")
        assert log.top == 5
        await console.press("n")
        assert log.top == 35
        await console.press("N", "N")
        assert log.is_following
        await console.command("find re:line 9[0-9] ?$")
        assert len(log.hits) == 9
        await console.command("find re:(")
        assert log.hits == []
        await console.press("l", "escape")
        assert log.needle == ""


async def test_wrapping(open_console: OpenConsole, tmp_path: Path) -> None:
    """w shows long lines whole; nothing of them is lost, and a hit in one is found."""
    long = "".join(f"<{n:03}>" for n in range(200))
    async with open_console(_source(tmp_path, long, "short")) as console:
        await console.press("l", "w")
        assert "<199>" in _log_text(console)
        assert console.screen.log_view.line_count > 10
        await console.pilot.resize_terminal(160, 45)
        await settle(console.pilot)
        assert "<199>" in _log_text(console)
        await console.press("w", "right")
        assert "<000>" not in _log_text(console)


async def test_moving_the_cursor_changes_the_log(open_console: OpenConsole, tmp_path: Path) -> None:
    """Each stream has its own log; one that never spoke says so."""
    async with open_console(_source(tmp_path, "hello from talker")) as console:
        assert "hello from talker" in _log_text(console)
        await console.press("j")
        assert "no output yet" in _log_text(console)


async def test_hostile_output_is_only_shown(open_console: OpenConsole, tmp_path: Path) -> None:
    """Escape sequences, markup and direction marks do nothing anywhere on the screen."""
    source = _source(tmp_path, HOSTILE)
    async with open_console(source, size=(160, 45)) as console:
        await console.command(f"filter {HOSTILE.split()[1]}")
        await console.press("escape")
        shown = console.shown()
        assert "red [bold]markup[/bold]" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "owned" not in shown


async def test_a_line_of_ninety_thousand_characters(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """It is cut, wrapped on demand, and does not hold anything up."""
    source = _source(tmp_path, "x" * 90_000, "after")
    async with open_console(source) as console:
        assert "after" in _log_text(console)
        await console.press("l", "w", "g")
        assert console.screen.log_view.line_count < 200
        assert max(map(len, console.shown().splitlines())) <= 120


async def test_a_long_log_stays_bounded(open_console: OpenConsole, tmp_path: Path) -> None:
    """The oldest lines go when there are too many; the end is always there."""
    source = _source(tmp_path, "begin")
    async with open_console(source) as console:
        log = console.screen.log_view
        source.speak("talker", *[f"line {n}" for n in range(30_000)])
        while log._tail is not None and log.text_at(log.line_count - 1) != "line 29999":
            await console.frame()
        assert log.line_count <= 10_000
        assert "line 29999" in _log_text(console)
