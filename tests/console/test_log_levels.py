"""Times, levels and several logs as one, in the console's view of a log."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from anabranch_console.remembering import Memory
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.scripted_source import ScriptedSource, plan_of, stream
from tests.console.test_log import _log_text

NOON = 1_700_000_000 // 86400 * 86400 + 43200
"""Noon of a day long ago, in UTC."""


def _source(tmp_path: Path) -> ScriptedSource:
    return ScriptedSource(plan_of([stream("api"), stream("web"), stream("quiet")]), tmp_path)


def _speak(source: ScriptedSource, name: str, at: float, *lines: str, within: float = 0.25) -> None:
    """Let a stream write lines at a time, as its holder would note it."""
    log = source.folder / "logs" / f"{name}.1.log"
    size = log.stat().st_size if log.exists() else 0
    with log.with_suffix(".times").open("ab") as times:
        times.write(struct.pack(">QQI", size, int(at * 1000), int(within * 1000)))
    source.speak(name, *lines)


async def _index_read(console: Console) -> None:
    await console.frame()
    await console.app.workers.wait_for_complete()
    await settle(console.pilot)
    await console.frame()


async def test_times_are_shown_no_finer_than_they_are_known(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """C shows them, with the day if that is not today; pieces of a wrapped line stand below it."""
    source, today = _source(tmp_path), time.time() // 86400 * 86400 + 3600
    source.speak("api", "of before")
    _speak(source, "api", today, "exact")
    _speak(source, "api", today + 61, "thinned " + "x" * 150, within=30)
    _speak(source, "web", NOON, "old")
    async with open_console(source) as console:
        log = console.screen.home.details.log_view
        await console.press("l", "C")
        assert _log_text(console).splitlines()[:2] == ["         of before", "01:00:00 exact"]
        assert _log_text(console).splitlines()[2].startswith("~01:01   thinned x")
        await console.press("w", "g")
        third, fourth = _log_text(console).splitlines()[2:4]
        assert (third[:10], fourth[:10]) == ("~01:01   t", "         x")
        assert "".join(line[9:] for line in _log_text(console).splitlines()[2:]).count("x") == 150
        await console.command("find thin")
        assert log.hits == [2]
        await console.press("tab", "1", "j")
        assert _log_text(console).startswith("11-14 12:00:00 old")
        await console.press("l", "C")
        assert _log_text(console).startswith("old")


async def test_only_lines_that_are_bad_enough(open_console: OpenConsole, tmp_path: Path) -> None:
    """In all of the log; what is hidden is counted; all goes back to what stood around a line."""
    source = _source(tmp_path)
    noise = [f"plain {n}" for n in range(9_000)]
    source.speak("api", "ERROR first", "  more", *noise, "INFO fine", *noise, "WARN last", *noise)
    async with open_console(source, size=(160, 36)) as console:
        log = console.screen.home.details.log_view
        await console.press("l", "f", "S", "S")
        await _index_read(console)
        assert _log_text(console).splitlines()[:3] == ["ERROR first", "  more", "WARN last"]
        standing = "warnings, errors: 27,001 hidden, 27,000 of them without a level · 3 lines"
        assert standing in console.shown()
        source.speak("api", "plain", "ERROR new")
        await console.frame()
        assert log.lines == ["ERROR first", "  more", "WARN last", "ERROR new"]
        await console.command("level error")
        await _index_read(console)
        assert log.lines == ["ERROR first", "  more", "ERROR new"]
        await console.command("find ERROR")
        assert "2 hits for ERROR" in console.shown()
        await console.command("level fine")
        assert "not a level" in "".join(console.toasts())
        log.is_following = False  # as if more were there than fits
        await console.command("level all")
        assert log.lines[:3] == ["ERROR first", "  more", "plain 0"]
        assert not log.is_following


async def test_what_is_filtered_follows_and_is_paused(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Long as it may be: g goes to its beginning, what is read stays, hits are found anywhere."""
    source = _source(tmp_path)
    source.speak(
        "api", "ERROR FIRST", *(f"{'ERROR' if n % 2 else 'INFO'} {n}" for n in range(9000))
    )
    async with open_console(source, size=(140, 36)) as console:
        log = console.screen.home.details.log_view
        await console.command("level error")
        await _index_read(console)
        while log._window is None or log._window.behind:
            await console.frame()
        assert _log_text(console).splitlines()[-1] == "ERROR 8999"
        hidden, whole = log.standing(1)
        assert (hidden, "4501" in whole.replace(",", "")) == ("errors: 4,500 hidden", True)
        await console.press("l", "g")
        assert _log_text(console).startswith("ERROR FIRST\nERROR 1\nERROR 3")
        before = _log_text(console)
        source.speak("api", *(f"ERROR new {n}" for n in range(5000)))
        await _index_read(console)
        assert _log_text(console) == before
        await console.command("find re:FIRST|new 4999")
        await _index_read(console)
        assert "2 hits for" in console.shown()
        await console.press("l", "N")
        assert "ERROR new 4999" in _log_text(console)
        await console.press("N")
        assert _log_text(console).startswith("ERROR FIRST\nERROR 1")
        await console.press("end")
        assert log.is_following


async def test_marked_streams_are_one_log_by_time(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Each line with its stream, whichever row the cursor is on, until esc or the marks go."""
    source = _source(tmp_path)
    for at, name, line in [(1, "api", "a1"), (2, "web", "w1"), (3, "api", "ERROR a2")]:
        _speak(source, name, NOON + at, line)
    _speak(source, "web", NOON + 4, "  w2")
    async with open_console(source) as console:
        await console.press("space", "space", "l")
        merged = ["api | a1", "web | w1", "api | ERROR a2", "web |   w2"]
        assert _log_text(console).splitlines()[:4] == merged
        assert "2 by time · 4 lines · following" in console.shown()
        _speak(source, "api", NOON + 5, "a3")
        await console.frame()
        assert _log_text(console).splitlines()[4] == "api | a3"
        await console.press("C", "S", "S", "S")
        assert _log_text(console).rstrip() == "11-14 12:00:03 api | ERROR a2"
        await console.press("S", "C", "escape")
        assert "no output yet" in console.shown()
        await console.press("l")
        assert _log_text(console).splitlines()[:4] == merged
        await console.command("log web")
        assert _log_text(console).splitlines()[:2] == ["w1", "  w2"]
        await console.press("l", "1", "V")
        assert _log_text(console).splitlines()[:2] == ["w1", "  w2"]
        await console.press("home", "space", "space", "home")
        assert _log_text(console).splitlines()[:3] == ["a1", "ERROR a2", "a3"]


async def test_times_and_level_are_remembered(open_console: OpenConsole, tmp_path: Path) -> None:
    """Times for every run, the level for the run: it would hide what nobody has seen yet."""
    memory = Memory(tmp_path / "console.json")
    source = _source(tmp_path)
    async with open_console(source, memory=memory) as console:
        await console.press("l", "C", "S", "S")
    async with open_console(source, memory=memory) as console:
        await settle(console.pilot)
        log = console.screen.home.details.log_view
        assert (log.shows_times, log.least and log.least.word) == (True, "warning")
        await console.press("l", "C", "S", "S")
    assert memory.recall()[0].keys() & {"log times", f"run {source.run} log level"} == set()
