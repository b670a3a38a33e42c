"""Streams that fan out in the console: their row, their panel, and the pane of their handlers."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.engine.handlers import HandlerTally
from anabranch_console.presenters import handler_words
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.fanned import Scribe, fanned_source
from tests.console.scripted_source import stream


async def read(console: Console) -> None:
    """Let what is read in threads be read, and shown."""
    for _ in range(2):
        await console.frame()
        await console.app.workers.wait_for_complete()
        await settle(console.pilot)
    await console.frame()


@pytest.mark.parametrize(
    ("tally", "short", "counts", "pace"),
    [
        (
            HandlerTally(2000, 1200, 34, 8, True, 52.4),
            "1,234/2,000, 34 failed, 52/s, 14 s left",
            "1,200 of 2,000 done, 34 failed, 8 running",
            "52/s, about 14 s left",
        ),
        (
            HandlerTally(900, 890, 0, 4, False, 3.14),
            "890 so far, 3.1/s",
            "890 done, 4 running",
            "3.1/s, how many are left is known when its source has ended",
        ),
        (
            HandlerTally(5, 0, 0, 2, True, 0.0),
            "0/5",
            "0 of 5 done, 2 running",
            "how long the rest takes is known when the first have ended",
        ),
        (HandlerTally(60, 10, 0, 1, True, 0.05), "10/60, 3.0/min, 16 min left", "", ""),
    ],
)
def test_how_far_handlers_are_is_said_as_far_as_it_is_known(
    tally: HandlerTally, short: str, counts: str, pace: str
) -> None:
    assert handler_words.in_short(tally, is_running=True) == short
    if counts:
        assert handler_words.counts_in_words(tally) == counts
        assert handler_words.pace_in_words(tally) == pace


async def test_the_row_of_a_stream_says_how_far_its_handlers_are(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Counts, rate and rest time while it runs; beside why it ended, afterwards. Others as ever."""
    source = fanned_source(tmp_path, stream("lint"))
    scribe = Scribe(tmp_path)
    scribe.count(total=2000, succeeded=1230, failed=4, running=8, rate=52.4)
    async with open_console(source, size=(160, 45)) as console:
        source.speak("docs", "1230 of 2000 done")
        source.speak("lint", "all is well")
        await read(console)
        assert "1,234/2,000, 4 failed, 52/s, 14 s left" in console.shown()
        assert "1,230 of 2,000 done, 4 failed, 8 running" in console.shown()
        assert "52/s, about 14 s left" in console.shown()
        assert "all is well" in console.shown()
        scribe.count(total=2000, succeeded=1996, failed=4, rate=50.0)
        source.finish("docs", code=1)
        source.finish("lint")
        await read(console)
        assert source.state.has_ended
        assert "exit 1: 2,000/2,000, 4 failed" in console.shown()


async def test_nothing_is_read_where_nothing_fans_out(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("anabranch.engine.handlers.tally_of", lambda *a: asked.append(a))
    async with open_console() as console:
        console.source.pass_time(5.0)
        await read(console)
    assert not asked
