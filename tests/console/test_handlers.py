"""Streams that fan out in the console: their row, their panel, and the pane of their handlers."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.inputs import HandlersSeen, RecoverHandler, StopStream
from anabranch.engine.handlers import HandlerTally
from anabranch_console.handler_reading import HandlerReader, Wish
from anabranch_console.panes.handlers import HandlersPane
from anabranch_console.presenters import handler_words
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.fanned import Scribe, fanned_source
from tests.console.scripted_source import WALL, ScriptedSource, stream


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
        assert "4 of 2,000 failed; exit 1" in console.shown()


async def test_how_they_ended_is_what_was_written_down_now_and_in_the_past(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """One truth for the row, the panel and the shell; the pace is known of the present only."""
    source = fanned_source(tmp_path, stream("lint"))
    Scribe(tmp_path).count(total=2000, succeeded=1200, failed=0, running=8, rate=50.0)
    source.feed(
        inputs.HandlersSeen(
            stream=StreamId("docs"),
            attempt=1,
            since=0,
            book_offset=3,
            ended=tuple(_finished(place, code) for place, code in enumerate((0, 0, 1))),
        )
    )
    async with open_console(source, size=(160, 45)) as console:
        await read(console)
        assert "3/2,000, 1 failed, 50/s, 39 s left" in console.shown()
        assert "2 of 2,000 done, 1 failed, 8 running" in console.shown()
        await console.command(f"travel event {source.state.seq}")
        await read(console)
        assert "3 so far, 1 failed" in console.shown()
        assert "50/s" not in console.shown()


def _finished(place: int, code: int) -> ev.HandlerFinished:
    return ev.HandlerFinished(
        stream=StreamId("docs"),
        attempt=1,
        handler=place,
        item="a.md",
        outcome="failed" if code else "succeeded",
        exit_code=code,
        signal=None,
        reason="",
        seconds=1.0,
        began_at=0.0,
        slot=0,
        tries=1,
        book_offset=place + 1,
    )


async def test_nothing_is_read_where_nothing_fans_out(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the run's folder looked at, by which a disk that hangs would stop the console."""
    asked: list[object] = []
    monkeypatch.setattr("anabranch_console.tallies.tally_of", lambda *a: asked.append(a))
    monkeypatch.setattr("anabranch_console.tallies.RunFolder", lambda path: asked.append(path))
    async with open_console() as console:
        console.source.pass_time(5.0)
        await read(console)
    assert not asked


# --- the pane ------------------------------------------------------------------------------------


def _book(folder: Path) -> Scribe:
    """Write down six handlers: three done, two failed, one at work."""
    scribe = Scribe(folder)
    for place, (item, seconds) in enumerate([("a.md", 3.0), ("b.md", 0.5), ("c.md", 2.0)]):
        scribe.begin(place, item)
        scribe.end(place, seconds=seconds, said=f"rewriting {item}\n")
    scribe.begin(3, "d.md")
    scribe.end(3, seconds=9.0, code=3, said="cannot parse\n")
    scribe.begin(4, "hostile\x1b[2J\nname")
    scribe.end(4, code=None, why="it took longer than 60 s")
    scribe.begin(5, "f.md", slot=7, at=4.0)
    scribe.say(7, "step 1\n")
    scribe.write()
    scribe.count(total=2000, succeeded=3, failed=2, running=1, rate=0.5)
    return scribe


def _items(console: Console) -> list[str]:
    return [handler.text for handler in console.grid("handlers").rows]


async def test_enter_opens_the_handlers_of_a_stream(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Each with its state, seconds, tries and end; what it is called does no harm."""
    source = fanned_source(tmp_path, stream("lint"))
    _book(tmp_path)
    async with open_console(source, size=(160, 36)) as console:
        await read(console)
        await console.press("enter")
        await read(console)
        shown = console.shown()
        assert "Handlers of docs 6 · 2 failed · 30.0/min" in shown
        assert "3 d.md" in shown
        assert "✗ failed" in shown
        assert "9.000" in shown
        assert "exit 3" in shown
        assert "it took longer than 60 s" in shown
        assert "6.000" in shown  # the one at work, by the clock of the run
        assert "\x1b" not in shown
        await console.press("escape")
        assert console.screen.mode == "streams"
        await console.press("j", "enter")
        assert console.screen.focused is console.screen.home.log_view


async def test_an_output_is_shown_from_the_pack_and_live(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Of one that runs as far as it has come, and not what comes after it in its slot."""
    source = fanned_source(tmp_path)
    scribe = _book(tmp_path)
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await read(console)
        assert "rewriting a.md" in console.shown()
        await console.press("j", "j", "j")
        await read(console)
        assert "cannot parse" in console.shown()
        assert "rewriting" not in console.shown()
        await console.press("j")
        await read(console)
        assert "it wrote nothing" in console.shown()
        await console.press("j")
        await read(console)
        assert "step 1" in console.shown()
        scribe.say(7, "step 2\n")
        source.pass_time(1.0)
        await read(console)
        assert "step 2" in console.shown()
        scribe.end(5, said="step 1\nstep 2\nthe end\n")
        (scribe.folder / "slot.7").write_text("of another one\n")
        scribe.begin(6, "g.md", slot=7)
        scribe.write()
        source.pass_time(1.0)
        await read(console)
        assert "the end" in console.shown()
        assert "of another one" not in console.shown()


async def test_what_a_slot_holds_is_another_ones_once_the_book_says_so(tmp_path: Path) -> None:
    """Also if the slot was read before the book was: nobody is shown with another's output."""
    scribe = _book(tmp_path)
    reader = HandlerReader(scribe.folder)
    wish = Wish(chosen=5)
    reader.read(wish, 0.0, WALL)
    listing = reader.read(wish, 1.0, WALL)
    assert listing.output is not None
    assert listing.output.lines == ("step 1",)
    (scribe.folder / "slot.7").write_text("of another one\n")
    scribe.begin(5, "f.md", slot=2)
    scribe.write()
    assert reader.read(wish, 2.0, WALL).output is None


async def test_handlers_are_filtered_sorted_and_their_failures_jumped_to(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = fanned_source(tmp_path)
    _book(tmp_path)
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await read(console)
        grid = console.grid("handlers")
        places = []
        for key in ("n", "n", "n", "N"):
            await console.press(key)
            places.append(grid.cursor)
        assert places == [3, 4, 3, 4]
        await console.command("sort-handlers seconds")
        await read(console)
        assert _items(console)[:4] == ["d.md", "f.md", "a.md", "c.md"]
        assert grid.cursor == 4  # it stays with its handler
        await console.press("O")
        await read(console)
        assert _items(console)[0] == "b.md"
        await console.press("greater_than_sign")
        assert "by tries" in console.shown()
        await console.command("sort-handlers state")
        await read(console)
        assert [handler.place for handler in grid.rows] == [3, 4, 5, 0, 1, 2]
        await console.press("slash")
        await console.type("succeeded !b.md")
        await read(console)
        assert _items(console) == ["a.md", "c.md"]
        assert "2 of 6" in console.shown()
        await console.press("enter", "n")
        assert "no handler that is listed has failed" in console.toasts()[-1]
        await console.press("escape")
        await read(console)
        assert len(_items(console)) == 6


async def test_its_output_is_found_in_wrapped_and_copied(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """What is done in the log of a stream is done in the output of a handler."""
    source = fanned_source(tmp_path)
    scribe = Scribe(tmp_path)
    scribe.begin(0, "a.md")
    scribe.end(0, said="\n".join(f"line {n} {'x' * 90}" for n in range(500)))
    scribe.write()
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await read(console)
        await console.press("y")
        assert console.toasts()[-1].startswith("copied a.md")
        await console.press("enter", "slash")
        output = console.screen.pane.log_view
        assert output is not None
        await console.type("line 77 ")
        await console.press("enter")
        assert console.screen.focused is output
        assert output.hits == [77]
        assert "line 77 " in console.shown()
        rows = output.line_count
        await console.press("w")
        assert output.line_count > rows
        await console.press("G")
        assert "line 499 " in console.shown()
        await console.press("escape", "escape")
        assert console.grid("handlers").has_focus


async def test_all_that_failed_are_tried_again_from_their_table(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The stream is: its retry runs what failed, and nothing else."""
    source = fanned_source(tmp_path, stream("lint"))
    _book(tmp_path)
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await console.press("x")
        assert "it has not ended" in console.shown()
        await console.press("escape")
        source.finish("docs", code=1)
        await read(console)
        await console.press("x", "r")
        assert "only the handlers that failed" in console.shown()
        await console.press("y")
        assert [type(command).__name__ for command in source.commands] == ["RetryStream"]
        assert console.screen.mode == "handlers"


async def test_a_stream_that_does_not_fan_out_has_no_handlers(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.command("handlers unit")
        assert "its plan has no `each`" in console.toasts()[-1]
        await console.command("handlers nobody")
        assert "there is no stream" in console.toasts()[-1]
        assert console.screen.mode == "streams"


async def test_what_was_read_is_let_go_of_with_the_pane(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """A hundred thousand handlers are not kept while nobody looks at them."""
    source = fanned_source(tmp_path)
    _book(tmp_path)
    async with open_console(source) as console:
        await console.press("enter")
        await read(console)
        pane = console.screen.pane
        assert isinstance(pane, HandlersPane)
        await console.press("1")
        assert not pane.grid.rows
        assert pane._reader is None
        await console.press("enter")
        await read(console)
        assert len(pane.grid.rows) == 6


async def test_one_handler_is_tried_again_while_the_others_go_on(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """One that hangs or has failed, also when the stream has failed; not one that has succeeded."""
    source = fanned_source(tmp_path, stream("lint"))
    _book(tmp_path)
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await read(console)
        await console.press("x")
        assert "it has succeeded" in console.shown()
        await console.press("escape", "n", "x", "h")
        assert "Try handler 3 of docs again?" in console.shown()
        assert "nothing: it has ended" in console.shown()
        await console.press("y")
        asked = source.commands[-1]
        assert isinstance(asked, RecoverHandler)
        assert (asked.stream, asked.handler) == ("docs", 3)
        await console.press("G", "x", "h")
        assert "it runs for 6.0 s" in console.shown()
        await console.press("escape")
        source.feed(_taken_up(source))
        source.finish("docs", code=1)
        await read(console)
        await console.press("N", "N", "x", "h")
        assert "the stream gets another attempt, which runs this one" in console.shown()
        assert "that are done or have failed stay as they are" in console.shown()
        await console.press("y")
        assert len(source.commands) == 2
        source.feed(StopStream(stream=StreamId("docs"), reason="enough"))
        source.finish("docs", code=1)
        await read(console)
        await console.press("x")
        assert "docs was stopped, and no single handler of it can be tried again" in console.shown()
    assert len(source.commands) == 2


def _taken_up(source: ScriptedSource) -> HandlersSeen:
    """Return that the program of ``docs`` has taken up all that was wanted of it."""
    docs = StreamId("docs")
    known = source.state.handlers[docs]
    wanted = tuple(one.cause for one in known.requested)
    return HandlersSeen(
        stream=docs,
        attempt=Attempt(1),
        since=known.book_offset,
        book_offset=known.book_offset + 1,
        ended=(),
        heard=wanted,
    )


async def test_one_that_was_left_as_it_had_failed_says_so(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = fanned_source(tmp_path, stream("lint"))
    scribe = _book(tmp_path)
    scribe.leave(3)
    scribe.write()
    async with open_console(source, size=(160, 36)) as console:
        await console.press("enter")
        await read(console)
        assert "exit 3; not tried again" in console.shown()
