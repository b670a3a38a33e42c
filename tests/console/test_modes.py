"""The modes beside the streams: reached by digits and names, steered by verbs, cheap to keep."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from anabranch.core import calls, inputs
from anabranch.core.ids import StreamId
from anabranch_console.built_in_verbs import BUILT_IN, WAYS
from anabranch_console.lines import Span
from anabranch_console.panes.history import HistoryPane
from anabranch_console.screens.run_screen import RunScreen
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.coordination import call, coordinated_source
from tests.console.scripted_source import (
    ScriptedSource,
    conflict_between,
    finish_everything,
    plan_of,
    stream,
)


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """A run in which everything that can be seen happens."""
    return coordinated_source(tmp_path)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the painted lines of each pane, and the rows that are formatted."""
    counts: Counter[str] = Counter()
    render_line, line = LineView.render_line, Grid._line

    def count_painted(self: LineView, y: int) -> object:
        counts[self.id or ""] += 1
        return render_line(self, y)

    def count_formatted(self: Grid[object], index: int) -> object:
        counts["formatted"] += 1
        return line(self, index)

    monkeypatch.setattr(LineView, "render_line", count_painted)
    monkeypatch.setattr(Grid, "_line", count_formatted)
    return counts


# --- getting there -------------------------------------------------------------------------------


async def test_every_mode_is_reached_by_digit_name_and_palette(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """The tabs say which one it is; escape goes home."""
    async with open_console(source) as console:
        assert "1 Streams 2 Locks" in console.shown()
        for mode, key in WAYS.items():
            await console.press(key)
            assert console.screen.mode == mode
        for mode in WAYS:
            await console.command(mode)
            assert console.screen.mode == mode
        hits = console.hits()
        assert hits > set(WAYS)
        await console.press("ctrl+p")
        await console.type("locks")
        await console.press("enter")
        assert console.screen.mode == "locks"
        await console.press("escape")
        assert console.screen.mode == "streams"
        assert console.app.focused is console.screen.home.grid


async def test_a_run_without_coordination_shows_no_tabs_at_home(
    open_console: OpenConsole,
) -> None:
    """They come with the first visit, or with the first thing to see there."""
    async with open_console() as console:
        assert "2 Locks" not in console.shown()
        assert list(console.screen.panes) == ["streams"]
        await console.press("2")
        assert "2 Locks" in console.shown()
        assert "nobody holds a lock" in console.shown()


async def test_a_click_on_a_tab_goes_there(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """The tabs can be clicked."""
    async with open_console(source) as console:
        await console.pilot.click("#modes", offset=(25, 0))
        await settle(console.pilot)
        assert console.screen.mode == "history"


async def test_keys_of_the_streams_mean_nothing_elsewhere(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Nothing is marked, sorted or opened in a table that nobody sees."""
    async with open_console(source) as console:
        await console.press("2", "space", "o", "l", "left_square_bracket")
        assert console.screen.mode == "locks"
        assert not console.screen.home.listed.marked
        await console.command("log unit")
        assert console.screen.mode == "streams"


async def test_what_is_told_of_another_row_begins_at_its_top(
    open_console: OpenConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [(Span(str(number)),) for number in range(99)]
    monkeypatch.setattr(HistoryPane, "detail_lines", lambda *asked: many)
    async with open_console(coordinated_source(tmp_path), size=(160, 20)) as console:
        await console.press("3")
        pane = console.screen.pane
        assert isinstance(pane, HistoryPane)
        pane.detail.scroll_to_line(40)
        assert pane.detail.top == 40
        await console.press("j")
        assert pane.detail.top == 0


@pytest.mark.parametrize("verb", ["log", "story", "plan"])
async def test_a_command_opens_what_it_names(verb: str, open_console: OpenConsole) -> None:
    """Wherever one is and whatever is filtered; a name that is none is told."""
    async with open_console() as console:
        await console.command("filter lint")
        await console.press("2")
        await console.command(f"{verb} unit")
        assert console.screen.mode == "streams"
        assert console.screen.home.cursor == "unit"
        assert console.screen.home.details.tab == verb
        await console.command(f"{verb} nobody")
        assert "there is no stream 'nobody'" in console.toasts()[-1]
        assert console.screen.home.cursor == "unit"


SHOWN = {
    "2": ("db/schema.sql", "fence"),
    "3": ("schema/version", "The whole state"),
    "4": ("dead letter", "Thread cart"),
    "5": ("queue 1", "The machine"),
    "6": ("foreseen", "would not merge"),
}


async def test_every_verb_of_a_pane_is_reachable_by_its_keys(
    open_console: OpenConsole, source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its mode, directly or through the menu."""
    done: list[str] = []
    original = RunScreen.action_verb

    def note(self: RunScreen, name: str, argument: str = "") -> None:
        done.append(name)
        if name == "menu":
            original(self, name, argument)

    monkeypatch.setattr(RunScreen, "action_verb", note)
    async with open_console(source) as console:
        for pane in ("locks", "history", "messages", "conflicts"):
            console.screen.go_to(pane)
            await settle(console.pilot)
            for verb in (*BUILT_IN.of_owner(pane), *BUILT_IN.of_owner("travel")):
                for key in verb.keys:
                    await console.press(*key.split())
                    assert done[-1] == verb.id, key


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (60, 16)])
async def test_every_pane_works_in_every_size(
    open_console: OpenConsole, source: ScriptedSource, size: tuple[int, int]
) -> None:
    """The rows, the details after enter, full, and back with escape."""
    async with open_console(source, size) as console:
        for key, (shown, detail) in SHOWN.items():
            await console.press(key)
            assert shown in console.shown()
            await console.press("enter", "f")
            assert detail in console.shown()
            await console.press("escape", "escape")
            assert console.screen.pane.grid.has_focus
            assert shown in console.shown()
            assert all(len(line) <= size[0] for line in console.shown().splitlines())


# --- each pane -----------------------------------------------------------------------------------


async def test_the_locks_tell_who_waits_for_whom(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Holder, fence, queue, wait, load; the tree, the ring that was found, and the violation."""
    async with open_console(source) as console:
        await console.press("2")
        shown = console.shown()
        for painted in ("● schema#1", "42s", "└─ ● billing-tax#1", "waits for gpu, held by types"):
            assert painted in shown
        assert "1 found and broken" in shown
        assert "docs wrote" in shown
        await console.press("slash")
        await console.type("billing")
        await console.press("enter")
        assert "2 of 5" in console.shown()
        await console.press("escape")
        assert "Locks 5" in console.shown()


async def test_a_lock_is_taken_away(open_console: OpenConsole, source: ScriptedSource) -> None:
    """By the menu, after a question that says who gets it; and by command."""
    async with open_console(source) as console:
        await console.press("2", "x", "v")
        assert "gives to auth-session (db/schema.sql)" in console.shown()
        assert "not yet  cart" in console.shown()
        await console.press("y")
        await console.frame()
        (taken,) = console.source.commands
        assert isinstance(taken, calls.Unlock)
        assert taken.caller.is_operator
        holders = console.source.state.locks.entries["db/schema.sql"].grants
        assert [g.stream for g in holders] == ["auth-session"]
        await console.command("revoke pyproject.toml")
        await console.press("y")
        assert "pyproject.toml" not in console.source.state.locks.entries
        await console.command("revoke no/such/path")
        assert any("nobody holds no/such/path" in shown for shown in console.toasts())


async def test_violations_are_allowed(open_console: OpenConsole, source: ScriptedSource) -> None:
    """After a question; then there is nothing left to allow."""
    async with open_console(source) as console:
        await console.press("2", "x", "a")
        assert "docs: src/cart/model.py" in console.shown()
        await console.press("y")
        assert isinstance(console.source.commands[0], inputs.AllowViolation)
        await console.frame()
        assert "all allowed" in console.shown()
        await console.command("allow")
        assert any("no violation left" in shown for shown in console.toasts())


async def test_messages_are_sent(open_console: OpenConsole, source: ScriptedSource) -> None:
    """m asks for the text; the correspondent of the chosen message is filled in."""
    async with open_console(source) as console:
        await console.press("4", "m")
        assert console.screen.bar.bar.value == "send cart "
        await console.type("well [b]done")
        await console.press("enter")
        await console.command('send unit {"a": 1}')
        await console.command("send lint")
        assert console.screen.bar.bar.value == "send lint "
        await console.press("escape", "b")
        await console.type("stop at noon")
        await console.press("enter")
        sent = console.source.commands
        assert [type(c).__name__ for c in sent] == ["Send", "Broadcast"]
        assert isinstance(sent[0], calls.Send)
        assert (sent[0].to, sent[0].body) == ("cart", "well [b]done")
        assert len({c.request for c in sent if isinstance(c, calls.Call)}) == 2
        await console.frame()
        assert "well [b]done" in console.shown()
        assert any("no stream 'unit'" in shown for shown in console.toasts())


async def test_a_dead_letter_is_sent_again_or_why_not(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """The engine's refusal is told word for word."""
    async with open_console(source) as console:
        await console.press("4", "r")
        (asked,) = console.source.commands
        assert isinstance(asked, calls.Requeue)
        assert console.toasts()
        await console.press("j", "r")
        assert any("no dead letter is chosen" in shown for shown in console.toasts())
        await console.command("requeue 999999")
        assert any("there is no dead letter 999999" in shown for shown in console.toasts())
        for verb in ("requeue", "acknowledge", "version", "travel", "travel event"):
            await console.command(f"{verb} {'9' * 4400}")
        for shown in console.toasts()[-5:]:
            assert len(shown) < 500, "a sentence is read, not scrolled"
            assert (
                "not the number of a message" in shown
                or "not a moment" in shown
                or "version" in shown
            )
        assert len(console.source.commands) == 2, "what is no number is not asked for"


async def test_a_message_to_the_operator_is_noticed_and_acknowledged(
    open_console: OpenConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A toast, a number at the pane's name, the first row there; one key strikes it."""
    source = ScriptedSource(plan_of([stream("agent"), stream("other")]), tmp_path)
    call(source, calls.Send, "agent", to=StreamId("gone"), body="lost")
    async with open_console(source) as console:
        call(source, calls.Send, "other", to=StreamId("agent"), body="not for you")
        await console.frame()
        assert not console.toasts()
        call(source, calls.Send, "agent", to=StreamId("operator"), body="help me")
        await console.frame()
        assert console.toasts() == ["agent to you: help me; 4 shows messages, a acknowledges"]
        assert "4 Messages 1" in console.shown()
        await console.press("4")
        row = next(line for line in console.shown().splitlines() if "▸" in line)
        assert "help me" in row
        await console.press("a")
        await console.frame()
        (asked,) = source.commands
        assert isinstance(asked, calls.Acknowledge)
        assert "4 Messages 1" not in console.shown()
        await console.press("a")
        assert "no message that waits for you" in console.toasts()[-1]


async def test_who_comes_later_is_told_what_waits(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Old messages count as long as nobody has acknowledged them, and are told once together."""
    source = ScriptedSource(plan_of([stream("agent")]), tmp_path)
    for text in ("one", "two", "three"):
        call(source, calls.Send, "agent", to=StreamId("operator"), body=text)
    first = next(iter(sorted(source.state.messages.messages)))
    call(source, calls.Acknowledge, "", message=first)
    async with open_console(source) as console:
        assert console.toasts() == ["2 messages wait for you; 4 shows messages, a acknowledges"]


async def test_what_is_to_be_decided_is_counted_at_the_name_of_its_pane(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = ScriptedSource(plan_of([stream("a"), stream("b")]), tmp_path)
    source.conflict = conflict_between("a", "b", "src/cart.py")
    async with open_console(source) as console:
        finish_everything(source)
        await console.frame()
        assert "6 Conflicts 1" in console.shown()


async def test_resources_show_grants_and_real_use(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Granted beside used, the queue with its reason, the machine; the menu stops a stream."""
    async with open_console(source) as console:
        await console.press("5")
        shown = console.shown()
        for painted in (
            "8 of 8 granted",
            "2.8G",
            "1 gpu short of 1",
            "pressure",
            "4.3 really used",
        ):
            assert painted in shown
        await console.press("j", "x", "s", "y")
        (stopped,) = console.source.commands
        assert isinstance(stopped, inputs.StopStream)
        assert stopped.stream == "types"


async def test_hostile_text_stays_text(open_console: OpenConsole, tmp_path: Path) -> None:
    """No control character and no direction override of a stream reaches the terminal."""
    source = coordinated_source(tmp_path)
    evil = "\x1b]0;owned\x07\u202e\x9b31m[red]"
    call(source, calls.Lock, "lint", path="a\x1b[2Jb")
    call(source, calls.StateSet, "lint", key=f"k{evil}", value={evil: [evil]})
    call(source, calls.Send, "lint", to="cart", body=evil)
    async with open_console(source) as console:
        for key in SHOWN:
            await console.press(key)
            rows = console.grid(console.screen.mode).rows
            for _ in rows:
                assert not set(console.shown()) & set("\x1b\x07\x9b\u202e")
                await console.press("j")


# --- budgets -------------------------------------------------------------------------------------


async def _quiet(console: Console, painted: Counter[str]) -> None:
    for _ in range(2):
        await console.frame()
    painted.clear()


async def test_an_unchanged_tick_paints_nothing(
    open_console: OpenConsole, source: ScriptedSource, painted: Counter[str]
) -> None:
    """Neither the pane that is seen nor one that is hidden."""
    async with open_console(source) as console:
        for key in SHOWN:
            await console.press(key)
            await _quiet(console, painted)
            for _ in range(5):
                await console.frame()
            assert {name for name in painted if name != "formatted"} == set()
            console.source.speak("lint", f"news {key}", cpu_percent=1.0)
            await console.frame()
            assert painted["streams-rows"] == painted["log"] == 0


async def test_a_thousand_locks_cost_what_is_visible(
    open_console: OpenConsole, painted: Counter[str], tmp_path: Path
) -> None:
    """Only visible rows are formatted, and one new lock paints few lines."""
    names = [f"s-{n:02}" for n in range(20)]
    plan = plan_of([stream(name) for name in names], parallel=20)
    source = ScriptedSource(plan, tmp_path)
    for number in range(1000):
        call(source, calls.Lock, names[number % 20], path=f"src/module_{number:04}.py")
    async with open_console(source) as console:
        await console.press("2")
        assert "Locks 1000" in console.shown()
        await _quiet(console, painted)
        call(source, calls.Lock, "s-01", path="src/module_0000.py")
        await console.frame()
        height = console.screen.pane.grid.size.height
        assert "1 waited for" in console.shown()
        assert painted["formatted"] <= 4 * height
        await _quiet(console, painted)
        await console.press("G")
        assert "src/module_0999.py" in console.shown()
        assert painted["formatted"] <= 6 * height


async def test_ten_thousand_versions_cost_what_is_visible(
    open_console: OpenConsole, painted: Counter[str], tmp_path: Path
) -> None:
    """Opening, paging, stepping and filtering stay as cheap as the screen is small."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    for number in range(10_000):
        call(source, calls.StateSet, "a", key=f"key/{number % 50}", value=number)
    async with open_console(source) as console:
        await console.press("3")
        assert "version 10000" in console.shown()
        height = console.screen.pane.grid.size.height
        painted.clear()
        await console.press("j", "pagedown", "G")
        assert "1 of 10000" not in console.shown()
        assert painted["formatted"] <= 20 * height
        await console.command("version 1234")
        assert "version 1234 · key/33" in console.shown()
        call(source, calls.StateSet, "a", key="one", value="more")
        await console.frame()
        assert "version 1234 · key/33" in console.shown()
        await console.command("filter 9_876")
        assert "nothing matches" in console.shown()


async def test_a_wait_behind_a_folder_is_seen_from_both_sides(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The file's row names the folder's holder, the folder's row who waits; so does the rest."""
    source = ScriptedSource(plan_of([stream("two"), stream("three")]), tmp_path)
    call(source, calls.Lock, "two", path="src/")
    source.pass_time(2.0)
    call(source, calls.Lock, "three", path="src/m1.py")
    source.pass_time(25.0)
    source.speak("three", "tests pass")
    async with open_console(source, size=(160, 36)) as console:
        await console.press("j")
        shown = console.shown()
        assert "waits 25s for two: src/m1.py" in shown
        assert "tests pass" not in shown.split("╭─ Log")[0]
        assert "waits     the lock of src/m1.py" in shown
        await console.press("k")
        assert "keeps     three waits 25s" in console.shown()
        await console.press("2")
        shown = console.shown()
        assert "Locks 2 · 2 waited for" in shown
        assert "nobody" not in shown.split("Cycles")[0]
        console.grid("locks").put_cursor(1)
        await console.frame()
        await console.command("revoke src/")
        shown = console.shown()
        assert "gives to three (src/m1.py)" in shown
        await console.press("escape", "7")
        assert "waits for the lock of src/m1.py" in " ".join(console.shown().split())
