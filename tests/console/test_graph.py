"""The plan as a graph: rows from facts, folds and groups, and what a frame of it costs."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch_console.glyphs import ASCII, UNICODE
from anabranch_console.lines import plain
from anabranch_console.panes.graph import GraphPane
from anabranch_console.presenters.grid_columns import layout
from anabranch_console.presenters.plan_details import plan_detail
from anabranch_console.presenters.plan_lines import (
    branches,
    levels_drawn,
    plan_columns,
    plan_legend,
)
from anabranch_console.presenters.plan_look import PlanLook, shape_of
from anabranch_console.presenters.plan_rows import PlanRow, plan_rows
from anabranch_console.widgets.grid import Grid
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

NOTHING_FOLDED: frozenset[tuple[str, str]] = frozenset()


def look_at(source: ScriptedSource) -> PlanLook:
    now = source.now()
    return PlanLook(shape_of(source.state, now), source.state, now)


def names(rows: list[PlanRow]) -> list[str]:
    return [f"{'  ' * row.depth}{row.stream or row.group}" for row in rows]


@pytest.fixture
def forked(tmp_path: Path) -> ScriptedSource:
    """``a`` runs, ``b`` and ``c`` wait for it, ``d`` for both; ``e`` is queued."""
    plan = [
        stream("a", estimate_seconds=10.0, estimate_basis="learned"),
        stream("b", "a", estimate_seconds=30.0, estimate_basis="class"),
        stream("c", "a", estimate_seconds=5.0),
        stream("d", "b", "c", estimate_seconds=20.0),
        stream("e", estimate_seconds=2.0, long_seconds=6.0, priority=-2),
    ]
    source = ScriptedSource(plan_of(plan, parallel=1), tmp_path)
    source.pass_time(4.0)
    return source


# --- rows ----------------------------------------------------------------------------------------


def test_the_tree_can_be_folded(forked: ScriptedSource) -> None:
    look = look_at(forked)
    rows = plan_rows(look, "tree", NOTHING_FOLDED, critical_only=False)
    assert names(rows) == ["a", "  b", "  c", "    d", "e"], "one slot: c is expected last"
    (folded, last) = plan_rows(look, "tree", {("", "a")}, critical_only=False)
    assert folded.is_folded
    assert set(folded.below) == set("bcd")
    assert last.stream == "e"
    leaf = plan_rows(look, "tree", {("", "e")}, critical_only=False)[-1]
    assert not leaf.can_fold
    assert not leaf.is_folded


def test_only_what_decides_in_its_order(forked: ScriptedSource) -> None:
    rows = plan_rows(look_at(forked), "tree", NOTHING_FOLDED, critical_only=True)
    assert names(rows) == ["a", "b", "d"]
    assert rows[-1].others == ("b", "c"), "what each waits for is named"


def test_waves_and_states_are_groups(forked: ScriptedSource) -> None:
    look = look_at(forked)
    waves = plan_rows(look, "wave", NOTHING_FOLDED, critical_only=False)
    assert names(waves) == ["wave 1", "  a", "  e", "wave 2", "  b", "  c", "wave 3", "  d"]
    states = plan_rows(look, "state", {("waiting", "")}, critical_only=False)
    assert names(states) == ["running", "  a", "queued", "  e", "waiting"]
    assert states[-1].below == ("b", "c", "d")
    critical = plan_rows(look, "wave", NOTHING_FOLDED, critical_only=True)
    assert names(critical) == ["wave 1", "  a", "wave 2", "  b", "wave 3", "  d"]


def test_what_is_folded_is_summed(forked: ScriptedSource) -> None:
    look = look_at(forked)
    total = look.total((StreamId("b"), StreamId("c"), StreamId("d")))
    assert total.takes == 55.0
    assert total.is_guessed
    assert total.is_critical
    assert total.states == (("waiting", 3),)
    assert total.times.start == 10.0
    assert total.times.slack == 0.0
    assert total.times.end == pytest.approx(65.0)


def test_a_stream_takes_no_less_than_it_has_taken_by_now(forked: ScriptedSource) -> None:
    """Whatever it was estimated to take."""
    assert look_at(forked).takes(StreamId("a")) == 10.0
    forked.pass_time(40.0)
    assert look_at(forked).takes(StreamId("a")) >= 40.0


def test_a_stream_that_ran_shows_when_it_did(forked: ScriptedSource) -> None:
    forked.pass_time(8.0)
    forked.finish("a")
    look = look_at(forked)
    assert look.times(StreamId("a")) == (0.0, 12.0, None)
    assert look.takes(StreamId("a")) == 12.0
    assert not look.is_critical(StreamId("a")), "what is over decides nothing any more"


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "is_last", "most", "shown"),
    [
        (0, (True,), 5, ""),
        (1, (True, False), 5, "├─"),
        (1, (False, True), 5, "└─"),
        (3, (True, False, True, True), 5, "│   └─"),
        (3, (True, False, True, True), 3, "│   └─"),
        (3, (True, False, True, True), 2, "│  3"),
        (140, (True, False, False), 3, "│ │ 140"),
    ],
)
def test_branches_lead_to_a_row(
    depth: int, is_last: tuple[bool, ...], most: int, shown: str
) -> None:
    assert branches(PlanRow(StreamId("s"), "", depth, is_last), UNICODE, most) == shown


@pytest.mark.parametrize(("cells", "levels"), [(0, 1), (16, 1), (24, 3), (31, 7), (48, 10)])
def test_the_tree_leaves_room_for_names(cells: int, levels: int) -> None:
    assert levels_drawn(cells) == levels


def test_the_legend_is_as_long_as_there_is_room() -> None:
    assert "guessed" in plan_legend(UNICODE, 60)
    assert plan_legend(UNICODE, 20) == "◆ critical path"
    assert plan_legend(ASCII, 10) == ""


def shown_cells(source: ScriptedSource, row: PlanRow, title: str) -> str:
    look = look_at(source)
    column = next(one for one in plan_columns(lambda: look) if one.title == title)
    found = column.show(row)
    return plain((found,) if hasattr(found, "text") else found).strip()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "column", "shown"),
    [
        ("a", "STREAM", "◆ ● a"),
        ("d", "STREAM", "◆ ○ d"),
        ("a", "STATE", "running"),
        ("a", "TAKES", "10s"),
        ("c", "TAKES", "≈5.0s"),
        ("b", "SLACK", "none"),
        ("c", "SLACK", "25s"),
        ("a", "START", "00:00"),
        ("a", "END", "00:10"),
        ("b", "START", "00:10"),
        ("b", "WAITS FOR", "4s a"),
        ("e", "WAITS FOR", "4s a slot"),
        ("a", "WAITS FOR", ""),
    ],
)
def test_a_row_says(forked: ScriptedSource, name: str, column: str, shown: str) -> None:
    assert shown_cells(forked, PlanRow(StreamId(name)), column) == shown


def test_a_folded_row_says_what_it_stands_for(forked: ScriptedSource) -> None:
    below = tuple(StreamId(name) for name in "bcd")
    row = PlanRow(StreamId("a"), below=below, can_fold=True, is_folded=True)
    assert shown_cells(forked, row, "WAITS FOR") == "+3 below: ○ 3 waiting"
    assert shown_cells(forked, row, "TAKES") == "≈1m05s"
    assert shown_cells(forked, row, "END") == "01:05"
    assert shown_cells(forked, row, "STREAM").startswith("▸◆")


@pytest.mark.parametrize("cells", [28, 40, 58, 78, 118, 198])
def test_names_ends_and_waits_are_there_at_any_width(cells: int) -> None:
    fitting = [c.title for c, _ in layout(plan_columns(lambda: None), cells)]  # type: ignore[arg-type, return-value]
    assert fitting[0] == "STREAM"
    assert cells < 40 or {"WAITS FOR", "END"} <= set(fitting)
    assert cells < 118 or len(fitting) == 7


def told(source: ScriptedSource, name: str) -> str:
    lines = plan_detail(look_at(source), PlanRow(StreamId(name)), 60)
    return "\n".join(plain(line).rstrip() for line in lines)


def test_the_panel_tells_waits_with_how_long_still(forked: ScriptedSource) -> None:
    shown = told(forked, "d")
    assert "waits for b, for 4s, about 36s to go" in shown
    assert "c, for 4s" in shown
    assert "on the critical path" in shown
    assert "needs     b  ○ waiting" in shown
    assert "feeds     b, c (3 wait for it in the end)" in told(forked, "a")
    assert "25 s later, and the run ends no later" in told(forked, "c")


def test_the_urgency_of_one_that_is_queued_is_a_sum(forked: ScriptedSource) -> None:
    """The parts that are shown add up to what is shown."""
    shown = re.findall(r"(?m)^(\S+|in all) +(-?[\d,.]+) s  ", told(forked, "e"))
    *parts, (label, total) = [(name, float(seconds.replace(",", ""))) for name, seconds in shown]
    assert dict(parts) == {
        "path": 2.0, "impact": 0.0, "history": 4.0, "priority": -7200.0, "age": 0.4
    }  # fmt: skip
    assert label == "in all"
    assert total == pytest.approx(sum(seconds for _, seconds in parts))
    assert "Urgency  1 of 1" in told(forked, "e")
    assert "Urgency" not in told(forked, "a")


def test_the_panel_says_what_is_usual_and_who_is_beyond_it(tmp_path: Path) -> None:
    """Only where enough was learned, and a warning once nineteen of twenty were faster."""
    learned: dict[str, Any] = {"estimate_runs": 8, "usual_seconds": 5.0, "long_seconds": 9.0}
    source = ScriptedSource(plan_of([stream("a", **learned), stream("b")]), tmp_path)
    source.pass_time(8.0)
    assert "usually" not in told(source, "b")
    assert "usually   p50 5.0 s, p95 9.0 s, of 8 runs\n" in told(source, "a") + "\n"
    source.pass_time(2.0)
    assert "of 8 runs: longer than that" in told(source, "a")


def test_the_panel_says_where_an_estimate_is_from(forked: ScriptedSource) -> None:
    assert "10 s: as it took before; so far 4.0s" in told(forked, "a")
    assert "30 s: as others like it took" in told(forked, "b")
    assert "5.0 s: a guess" in told(forked, "c")


# --- the pane ------------------------------------------------------------------------------------


def pane_of(console: Console) -> GraphPane:
    pane = console.screen.pane
    assert isinstance(pane, GraphPane)
    return pane


def shown_rows(console: Console) -> list[str]:
    return names(list(pane_of(console).grid.rows))


async def test_it_is_reached_by_its_key_name_and_palette(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.command("graph")
        assert console.screen.mode == "graph"
        await console.press("escape")
        assert "graph" in console.hits()
        await console.press("P")
        assert "P Plan" in console.shown()
        await console.command("plan lint")
        assert console.screen.mode == "streams", "what the plan says of a stream is another thing"


async def test_what_is_below_is_folded_and_shown(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("P")
        everything = shown_rows(console)
        assert everything[:4] == ["lint", "  unit", "    integration", "      e2e"]
        await console.press("j", "j", "j", "z")
        assert shown_rows(console)[:4] == ["lint", "  unit", "    integration", "types"]
        assert pane_of(console).chosen.stream == "integration"  # type: ignore[union-attr]
        assert "+1 below" in console.shown()
        await console.press("z")
        assert shown_rows(console) == everything
        await console.press("Z")
        assert [row.depth for row in pane_of(console).grid.rows] == [0] * 5
        await console.press("Z")
        assert shown_rows(console) == everything
        await console.command("filter types")
        await console.press("z")
        assert "Fold what is below, or show it: nothing stands below it" in console.toasts()


async def test_a_filter_finds_what_is_folded(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("P", "Z")
        await console.command("filter e2e")
        assert shown_rows(console) == ["      e2e"]
        assert "1 of 13" in console.shown()
        await console.press("escape")
        assert len(shown_rows(console)) == 5


async def test_only_the_critical_path_until_escape(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("P", "c")
        assert shown_rows(console) == ["unit", "integration", "e2e"]
        await console.press("escape")
        assert len(shown_rows(console)) == 13
        assert console.screen.mode == "graph"


async def test_rows_are_arranged_by_wave_or_state(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("P", "o", "w")
        assert shown_rows(console)[0] == "wave 1"
        await console.command("group state")
        assert shown_rows(console)[:3] == ["failed", "  types", "running"]
        await console.press("z")
        assert shown_rows(console)[:2] == ["failed", "running"]
        await console.command("group by-magic")
        assert "there are tree, wave, state" in console.toasts()[-1]
        await console.command("group tree")
        assert shown_rows(console)[:2] == ["lint", "  unit"]


async def test_actions_are_about_the_chosen_stream(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("P", "j", "x")
        assert "unit" in console.shown()
        await console.press("escape")
        await console.command("group wave")
        await console.press("home")
        assert pane_of(console).menu() == []


async def test_the_past_shows_what_was_expected_then(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = demo_source(tmp_path)
    failed = next(r for r in source._records if type(r.event).__name__ == "RetryScheduled")
    async with open_console(source, size=(160, 45)) as console:
        await console.press("P", "j")
        assert "since 00:08" in console.shown()
        assert "30 s to go" in console.shown()
        await console.command(f"travel event {failed.seq}")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert "30 s to go" not in console.shown()
        assert "auth-session" in console.shown()
        await console.press("escape")
        await console.frame()
        assert "30 s to go" in console.shown()


async def test_the_past_is_another_time_within_the_same_second_too(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    plan = [stream("a", estimate_seconds=10.0), stream("b", "a", estimate_seconds=20.0)]
    source = ScriptedSource(plan_of(plan), tmp_path)
    before = source.state.seq
    source.finish("a")
    async with open_console(source) as console:
        await console.press("P")
        assert "20 s to go" in console.shown()
        await console.command(f"travel event {before}")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert "30 s to go" in console.shown()


async def test_of_a_run_that_is_told_to_stop_nothing_is_expected(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    plan = [stream("a", estimate_seconds=40.0), stream("b", "a", estimate_seconds=23.0)]
    source = Stubborn(plan_of(plan), tmp_path)
    async with open_console(source, size=(160, 45)) as console:
        await console.press("P")
        assert "63 s to go" in console.shown()
        source.feed(inputs.StopRun(reason="enough"))
        source.pass_time(1.0)
        await console.frame()
        assert "told to stop: nothing is expected" in console.shown()
        assert "expected  nothing: the run is told to stop" in console.shown()


async def test_a_run_that_is_over_shows_what_was(open_console: OpenConsole, tmp_path: Path) -> None:
    source = demo_source(tmp_path)
    finish_everything(source)
    async with open_console(source, size=(160, 45)) as console:
        await console.press("P", "j")
        shown = console.shown()
        assert "over after 02:56" in shown
        assert "◆ 5 the longest chain" in shown
        assert "ran       00:08 to 02:36" in shown
        assert "expected" not in shown
        source.pass_time(500.0)
        await console.frame()
        assert "over after 02:56" in console.shown()


async def test_hostile_names_are_text(open_console: OpenConsole, tmp_path: Path) -> None:
    name = "[red]\x1b[31mx\u202e"
    plan = plan_of([stream(name), stream("b", name), stream("c", name, "b")])
    source = ScriptedSource(plan, tmp_path)
    async with open_console(source) as console:
        for keys in (("P",), ("j", "j"), ("z",), ("c",)):
            await console.press(*keys)
            shown = console.shown()
            assert "\x1b" not in shown
            assert "\u202e" not in shown
            assert "[red]" in shown


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 36), (200, 50)])
async def test_it_works_at_any_size(
    open_console: OpenConsole, tmp_path: Path, size: tuple[int, int]
) -> None:
    source = coordinated_source(tmp_path)
    async with open_console(source, size=size) as console:
        await console.press("P", "j", "z", "Z", "Z", "c", "c", "enter", "escape")
        await console.command("group state")
        tabs = plain(console.screen.mode_tabs.lines[0])
        assert "P Plan" in tabs
        assert len(tabs.rstrip()) <= size[0]


# --- what it costs -------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    render_line, line, shape = LineView.render_line, Grid._line, shape_of

    def count_render(self: LineView, y: int) -> object:
        counts[f"painted {self.id}"] += 1
        return render_line(self, y)

    def count_line(self: Grid[object], index: int) -> object:
        counts[f"made {self.id}"] += 1
        return line(self, index)

    def count_shape(*args: object) -> object:
        counts["forecasts"] += 1
        return shape(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(LineView, "render_line", count_render)
    monkeypatch.setattr(Grid, "_line", count_line)
    monkeypatch.setattr("anabranch_console.panes.graph.shape_of", count_shape)
    return counts


@pytest.mark.parametrize("many", [300, 1000])
async def test_only_rows_in_sight_are_made_and_forecasts_once_a_second(
    open_console: OpenConsole, tmp_path: Path, counted: Counter[str], many: int
) -> None:
    plans = [
        stream(f"s-{n:04}", *([f"s-{n - 7:04}"] if n >= 7 else []), estimate_seconds=60.0)
        for n in range(many)
    ]
    source = ScriptedSource(plan_of(plans, parallel=4), tmp_path)
    source.pass_time(30.0)
    async with open_console(source) as console:
        await console.press("P")
        in_sight = pane_of(console).grid.visible_lines
        for _ in range(3):
            await console.frame()
        counted.clear()
        for _ in range(5):
            await console.frame()
        assert counted == Counter(), "nothing has changed"
        for name in ("s-0000", "s-0001", "s-0002"):
            source.finish(name)
            await console.frame()
        assert counted["forecasts"] == 0, "the second is the same"
        assert counted["made graph-rows"] <= 3 * 2 * in_sight
        assert counted["painted graph-rows"] <= 6, "who has ended, and who was queued"
        counted.clear()
        for _ in range(3):
            source.pass_time(1.0)
            await console.frame()
        assert counted["forecasts"] == 3
        assert counted["made graph-rows"] <= 3 * 2 * in_sight
        await console.press("escape")
        counted.clear()
        source.pass_time(1.0)
        await console.frame()
        assert counted["forecasts"] == 0, "it is out of sight"
