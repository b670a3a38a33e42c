"""What somebody meets who sits down here for the first time."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from textual.widgets._toast import ToastRack

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch_console.glyphs import UNICODE
from anabranch_console.lines import plain
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.header import header_line
from anabranch_console.run_model import RunModel
from tests.console.conftest import OpenConsole
from tests.console.coordination import call
from tests.console.scripted_source import ScriptedSource, demo_source, plan_of, stream


async def test_events_are_filtered_by_level_and_subject(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """What is routine is left out until it is asked for; the title says by what is filtered."""
    source = ScriptedSource(plan_of([stream("one"), stream("two")]), tmp_path)
    call(source, calls.Heartbeat, "one", status="busy")
    async with open_console(source) as console:
        pane = console.screen.events_pane

        def texts() -> list[str]:
            return [pane.text_at(i) for i in range(pane.line_count)]

        assert "stream heartbeat" not in "".join(texts())
        pane.focus()
        await console.press("slash")
        await console.type("level:routine subject:one")
        await console.press("enter")
        assert "stream heartbeat" in "".join(texts())
        assert all(" one " in text for text in texts())
        assert "Events · /level:routine subject:one" in console.shown()
        source.finish("two", 1)
        await console.frame()
        await console.command("events /level:warning")
        assert texts()
        assert all("two" in text for text in texts())
        await console.command("events /foo:bar")
        assert "keys are level: subject: type: re:" in console.shown()
        pane.focus()
        await console.press("escape")
        assert "stream heartbeat" not in "".join(texts())
        assert any(" two " in text for text in texts())


async def test_a_key_that_means_nothing_says_so_once(open_console: OpenConsole) -> None:
    """And what it means elsewhere; the same key does not say it again."""
    async with open_console() as console:
        await console.press("percent_sign", "percent_sign")
        assert console.toasts() == ["% means nothing here; ? lists keys"]
        await console.press("b")
        assert "Take the lines of both (conflicts)" in console.toasts()[-1]
        await console.press("slash", "percent_sign", "escape")
        assert len(console.toasts()) == 2


async def test_a_tab_is_opened_by_a_click(open_console: OpenConsole) -> None:
    """On its name in the border."""
    async with open_console(size=(140, 40)) as console:
        details = console.screen.home.details
        region = details.tabs.region
        for tab, x in (("plan", 3 + 5 + 7), ("story", 3 + 5), ("log", 3)):
            await console.pilot.click(offset=(region.x + x, region.y))
            assert details.tab == tab


async def test_toasts_do_not_lie_on_the_newest_events(open_console: OpenConsole) -> None:
    """They stand at the top."""
    async with open_console() as console:
        rack = ToastRack()  # tests do without one
        await console.screen.mount(rack)
        assert (rack.styles.dock, rack.styles.align_vertical) == ("top", "top")


def test_lines_of_json_are_not_what_a_stream_says(tmp_path: Path) -> None:
    """Our own answers to its calls say nothing to a person; of others the message does."""
    source = ScriptedSource(plan_of([stream("one")]), tmp_path)
    lines = {
        '{"ticket":"4","i":null,"ok":true,"outcome":"waiting"}': "runs",
        '{"level":"info","msg":"ready \\u001b[2J"}': "ready",
        '{"message":"built"}': "built",
        '{"total":3}': '{"total":3}',
        "{not json}": "{not json}",
    }
    for line, said in lines.items():
        source.speak("one", line)
        model = RunModel(source)
        model.pull()
        now = model.rows[StreamId("one")].now
        assert said in now
        assert "\x1b" not in now
        assert ("{" in now) is ("{" in said)


def test_messages_in_events_are_words() -> None:
    """The text of one that has it, and who speaks if that is the guardian."""
    body = {"diagnosis": "silent", "kind": "status_asked", "text": "are you alive?"}
    sent = ev.MessageSent(
        *(StreamId(""),), attempt=0, request="", to=StreamId("one"), recipients=1, body=body
    )
    words = event_words(sent)
    assert (words.subject, words.detail) == ("guardian", "to one: are you alive?")


def test_the_header_says_when_the_guardian_has_narrowed_the_run(tmp_path: Path) -> None:
    """Nobody wonders why one stream runs where the plan has four."""
    state = demo_source(tmp_path).state

    def header(narrowed_to: int | None, cells: int = 160) -> str:
        guardian = replace(state.guardian, narrowed_to=narrowed_to)
        narrowed = replace(state, guardian=guardian)
        return plain(header_line(narrowed, [], 9.0, None, "here", UNICODE, cells))

    assert "guardian: one at a time" in header(1)
    assert "one at a time" in header(1, 60)
    assert "at a time" not in header(None) + header(state.plan.max_parallel)


async def test_a_log_that_has_the_whole_screen_says_whose_it_is(open_console: OpenConsole) -> None:
    """The facts that say it otherwise are out of sight then."""
    async with open_console(size=(140, 40)) as console:
        name = console.screen.home.cursor
        await console.press("l", "f")
        await console.frame()
        console.screen.home.details.paint()
        assert f" {name} ·" in console.shown().splitlines()[-2]
