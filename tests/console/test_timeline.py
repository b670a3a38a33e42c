"""The timeline: cells from facts, a window that is moved, and what a frame of it costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from anabranch.core import inputs
from anabranch.core.events import HandlerFinished, Recorded
from anabranch.core.ids import StreamId
from anabranch.core.plans.forecast import Expected
from anabranch.core.views.density import Density
from anabranch.core.views.spells import PHASES, Spell
from anabranch_console.glyphs import ASCII, UNICODE, Glyphs
from anabranch_console.lines import plain
from anabranch_console.panes.timeline import TimelinePane
from anabranch_console.presenters.timeline_cells import (
    WAIT_LETTERS,
    density_line,
    most_at_a_time,
    stream_line,
)
from anabranch_console.presenters.timeline_lines import in_words, legend
from anabranch_console.presenters.timeline_window import SECONDS_A_CELL, WHOLE, Sight, Window, axis
from anabranch_console.widgets.line_view import LineView
from tests.console.conftest import Console, OpenConsole
from tests.console.coordination import coordinated_source
from tests.console.scripted_source import (
    ScriptedSource,
    Stubborn,
    demo_source,
    finish_everything,
    plan_of,
    stream,
)

TEN = Window(0.0, 1.0, 10)


def bar(*spells: Spell, now: float = 10.0, plan: Expected | None = None, **facts: bool) -> str:
    return plain(stream_line(list(spells), TEN, now, UNICODE, plan=plan, marks_now=False, **facts))


def due(start: float, end: float) -> Expected:
    return Expected(start, end, slack=0.0, is_critical=True)


# --- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spells", "shown"),
    [
        ([], "          "),
        ([Spell("ran", "attempt", 2.0, 6.0, attempt=1)], "  ████    "),
        ([Spell("ran", "attempt", 2.0, 6.0, attempt=2)], "  ▓▓▓▓    "),
        ([Spell("wait", "dependency", 0.0, 4.0)], "d░░░      "),
        ([Spell("wait", "queue", 0.0, 0.4), Spell("ran", "attempt", 0.4, 4.0)], "q███      "),
        ([Spell("ran", "attempt", 0.0, 8.0), Spell("wait", "lock", 3.0, 6.0)], "███l░░██  "),
        ([Spell("work", "workspace", 1.0, 1.2)], " ▪        "),
        ([Spell("ran", "attempt", 0.0, 5.0), Spell("merge", "merge", 8.0, 8.0)], "█████   ◆ "),
        ([Spell("ran", "attempt", 1.0, None)], " █████████"),
        ([Spell("ran", "attempt", 30.0, 40.0)], "          "),
    ],
)
def test_a_cell_shows_what_takes_most_of_it(spells: list[Spell], shown: str) -> None:
    assert bar(*spells) == shown


def test_what_is_expected_is_a_ghost_behind_now() -> None:
    ran = Spell("ran", "attempt", 0.0, None, attempt=1)
    assert bar(ran, now=4.0, plan=due(0.0, 7.5)) == "████┄┄┄┄  "
    assert bar(now=2.0, plan=due(5.0, 7.5)) == "     ┄┄┄  "
    assert bar(ran, now=4.0, plan=due(0.0, 4.0)) == "████      "


def test_now_is_a_line_through_all_rows() -> None:
    waits = [Spell("wait", "time", 0.0, None)]
    assert plain(stream_line(waits, TEN, 4.5, UNICODE)) == "t░░░┊     "
    assert plain(stream_line([], TEN, 14.5, UNICODE)) == " " * 10


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_sign_is_one_cell_and_another_one(glyphs: Glyphs) -> None:
    signs = [*glyphs.gantt.values(), *WAIT_LETTERS.values()]
    assert all(len(sign) == 1 for sign in signs)
    assert len(set(signs)) == len(signs)
    assert glyphs is UNICODE or all(sign.isascii() for sign in signs)
    assert legend(glyphs, 80)
    assert len(legend(glyphs, 55)) <= 55
    assert legend(glyphs, 20) == ""


def test_how_an_attempt_ended_is_its_colour() -> None:
    for outcome, name in ((True, "succeeded"), (False, "failed"), (None, "running")):
        ran = Spell("ran", "attempt", 0.0, 10.0, is_good=outcome)
        (span,) = stream_line([ran], TEN, 20.0, UNICODE)
        assert span.style == f"state.{name}"


def test_handlers_are_a_density() -> None:
    density = Density()
    for begin in (0.0, 0.0, 0.0, 0.0, 5.0):
        density.note(begin, 5.0)
    most = most_at_a_time(density, TEN)
    assert most == pytest.approx(4.0)
    shown = plain(density_line(density, most, TEN, 20.0, UNICODE, marks_now=False))
    assert shown == "█████▂▂▂▂▂"


# --- the window ----------------------------------------------------------------------------------


def test_all_of_a_run_fits_whatever_its_length() -> None:
    for end in (0.0, 0.3, 7.0, 151.0, 3600.0, 1e6):
        for cells in (1, 10, 57, 200):
            window = WHOLE.window(end, end, cells)
            assert window.begin == 0.0
            assert window.end >= min(end, SECONDS_A_CELL[-1] * cells)


def test_a_closer_look_goes_along_with_now_until_it_is_moved() -> None:
    window = WHOLE.window(100.0, 120.0, 60)
    near = WHOLE.zoomed(window, 100.0, 1)
    assert near.begin is None
    shown = near.window(100.0, 120.0, 60)
    assert shown.cell_seconds < window.cell_seconds
    assert shown.begin < 100.0 < shown.end
    later = near.window(300.0, 320.0, 60)
    assert later.begin < 300.0 < later.end
    moved = near.moved(shown, 120.0, -1)
    assert moved.window(300.0, 320.0, 60).begin == moved.begin
    assert moved.begin is not None
    assert moved.begin < shown.begin


def test_a_window_never_leaves_the_run() -> None:
    sight = Sight(1.0, 10.0)
    for _ in range(20):
        sight = sight.moved(sight.window(50.0, 60.0, 20), 60.0, -1)
    assert sight.begin == 0.0
    for _ in range(40):
        sight = sight.moved(sight.window(50.0, 60.0, 20), 60.0, 1)
    assert sight.begin is not None
    assert sight.begin < 60.0
    for _ in range(50):
        sight = sight.zoomed(sight.window(50.0, 60.0, 20), 50.0, 1)
    assert sight.cell_seconds == SECONDS_A_CELL[0]


@pytest.mark.parametrize("cell_seconds", SECONDS_A_CELL)
def test_the_axis_fits_and_names_moments_at_their_cells(cell_seconds: float) -> None:
    for begin in (0.0, cell_seconds * 7):
        window = Window(begin, cell_seconds, 60)
        text = axis(window)
        assert len(text) == 60
        assert "…" not in text
        assert len(text.split()) >= 3
    assert axis(Window(0.0, 5.0, 40)) == "00:00       01:00       02:00".ljust(40)


# --- the pane ------------------------------------------------------------------------------------


def pane_of(console: Console) -> TimelinePane:
    pane = console.screen.pane
    assert isinstance(pane, TimelinePane)
    return pane


def row_of(console: Console, name: str) -> str:
    grid = pane_of(console).grid
    index = next(i for i, row in enumerate(grid.rows) if row.stream == name)
    return grid.text_at(index)


async def test_it_is_reached_by_its_key_name_and_palette(open_console: OpenConsole) -> None:
    async with open_console() as console:
        for line in ("timeline", "gantt"):
            await console.command(line)
            assert console.screen.mode == "timeline"
            await console.press("escape")
            assert console.screen.mode == "streams"
        assert "timeline" in console.hits()
        await console.press("W")
        assert "W Timeline" in console.shown()


async def test_zoom_pan_and_back(open_console: OpenConsole) -> None:
    """Keys change what is in sight, and escape shows all of it again."""
    async with open_console() as console:
        await console.press("W")
        whole = row_of(console, "billing-tax")
        assert "r░" in whole
        assert "▓" in whole
        await console.press("plus", "plus")
        assert row_of(console, "billing-tax") != whole
        near = row_of(console, "lint")
        assert "█" not in near
        await console.press(*("h",) * 12)
        assert "█" in row_of(console, "lint")
        await console.press("right")
        await console.press("equals_sign")
        assert row_of(console, "billing-tax") == whole
        await console.press("minus")
        assert row_of(console, "billing-tax") != whole
        await console.press("escape")
        assert row_of(console, "billing-tax") == whole
        assert console.screen.mode == "timeline"


async def test_the_details_tell_all_times_of_the_chosen_stream(open_console: OpenConsole) -> None:
    async with open_console(size=(160, 45)) as console:
        await console.press("W", *("j",) * 5)
        shown = console.shown()
        assert "attempt 1 ran, and failed" in shown
        assert "waited to be tried again" in shown
        assert "attempt 2 ran" in shown
        await console.press("x")
        assert "billing-tax" in console.shown()


async def test_the_past_shows_what_was_known_then(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = demo_source(tmp_path)
    states = {r.seq: r for r in source._records}
    failed = next(r for r in states.values() if type(r.event).__name__ == "RetryScheduled")
    async with open_console(source) as console:
        await console.press("W")
        assert "▓" in row_of(console, "billing-tax")
        await console.command(f"travel event {failed.seq}")
        await console.app.workers.wait_for_complete()
        await console.frame()
        shown = row_of(console, "billing-tax")
        assert "▓" not in shown
        assert "█" in shown
        await console.press("escape")
        await console.frame()
        assert "▓" in row_of(console, "billing-tax")


async def test_what_is_to_come_is_expected_until_the_run_is_told_to_stop(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    plan = [stream("a", estimate_seconds=40.0), stream("b", "a", estimate_seconds=20.0)]
    source = Stubborn(plan_of(plan), tmp_path)
    source.pass_time(10.0)
    async with open_console(source, size=(160, 45)) as console:
        await console.press("W", "j")
        assert "┄" in row_of(console, "a")
        ahead = row_of(console, "b").partition("┊")[2]
        assert 0.3 < ahead.index("┄") / len(ahead.rstrip()) < 0.8, "after a"
        assert "00:40.0 to 01:00.0, on the critical path" in console.shown()
        source.feed(inputs.StopRun(reason="enough"))
        await console.frame()
        assert "┄" not in row_of(console, "a") + row_of(console, "b")


async def test_a_run_that_is_over_has_no_now(open_console: OpenConsole, tmp_path: Path) -> None:
    source = demo_source(tmp_path)
    finish_everything(source)
    async with open_console(source) as console:
        await console.press("W")
        shown = row_of(console, "e2e")
        assert "┊" not in shown
        assert "◆" in shown
        source.pass_time(500.0)
        await console.frame()
        assert row_of(console, "e2e") == shown


async def test_the_handlers_of_a_stream_are_a_row_below_it(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = ScriptedSource(plan_of([stream("docs"), stream("lint")]), tmp_path)
    source.pass_time(20.0)
    for number in range(40):
        _end_handler(source, number, began_at=float(number % 10))
    async with open_console(source) as console:
        await console.press("W")
        lines = [pane_of(console).grid.text_at(i) for i in range(3)]
        assert ["docs" in lines[0], "handlers" in lines[1], "lint" in lines[2]] == [True] * 3
        assert "█" in lines[1].partition("handlers")[2]


def _end_handler(source: ScriptedSource, number: int, began_at: float) -> None:
    ended = {"outcome": "succeeded", "exit_code": 0, "signal": None, "reason": "", "tries": 1}
    where = {"stream": StreamId("docs"), "attempt": 1, "handler": number, "item": f"{number}.md"}
    when = {"seconds": 1.0, "began_at": began_at, "slot": 0, "book_offset": number}
    event = msgspec.convert({**where, **ended, **when, "type": "handler_finished"}, HandlerFinished)
    records = source._records
    records.append(Recorded(records[-1].seq + 1, source.now(), None, event))


async def test_hostile_names_are_text(open_console: OpenConsole, tmp_path: Path) -> None:
    name = "[red]\x1b[31mx\u202e"
    source = ScriptedSource(plan_of([stream(name), stream("b", name)]), tmp_path)
    async with open_console(source) as console:
        await console.press("W")
        shown = console.shown()
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[red]" in shown


async def test_what_happened_before_the_console_looked_is_read_from_the_journal(
    open_console: OpenConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = demo_source(tmp_path)
    records = list(source._records)
    monkeypatch.setattr("anabranch.engine.runs.records_of", lambda folder: iter(records))
    source._records = records[40:]
    async with open_console(source) as console:
        await console.press("W")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert row_of(console, "lint").count("█") > 0
        assert "r░" in row_of(console, "billing-tax")


# --- what it costs -------------------------------------------------------------------------------


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    render_line, made = LineView.render_line, TimelinePane._made

    def count_line(self: LineView, y: int) -> object:
        counts[self.id or ""] += 1
        return render_line(self, y)

    def count_made(self: TimelinePane, *args: object) -> object:
        counts["made"] += 1
        return made(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(LineView, "render_line", count_line)
    monkeypatch.setattr(TimelinePane, "_made", count_made)
    return counts


@pytest.mark.parametrize("many", [300, 1000])
async def test_only_rows_in_sight_are_made_and_nothing_that_is_the_same(
    open_console: OpenConsole, tmp_path: Path, painted: Counter[str], many: int
) -> None:
    plan = plan_of([stream(f"s-{n:04}", estimate_seconds=60.0) for n in range(many)], parallel=many)
    source = ScriptedSource(plan, tmp_path)
    source.pass_time(30.0)
    async with open_console(source) as console:
        await console.press("W")
        grid = pane_of(console).grid
        in_sight = grid.visible_lines
        assert 0 < painted["made"] <= 4 * in_sight  # as the screen is laid out
        for _ in range(3):
            await console.frame()
        painted.clear()
        for _ in range(5):
            await console.frame()
        assert painted == Counter()
        source.finish("s-0002")
        await console.frame()
        assert painted["made"] == 1
        assert painted["timeline-rows"] <= 2
        painted.clear()
        source.finish(f"s-{many - 1:04}")
        await console.frame()
        assert painted["made"] == painted["timeline-rows"] == 0
        source.pass_time(5.0)
        await console.frame()
        assert painted["made"] <= in_sight


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 36), (200, 50)])
async def test_it_works_at_any_size(
    open_console: OpenConsole, tmp_path: Path, size: tuple[int, int]
) -> None:
    source = coordinated_source(tmp_path)
    async with open_console(source, size=size) as console:
        await console.press("W", "j", "plus", "minus", "minus", "h", "l", "equals_sign", "enter")
        assert "W" in console.shown()
        tabs = console.screen.mode_tabs
        assert len(plain(tabs.lines[0]).rstrip()) <= size[0]
        assert "W Timeline" in plain(tabs.lines[0])


def test_whatever_a_stream_does_has_words() -> None:
    """Each kind of wait and of the engine's work can be told: setting up is one of them."""
    kinds = {sort: {k for s, k in PHASES.values() if s == sort} for sort in ("wait", "work")}
    assert kinds["work"] >= {"workspace", "setup", "result"}
    for sort, known in kinds.items():
        for kind in known:
            assert in_words(Spell(sort, kind, 0.0))  # type: ignore[arg-type]
