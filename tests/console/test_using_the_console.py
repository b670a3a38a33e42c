"""The console in use: keys, commands, palette, mouse and narrow terminals."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Paste

from anabranch_console.built_in_verbs import BUILT_IN
from anabranch_console.screens.run_screen import RunScreen
from anabranch_console.widgets.command_bar import CommandBar, Purpose
from anabranch_console.widgets.line_view import LineView
from tests.console.conftest import OpenConsole, settle
from tests.console.scripted_source import ScriptedSource, demo_source, plan_of, stream


async def test_the_first_picture_has_everything(open_console: OpenConsole) -> None:
    """Header, table, facts, log, events and footer are there at once."""
    async with open_console(size=(160, 45)) as console:
        shown = console.shown()
        for needed in ("split-auth", "● running", "Streams 13", "FILES", "Log", "Events", "Quit"):
            assert needed in shown
        assert "overhead 1.2 %" in shown
        assert console.screen.focused is console.screen.home.grid


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the verbs that were asked for; only those that open something are really done."""
    done: list[str] = []
    original = RunScreen.action_verb

    def note(self: RunScreen, name: str, argument: str = "") -> None:
        done.append(name)
        if name in ("menu", "command"):
            original(self, name, argument)

    monkeypatch.setattr(RunScreen, "action_verb", note)
    monkeypatch.setattr(LineView, "action_move", lambda self, way: done.append(way))
    return done


OF_OTHER_RUNS = {"approve", "close"}
"""Verbs of the menu that a run which goes on, and is not open, has no use for."""


async def test_every_verb_is_reachable_by_key(open_console: OpenConsole, done: list[str]) -> None:
    """By its own keys, or by the menu's key and then its own (in the other modes: there)."""
    async with open_console() as console:
        home = console.screen.home
        for known in BUILT_IN.known.values():
            verb = known.verb
            if known.pane not in ("", "streams") or verb.id in OF_OTHER_RUNS:
                continue
            home.grid.put_cursor(1 if verb.id == "retry" else 3)
            (home.details.log_view if known.owner == "log" else home.grid).focus()
            await settle(console.pilot)
            for key in verb.keys:
                await console.press(*key.split())
                is_offered = " " not in key or console.screen.why_not(verb.id) is None
                assert done[-1] == (verb.id if is_offered else "menu"), key
                if verb.id in ("menu", "command") or not is_offered:
                    await console.press("escape")


async def test_every_verb_is_reachable_by_command(
    open_console: OpenConsole, done: list[str]
) -> None:
    """By its name in the command bar."""
    async with open_console() as console:
        for verb in BUILT_IN:
            console.screen.bar.bar.post_message(CommandBar.Entered(Purpose.COMMAND, verb.id))
            await settle(console.pilot)
            assert done[-1] == verb.id
            if verb.id in ("menu", "command"):
                await console.press("escape")


async def test_the_palette_offers_every_verb(open_console: OpenConsole) -> None:
    """ctrl+p opens the palette; each verb is in it, and enter does the best hit."""
    async with open_console() as console:
        assert {verb.id for verb in BUILT_IN} <= console.hits()
        await console.press("ctrl+p")
        assert "Find a command" in console.shown()
        await console.type("reverse")
        await console.press("enter")
        assert console.screen.home.listed.is_reversed
        await console.press("ctrl+p")
        await console.type("zzz")
        assert "nothing has such a name" in console.shown()
        await console.press("enter", "escape")


async def test_the_palette_goes_to_streams(open_console: OpenConsole) -> None:
    """A stream's name is a hit as well, also when the filter hides it."""
    async with open_console() as console:
        await console.command("filter lint")
        await console.press("ctrl+p")
        await console.type("go e2e")
        await console.press("enter")
        assert console.screen.home.cursor == "e2e"


async def test_moving_by_keys_and_mouse(open_console: OpenConsole) -> None:
    """vim keys, arrows, page keys, a click and the wheel."""
    async with open_console(size=(80, 16)) as console:
        home = console.screen.home
        await console.press("j", "j", "down", "k")
        assert home.cursor == "schema"
        await console.press("G")
        assert home.cursor == "release-notes"
        assert console.screen.home.grid.top > 0
        await console.press("g")
        assert (home.cursor, console.screen.home.grid.top) == ("lint", 0)
        await console.press("pagedown")
        assert home.grid.cursor_index == console.screen.home.grid.visible_lines - 1
        await console.pilot.click("#streams-rows", offset=(5, 4))
        assert home.grid.cursor_index == console.screen.home.grid.top + 2
        await console.pilot._post_mouse_events([_wheel()], "#streams-rows", (5, 5))
        assert console.screen.home.grid.top > 0


def _wheel() -> type:
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_filtering_live(open_console: OpenConsole) -> None:
    """Rows follow the typing, the count is shown, escape brings everything back."""
    async with open_console() as console:
        await console.press("slash")
        await console.type("state:run")
        assert "5 of 13" in console.shown()
        await console.press("enter")
        assert "/state:run" in console.shown()
        assert console.screen.focused is console.screen.home.grid
        await console.press("escape")
        assert len(console.screen.home.listed.order) == 13
        await console.command("filter cpu>90")
        assert console.screen.home.listed.order == ["unit"]
        await console.command("filter nothing-like-it")
        assert "no stream matches" in console.shown()
        assert "no stream is chosen" in console.shown(), "nothing is told of a stream not shown"
        assert "unit ●" not in console.shown()
        await console.command("filter re:\x1b[2J(\u202e")
        assert "\x1b" not in console.shown()
        assert "\u202e" not in console.shown()


async def test_a_filter_follows_the_streams(open_console: OpenConsole) -> None:
    """A stream that no longer matches leaves within a second of the run clock."""
    async with open_console() as console:
        await console.command("filter state:running")
        console.source.finish("unit")
        console.source.pass_time(1.0)
        await console.frame()
        assert "unit" not in console.screen.home.listed.order


async def test_the_prompt_says_what_is_asked_for(open_console: OpenConsole) -> None:
    """Each time the bar is opened it shows the sign of what it is opened for."""
    async with open_console() as console:
        for key, prompt in (("colon", ":"), ("slash", "/"), ("colon", ":")):
            await console.press(key)
            row = console.screen.bar.region.y
            assert console.shown().splitlines()[row].startswith(f" {prompt} ")
            await console.press("escape")


async def test_sorting(open_console: OpenConsole) -> None:
    """By picker, by command, by < and >, reversed, and by a click on a title."""
    async with open_console(size=(160, 36)) as console:
        listed = console.screen.home.listed
        await console.command("sort state")
        assert listed.order[0] == "types"
        await console.press("O")
        assert listed.order[-1] == "types"
        await console.press("greater_than_sign")
        assert listed.sort == "attempt"
        assert listed.order[0] == "billing-tax"
        await console.press("o", "2")
        assert listed.sort == "id"
        await console.pilot.click("#streams-rows", offset=(20, 1))
        assert listed.sort == "state"
        await console.command("sort nonsense")
        assert "no column 'nonsense'" in console.toasts()[-1]


async def test_the_drawer_on_a_narrow_terminal(open_console: OpenConsole) -> None:
    """Below 100 columns the details open over the table with enter, and escape closes them."""
    async with open_console(size=(80, 24)) as console:
        assert not console.screen.home.details.facts.region
        await console.press("enter")
        assert console.screen.home.details.facts.region
        assert console.screen.focused is console.screen.home.details.log_view
        await console.press("escape")
        assert not console.screen.home.details.facts.region


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (100, 24), (120, 36), (200, 50)])
async def test_every_size_is_usable(size: tuple[int, int], open_console: OpenConsole) -> None:
    """Nothing fails, nothing overflows, and the chosen stream is in sight."""
    async with open_console(size=size) as console:
        await console.press("G", "enter", "escape", "question_mark", "escape", "x", "escape")
        shown = console.shown()
        assert "release-" in shown
        assert max(map(len, shown.splitlines())) <= size[0]
        if size[1] < 24:
            assert not console.screen.events_pane.region


async def test_a_tiny_terminal_is_no_failure(open_console: OpenConsole) -> None:
    """Where hardly anything fits, the names and states of streams are what is left."""
    async with open_console(size=(24, 8)) as console:
        await console.press("G", "enter", "escape", "x", "escape")
        assert "running" in console.shown()


async def test_resizing_keeps_the_cursor_in_sight(open_console: OpenConsole) -> None:
    """From large to small and back, the chosen stream stays visible."""
    async with open_console(size=(160, 45)) as console:
        await console.press("G")
        await console.pilot.resize_terminal(60, 12)
        await settle(console.pilot)
        assert "release-notes" in console.shown()


async def test_a_full_pane(open_console: OpenConsole) -> None:
    """f gives a pane the whole screen, and takes it back."""
    async with open_console() as console:
        await console.press("f")
        assert console.screen.home.grid.region.width == 120
        await console.press("f", "tab", "tab", "f")
        assert console.screen.events_pane.region.height > 30
        await console.press("escape")
        assert console.screen.events_pane.region.height < 12


async def test_tabs_answer_why(open_console: OpenConsole) -> None:
    """e tells the story, p the plan, l the log; [ and ] go round."""
    async with open_console(size=(160, 45)) as console:
        await console.command("filter id:unit")
        await console.press("e")
        assert "because lint" in console.shown()
        await console.press("p")
        assert "pytest -q tests/unit" in console.shown()
        await console.press("right_square_bracket")
        assert "rerunning 1 failed test" in console.shown()
        await console.press("left_square_bracket")
        assert console.screen.home.details.tab == "plan"


async def test_the_theme_picker_previews(open_console: OpenConsole) -> None:
    """Moving shows a theme at once; escape goes back to the one before, enter keeps it."""
    async with open_console() as console:
        await console.press("ctrl+t", "j")
        assert console.app.palette.name == "estuary"
        await console.press("escape")
        await settle(console.pilot)
        assert console.app.palette.name == "delta"
        await console.command("theme floodplain")
        assert console.app.theme == "floodplain"
        await console.command("theme plaid")
        assert "no theme 'plaid'" in console.toasts()[-1]


async def test_copying(open_console: OpenConsole) -> None:
    """y offers id, paths, command line and log; what is chosen goes to the clipboard."""
    async with open_console() as console:
        await console.press("y", "i")
        assert console.app.clipboard == "lint"
        await console.press("y", "w")
        assert console.app.clipboard.endswith("/workspaces/lint")
        await console.press("y", "l")
        assert console.app.clipboard.endswith("/logs/lint.1.log")
        await console.press("y", "m")
        assert console.app.clipboard == console.source.state.plan.streams[0].command_text
        await console.press("y", "L")
        await console.app.workers.wait_for_complete()
        await settle(console.pilot)
        assert console.app.clipboard == "All checks passed!\n"
        assert "copied whole log by the terminal (OSC 52)" in console.toasts()[-1]


async def test_ctrl_c_copies_or_hints_and_never_quits(open_console: OpenConsole) -> None:
    """With a selection it copies; without one it says how to."""
    async with open_console() as console:
        await console.press("ctrl+c")
        assert "nothing is selected" in console.toasts()[-1]
        await console.press("x", "ctrl+c", "escape")
        assert console.app.is_running
        console.screen.home.details.log_view.text_select_all()
        await console.press("ctrl+c")
        assert console.app.clipboard.startswith("All checks passed!")


async def test_a_failing_engine_is_no_traceback(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is told in the events; the console goes on."""
    async with open_console() as console:

        def broken(cursor: int) -> None:
            raise OSError("journal is gone")

        monkeypatch.setattr(console.source, "take", broken)
        await console.frame()
        assert "journal is gone" in console.shown()
        await console.press("j")
        assert console.screen.home.cursor == "types"


async def test_events_follow_until_somebody_scrolls_up(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """New events push old ones up; a reader who scrolled up is left alone until they go back."""
    many = [stream(f"s{number}") for number in range(30)]
    source = ScriptedSource(plan_of(many, parallel=30), tmp_path)
    async with open_console(source) as console:
        pane = console.screen.events_pane
        assert pane.top == pane.last_top
        pane.focus()
        await console.press("g")
        source.finish("s3")
        await console.frame()
        assert pane.top == 0
        assert "paused" in console.shown()
        await console.press("G")
        assert "s3" in console.shown()


async def test_a_run_that_has_ended_says_what_next(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The banner names outcome, reason and next step."""
    source = demo_source(tmp_path)
    async with open_console(source) as console:
        from tests.console.scripted_source import finish_everything

        finish_everything(source)
        await console.frame()
        shown = console.shown()
        assert "✗ Failed" in shown
        assert "types: exit 1" in shown
        assert "anabranch report" in shown


async def test_completion_and_history_of_commands(open_console: OpenConsole) -> None:
    """Tab completes, up brings back what was entered before."""
    async with open_console() as console:
        await console.press("colon")
        await console.type("the")
        await console.press("tab")
        assert console.screen.bar.bar.value == "theme"
        await console.type(" d")
        await console.press("tab")
        assert console.screen.bar.bar.value == "theme delta"
        await console.press("enter", "colon", "up")
        assert console.screen.bar.bar.value == "theme delta"
        await console.press("escape")
        await console.command("xyzzy")
        assert "there is no command 'xyzzy'" in console.toasts()[-1]


async def test_a_click_in_the_footer_does_the_verb(open_console: OpenConsole) -> None:
    """Keys named in the footer are buttons as well."""
    async with open_console() as console:
        footer = console.screen.footer.lines[0]
        at = "".join(span.text for span in footer).index("Actions")
        await console.pilot.click("#footer", offset=(at, 0))
        await settle(console.pilot)
        assert "Actions on lint" in console.shown()


async def test_all_lines_of_what_is_pasted_are_there(open_console: OpenConsole) -> None:
    """In one line, and done when enter says so; beside the bar a paste does nothing."""
    async with open_console() as console:
        console.app.post_message(Paste("x\ns\ny\n"))
        await settle(console.pilot)
        assert console.app.screen is console.screen
        await console.press("colon")
        console.app.post_message(Paste("send lint first\r\nsecond\x1b[31m\tthird\n"))
        await settle(console.pilot)
        assert console.screen.bar.bar.value == "send lint first second [31m third"
        assert not console.source.commands
