"""The live log: following, scrolling, finding, wrapping, and whatever streams write into it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.style import Style

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
    log = console.screen.home.details.log_view
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
        assert console.screen.home.details.log_view.is_following


async def test_finding(open_console: OpenConsole, tmp_path: Path) -> None:
    """/ finds while typing and counts; n and N go round; escape forgets."""
    source = _source(tmp_path, *[f"line {n} {'hit' if n % 30 == 5 else ''}" for n in range(100)])
    async with open_console(source) as console:
        log = console.screen.home.details.log_view
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
        assert console.screen.home.details.log_view.line_count > 10
        await console.pilot.resize_terminal(160, 45)
        await settle(console.pilot)
        assert "<199>" in _log_text(console)
        await console.press("w", "right")
        assert "<000>" not in _log_text(console)


async def test_a_line_that_goes_on_beyond_the_edge_says_so(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """In the log and in every other pane; scrolled to its end there is no more of it."""
    async with open_console(_source(tmp_path, "x" * 200 + "end")) as console:
        assert _log_text(console).splitlines()[0].endswith("x…")
        await console.press("l")
        for _ in range(200):
            if (shown := _log_text(console).splitlines()[0]).endswith("end"):
                break
            await console.press("right")
        assert shown.endswith("xend")
        assert "…" not in shown


async def test_a_log_that_was_removed_is_not_said_to_be_empty(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = _source(tmp_path, "hello from talker")
    (tmp_path / "logs" / "quiet.1.log").unlink()
    async with open_console(source) as console:
        await console.press("j")
        assert "its log is not there any more" in _log_text(console)


async def test_moving_the_cursor_changes_the_log(open_console: OpenConsole, tmp_path: Path) -> None:
    """Each stream has its own log; one that never spoke says so."""
    async with open_console(_source(tmp_path, "hello from talker")) as console:
        assert "hello from talker" in _log_text(console)
        await console.press("j")
        assert "no output yet" in _log_text(console)
        console.source.finish(str(console.screen.home.cursor))
        await console.frame()
        assert "it wrote nothing" in _log_text(console)


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
        assert console.screen.home.details.log_view.line_count < 200
        assert max(map(len, console.shown().splitlines())) <= 120


async def test_a_long_log_stays_bounded(open_console: OpenConsole, tmp_path: Path) -> None:
    """The oldest lines go when there are too many; the end is always there."""
    source = _source(tmp_path, "begin")
    async with open_console(source) as console:
        log = console.screen.home.details.log_view
        source.speak("talker", *[f"line {n}" for n in range(30_000)])
        while log.text_at(log.line_count - 1) != "line 29999":
            await console.frame()
        assert log.line_count <= 10_000
        assert "line 29999" in _log_text(console)


async def _read_on(console: Console) -> None:
    """Pull frames until the log's end is shown, however little of it a frame may take."""
    log = console.screen.home.details.log_view
    async with asyncio.timeout(20):
        while log._window is None or log._window.behind:
            await console.frame()


async def test_the_window_is_never_passed_off_as_the_log(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """g goes to the log's very beginning, a hit is found wherever it lies; one can scroll on."""
    numbers = [f"number {n}" for n in range(40_000)]
    source = _source(tmp_path, "FIRST word", *numbers, "the LAST word")
    async with open_console(source, size=(140, 36)) as console:
        log = console.screen.home.details.log_view
        await _read_on(console)
        assert "LAST word" in _log_text(console)
        assert "lines of 497K" in console.shown()
        await console.press("l", "g")
        assert _log_text(console).startswith("FIRST word")
        assert "at 0 %" in console.shown()
        for _ in range(30):
            await console.press("pagedown")
            await console.frame()
        assert f"number {30 * (log.visible_lines - 1) - 1}" in _log_text(console)
        await console.press("G")
        await _read_on(console)
        assert log.is_following
        assert "LAST word" in _log_text(console)
        await console.command("find word")
        await console.app.workers.wait_for_complete()
        await settle(console.pilot)
        assert "2 hits for word" in console.shown()
        await console.press("l", "N")
        assert _log_text(console).startswith("FIRST word")
        await console.press("n")
        assert "LAST word" in _log_text(console)
        await console.press("N", "end")
        await _read_on(console)
        assert log.text_at(0).startswith("number ")
        for _ in range(6):  # scrolling up reads on upwards
            log.scroll_to_line(0)
            await settle(console.pilot)
        assert log.text_at(0) == "FIRST word"
        assert log.line_count <= 10_000


async def test_the_beginning_of_a_log_of_short_lines_stays_in_sight(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """More lines than are held come with one piece of the file: what is let go is not in sight."""
    source = _source(tmp_path, "FIRST", *map(str, range(30_000)))
    async with open_console(source, size=(140, 36)) as console:
        log = console.screen.home.details.log_view
        await _read_on(console)
        for wraps in ("", "w"):
            await console.press("l", *wraps, "g")
            for _ in range(3):
                await console.frame()
            assert _log_text(console).startswith("FIRST\n0\n1\n")
            assert log.line_count <= 10_000
        log.scroll_to_line(9_990)
        for _ in range(3):
            await console.frame()
        assert log.text_at(log.top).isdigit()
        assert log.text_at(log.top + 300) == str(int(log.text_at(log.top)) + 300)


async def test_colours_of_streams_are_those_of_the_theme(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Hue, bold and underline stay, a hit and a wrapped piece too; nothing else of it does."""
    source = _source(tmp_path, "\x1b[41;31mbad\x1b[0m then \x1b[1;4;38;5;46mgood\x1b[0m", "plain")
    async with open_console(source) as console:
        log, palette = console.screen.home.details.log_view, console.app.palette

        def styles(y: int) -> dict[str, Style]:
            return {part.text.strip(): part.style or Style() for part in log.render_line(y)}

        assert styles(0)["bad"].color == palette.style("state.failed").color
        assert styles(0)["bad"].bgcolor == palette.style("text").bgcolor
        good = styles(0)["good"]
        assert (good.bold, good.underline) == (True, True)
        assert good.color == palette.style("state.succeeded").color
        assert styles(1)["plain"].color == palette.style("text").color
        await console.command("find oo")
        assert [part.text for part in log.render_line(0)][:5] == ["bad", " then ", "g", "oo", "d"]
        await console.press("l", "right")
        assert log._left == 16
        assert "plain" not in _log_text(console)


async def test_what_is_paused_stays_under_a_flood(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Tens of thousands of lines are written, and what is being read does not move."""
    source = _source(tmp_path, *[f"line {n}" for n in range(300)])
    async with open_console(source) as console:
        await console.press("l", "k", "k", "k")
        before = _log_text(console)
        source.speak("talker", *[f"flood {n}" for n in range(60_000)])
        for _ in range(30):
            await console.frame()
        assert _log_text(console) == before
        await console.press("end")
        await _read_on(console)
        assert "flood 59999" in _log_text(console)


async def test_a_line_without_an_end_is_a_line(open_console: OpenConsole, tmp_path: Path) -> None:
    """A crashing program's last words are found and wrapped, and grow in place."""
    source = _source(tmp_path, "before")
    log_of_it = (tmp_path / "logs" / "talker.1.log").open("a", encoding="utf-8")
    async with open_console(source) as console:
        log = console.screen.home.details.log_view
        log_of_it.write("panic: " + "x" * 300)
        log_of_it.flush()
        await console.frame()
        await console.command("find panic")
        assert "1 hit for panic" in console.shown()
        assert log.hits == [1]
        await console.press("l", "w")
        assert log.line_count > 4
        assert "".join(log.text_at(i) for i in range(1, log.line_count)) == log.lines[1]
        log_of_it.write("END\nafter\n")
        log_of_it.close()
        await console.frame()
        assert log.lines[1].endswith("xEND")
        assert log.lines[2:] == ["after"]
        assert log.hits == [1]


async def test_megabytes_without_a_line_are_output(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The end of the one line there is, is better than nothing."""
    source = _source(tmp_path, "x" * 5_000_000)
    async with open_console(source) as console:
        assert "no output yet" not in console.shown()
        assert "xxxx" in _log_text(console)


async def test_nothing_is_lost_by_wrapping_what_is_wide(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """What is measured is what is painted, also for signs that are made of several characters."""
    signs = ("⚠️", "👍🏽", "🇩🇪", "1️⃣", "नि", "한", "e\u0301")
    parts = [f"{sign}{n:02}" for n, sign in enumerate(signs * 8)]
    async with open_console(_source(tmp_path, "".join(parts))) as console:
        await console.press("l", "w")
        shown = "".join(_log_text(console).split("\n"))
        assert [f"{n:02}" for n in range(len(parts)) if f"{n:02}" not in shown] == []
