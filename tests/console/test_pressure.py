"""The pressure on the machine: lines from samples, the width with its reasons, who uses most."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.topology import Topology
from anabranch.core.views.width import WidthStep, width_at, width_steps
from anabranch.engine.integrity import what_is_broken
from anabranch.engine.latency import DecisionLatency
from anabranch.engine.pressure_samples import Waits
from anabranch.engine.source import Overhead
from anabranch.engine.token_ledger import Ledger, write_ledger
from anabranch.paths import RunFolder
from anabranch_console.glyphs import ASCII, UNICODE
from anabranch_console.lines import plain
from anabranch_console.panes import pressure
from anabranch_console.panes.pressure import PressurePane
from anabranch_console.presenters.pressure_lines import pressure_columns, pressure_detail
from anabranch_console.presenters.pressure_look import (
    METERS,
    WIDTH,
    Measured,
    PressureLook,
    PressureRow,
    pressure_rows,
)
from anabranch_console.presenters.spark_lines import means, seconds_a_cell, spark_line
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView
from tests.console.conftest import Console, OpenConsole
from tests.console.pressed import pressed_source, sample
from tests.console.scripted_source import (
    ScriptedSource,
    demo_source,
    finish_everything,
    plan_of,
    stream,
)

# --- lines ---------------------------------------------------------------------------------------


def test_a_sign_is_the_mean_of_its_stretch_of_time() -> None:
    points = [(0.0, 10.0), (1.0, 20.0), (2.0, 30.0), (7.0, 5.0)]
    assert means(points, end=7.0, cell_seconds=2.0, cells=4) == [15.0, 30.0, None, 5.0]
    assert means(points, end=8.0, cell_seconds=2.0, cells=2) == [5.0, None]
    assert means([], end=8.0, cell_seconds=2.0, cells=2) == [None, None]


def test_what_is_over_does_not_change_as_time_goes_on() -> None:
    points = [(float(second), float(second % 7)) for second in range(100)]
    before = means(points[:60], 59.0, 5.0, 10)
    after = means(points[:64], 63.0, 5.0, 10)
    assert after == before or after[:-1] == before[1:]


def test_nothing_known_looks_other_than_nought_and_too_much_warns() -> None:
    line = spark_line([None, 0.0, 50.0, 100.0, 130.0], 100.0, UNICODE, limit=60.0)
    assert plain(line) == " ▁▅██"
    assert [span.style for span in line] == ["accent", "level.warning"]
    assert plain(spark_line([None, 0.0, 100.0], 100.0, ASCII)) == " .@"


@pytest.mark.parametrize(("cells", "seconds"), [(1, 60.0), (10, 30.0), (60, 5.0), (140, 3.0)])
def test_the_last_minutes_fit(cells: int, seconds: float) -> None:
    assert seconds_a_cell(cells) == seconds
    assert cells < 5 or cells * seconds >= 300


# --- what is shown -------------------------------------------------------------------------------


def look_at(source: ScriptedSource, *, cells: int = 40, **facts: object) -> PressureLook:
    measured = Measured(source.samples, cells, UNICODE)
    known = {"measured": measured, "vitals": source.vitals(), **facts}
    return PressureLook(source.state, source.now(), **known)  # type: ignore[arg-type]


def cell(look: PressureLook, row: PressureRow, title: str) -> str:
    columns = pressure_columns(lambda: look)
    found = next(column.show(row) for column in columns if (column.id or column.title) == title)
    return plain((found,) if hasattr(found, "style") else found).strip()  # type: ignore[arg-type]


def test_the_greediest_come_first(tmp_path: Path) -> None:
    """By the larger of their shares of processors and of memory."""
    source = pressed_source(tmp_path)
    rows = pressure_rows(look_at(source))
    assert [row.name for row in rows[: len(METERS) + 1]] == [*(m.name for m in METERS), WIDTH]
    streams = [row.name for row in rows if row.kind == "stream"]
    assert streams == ["build-0", "build-1", "build-2", "build-3"]
    source.speak("build-3", "ld", cpu_percent=10.0, memory_bytes=15_000 << 20)
    streams = [row.name for row in pressure_rows(look_at(source)) if row.kind == "stream"]
    assert streams == ["build-3", "build-0", "build-1", "build-2"]


@pytest.mark.parametrize(
    ("kind", "name", "column", "shown"),
    [
        ("meter", "cpu", "NOW", "59%"),
        ("meter", "cpu", "MOST", "90%"),
        ("meter", "memory", "MEMORY", "9.6G"),
        ("meter", "memory-wait", "NOW", "0%"),
        ("meter", "disks", "NOW", "15 MB/s"),
        ("meter", "width", "NOW", "3"),
        ("meter", "width", "MOST", "4"),
        ("meter", "cpu", "WHAT", "processors"),
        ("meter", "disk-wait", "WHAT", "wait for them"),
        ("stream", "build-1", "NOW", "110%"),
        ("stream", "build-1", "MEMORY", "520M"),
        ("stream", "build-1", "MOST", "900M"),
        ("stream", "build-0", "MOST", "—"),
        ("stream", "build-2", "line", "▰▰▰▰▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱"),
    ],
)
def test_a_row_says(tmp_path: Path, kind: str, name: str, column: str, shown: str) -> None:
    row = PressureRow(kind, name)  # type: ignore[arg-type]
    assert cell(look_at(pressed_source(tmp_path)), row, column) == shown


def test_the_width_over_time_is_a_line(tmp_path: Path) -> None:
    """Two until 41 s, four until 101 s, three since: each sign of it is ten seconds."""
    look = look_at(pressed_source(tmp_path), cells=30)
    shown = plain(look.width_line())
    assert shown == " " * 10 + "▅" * 4 + "█" * 6 + "▆" * 10


def told(look: PressureLook, row: PressureRow | None = None, cells: int = 70) -> str:
    return "\n".join(plain(line).rstrip() for line in pressure_detail(look, row, cells))


def test_the_width_is_told_with_its_reasons_newest_first(tmp_path: Path) -> None:
    shown = told(look_at(pressed_source(tmp_path)))
    newest, oldest = (
        shown.index("width 4 → 3: memory pressure 12 %"),
        shown.index("width 2 → 4: all"),
    )
    assert newest < oldest
    assert "01:41  width 4 → 3" in shown


def test_a_width_that_is_given_says_so(tmp_path: Path) -> None:
    shown = told(look_at(pressed_source(tmp_path, adaptive=False)))
    assert "the plan says 2; it does not follow the machine" in shown


@pytest.mark.parametrize(
    ("slowdown", "adaptive", "shown"),
    [
        (0.1, True, "one more is learned to bring 58% of one alone"),
        (0.9, True, "so it does not grow"),
        (0.9, False, ""),
        (None, True, ""),
    ],
)
def test_it_says_what_one_more_is_learned_to_bring(
    tmp_path: Path, slowdown: float | None, adaptive: bool, shown: str
) -> None:
    source = pressed_source(tmp_path, adaptive=adaptive)
    plan = replace(source.state.plan, slowdown=slowdown)
    state = replace(source.state, topology=Topology(plan))
    measured = Measured(source.samples, 40, UNICODE)
    look = PressureLook(state, source.now(), measured=measured, vitals=source.vitals())
    text = " ".join(told(look).split())
    assert shown in text
    assert ("one more" in text) is bool(shown)


def test_steps_of_the_width_say_from_what() -> None:
    steps = (WidthStep(10.0, 2, 4, "calm"), WidthStep(20.0, 4, 3, "pressed"))
    assert [width_at(steps, at, 2) for at in (0.0, 10.0, 15.0, 99.0)] == [2, 4, 4, 3]
    assert width_at((), 5.0, 7) == 7


def test_the_steps_are_those_of_the_run(tmp_path: Path) -> None:
    steps = width_steps(pressed_source(tmp_path).state)
    assert [(step.at, step.was, step.width) for step in steps] == [(41.0, 2, 4), (101.0, 4, 3)]


def test_where_the_kernel_tells_nothing_the_pane_says_so(tmp_path: Path) -> None:
    source = pressed_source(tmp_path)
    source.samples = tuple(
        sample(n, cpu=Waits(), memory=Waits(), io=Waits(), disk_mb=None) for n in range(9)
    )
    look = look_at(source)
    for name in ("cpu-wait", "memory-wait", "disk-wait"):
        row = PressureRow("meter", name)
        assert cell(look, row, "NOW") == "—"
        assert "not told here: /proc/pressure/" in cell(look, row, "line")
        assert "not told here" in told(look, row)
    assert "no counters of disks" in cell(look, PressureRow("meter", "disks"), "line")
    assert cell(look, PressureRow("meter", "cpu"), "line") == "▆"


def test_the_panel_tells_what_a_meter_is_and_how_it_was(tmp_path: Path) -> None:
    shown = told(look_at(pressed_source(tmp_path)), PressureRow("meter", "memory-wait"))
    assert "somebody waits for memory; above 10 % fewer run" in shown
    assert "0% to 16%" in shown
    assert "full height 25%" in shown


def test_the_panel_tells_what_a_stream_uses_and_what_is_learned_of_it(tmp_path: Path) -> None:
    look = look_at(pressed_source(tmp_path), lent={StreamId("build-1"): 2})
    shown = told(look, PressureRow("stream", "build-1"))
    assert "110% of a processor, 520M of memory, 3 processes" in shown
    assert "900M at the most, in earlier runs" in shown
    assert "tokens      2 lent" in shown


def test_the_panel_tells_what_coordination_costs_and_whether_the_state_is_whole(
    tmp_path: Path,
) -> None:
    """Each category that counts with its share, the dearest first; how long decisions take."""
    spent = {"workspaces": 1.0, "merging": 3.0, "processes": 0.01}
    overhead = Overhead(spent, 96.0, 0.04, DecisionLatency(0.0004, 0.0123, 0.5, 900))
    look = look_at(pressed_source(tmp_path), overhead=overhead, broken=())
    lines = [line.split(maxsplit=1) for line in told(look).splitlines() if line.strip()]
    parts = [(label, " ".join(rest)) for label, *rest in lines]
    start = parts.index(("overhead", "4.0% of all time spent"))
    assert parts[start + 1 : start + 4] == [
        ("merging", "3.0%, 3.0s"),
        ("workspaces", "1.0%, 1.0s"),
        ("decisions", "0.4 ms each, nearly all within 12 ms"),
    ]
    assert ("state", "whole: every promise holds") in parts
    ill = look_at(pressed_source(tmp_path), broken=("the queue is out of order",))
    assert "state       not whole: the queue is out of order" in told(ill)
    assert "promise" not in told(look_at(pressed_source(tmp_path)))


# --- the pane ------------------------------------------------------------------------------------


def pane_of(console: Console) -> PressurePane:
    pane = console.screen.pane
    assert isinstance(pane, PressurePane)
    return pane


async def test_it_is_reached_by_its_key_name_and_palette(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    async with open_console(pressed_source(tmp_path)) as console:
        for line in ("pressure", "machine"):
            await console.command(line)
            assert console.screen.mode == "pressure"
            await console.press("escape")
        assert "pressure" in console.hits()
        await console.press("U")
        shown = console.shown()
        assert "U Pressure" in shown
        assert "width 4 → 3: memory pressure 12 %" in shown
        assert "efficiency" in shown


async def test_the_state_is_looked_at_seldom_and_only_in_sight(
    open_console: OpenConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Counter[str] = Counter()

    def counted(state: State) -> tuple[str, ...]:
        looks["state"] += 1
        return what_is_broken(state)

    monkeypatch.setattr(pressure, "what_is_broken", counted)
    source = pressed_source(tmp_path)
    async with open_console(source) as console:
        await console.frame()
        assert not looks
        await console.press("U")
        for _ in range(9):
            source.pass_time(1.0)
            await console.frame()
        assert looks["state"] == 1
        assert "whole: every promise holds" in told(pane_of(console).look)
        source.pass_time(1.0)
        await console.frame()
        assert looks["state"] == 2


async def test_the_machine_is_asked_for_while_somebody_looks(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = pressed_source(tmp_path)
    async with open_console(source) as console:
        source.pass_time(1.0)
        await console.frame()
        assert source.looks_at_the_machine == 0
        await console.press("U")
        looks = source.looks_at_the_machine
        assert looks > 0
        source.pass_time(1.0)
        await console.frame()
        assert source.looks_at_the_machine > looks
        await console.press("escape")
        looks = source.looks_at_the_machine
        source.pass_time(1.0)
        await console.frame()
        assert source.looks_at_the_machine == looks


async def test_actions_are_about_the_chosen_stream(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    async with open_console(pressed_source(tmp_path)) as console:
        await console.press("U")
        assert pane_of(console).menu() == []
        await console.press("G")
        assert pane_of(console).chosen_streams() == ["build-3"]
        await console.press("x")
        assert "build-3" in console.shown()


async def test_tokens_of_the_jobserver_are_told(open_console: OpenConsole, tmp_path: Path) -> None:
    plan = plan_of([stream("a"), stream("b")], has_jobserver=True)
    source = ScriptedSource(plan, tmp_path)
    ledger = Ledger(
        slots=8, lent=5, in_use=4, most_in_use=6, put_back=1, loans={"a.1": 3, "b.1": 2}
    )
    write_ledger(RunFolder(tmp_path), ledger)
    for name in ("a", "b"):
        source.speak(name, "make")
    async with open_console(source, size=(160, 45)) as console:
        await console.press("U")
        await console.app.workers.wait_for_complete()
        await console.frame()
        shown = console.shown()
        assert "5 lent, 4 in use, 6 at the most" in shown
        assert "1 of the dead" in shown
        await console.press("G")
        assert "2 lent" in console.shown()


async def test_of_the_past_the_width_is_known_and_the_machine_is_not(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = pressed_source(tmp_path)
    changed = [r for r in source._records if type(r.event).__name__ == "ParallelismChanged"]
    async with open_console(source, size=(160, 45)) as console:
        await console.press("U")
        assert "4 → 3" in console.shown()
        await console.command(f"travel event {changed[0].seq}")
        await console.app.workers.wait_for_complete()
        await console.frame()
        past = pane_of(console).grid
        shown = "\n".join(past.text_at(index) for index in range(len(past.rows)))
        assert shown.count("not kept: this is the past") == len(METERS)
        details = "\n".join(plain(line) for line in pane_of(console).detail.lines)
        assert "width 2 → 4" in details
        assert "4 → 3" not in details
        await console.press("escape")
        await console.frame()
        assert "4 → 3" in console.shown()
        assert "not kept" not in console.shown()


async def test_a_run_that_is_over_tells_who_used_most(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = ScriptedSource(plan_of([stream("a"), stream("b")]), tmp_path)
    for name, seconds in (("a", 2.0), ("b", 9.0)):
        source.pass_time(10.0)
        source.feed(
            inputs.ProcessExited(
                stream=StreamId(name),
                attempt=1,
                exit_code=0,
                signal=None,
                error=None,
                happened_at=source.now(),
                cpu_seconds=seconds,
                peak_memory_mb=300.0 * seconds,
            )
        )
    finish_everything(source)
    async with open_console(source, size=(160, 45)) as console:
        await console.press("U", "G")
        grid = pane_of(console).grid
        assert [row.name for row in grid.rows[-3:]] == ["who used most", "b", "a"]
        assert "9.0s" in grid.text_at(len(grid.rows) - 2)
        shown = console.shown()
        assert "the run is over" in shown
        assert "In all" in shown
        assert "600M at the most" in shown


async def test_hostile_names_are_text(open_console: OpenConsole, tmp_path: Path) -> None:
    name = "[red]\x1b[31mx\u202e"
    source = ScriptedSource(plan_of([stream(name)]), tmp_path)
    source._vitals[StreamId(name)] = pressed_source(tmp_path / "other").vitals()[
        StreamId("build-0")
    ]
    async with open_console(source) as console:
        await console.press("U", "G")
        shown = console.shown()
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[red]" in shown


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 36), (200, 50)])
async def test_it_works_at_any_size(
    open_console: OpenConsole, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with open_console(pressed_source(tmp_path), size=size) as console:
        await console.press("U", "j", "G", "g")
        assert any("processors" in pane_of(console).grid.text_at(i) for i in range(3))
        await console.press("enter")
        tabs = plain(console.screen.mode_tabs.lines[0])
        assert "U Pressure" in tabs
        assert len(tabs.rstrip()) <= size[0]


async def test_a_run_that_nobody_has_measured_says_so(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    async with open_console(demo_source(tmp_path)) as console:
        await console.press("U")
        assert "not looked at yet" in console.shown()


# --- what it costs -------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    render_line, line, drawn = LineView.render_line, Grid._line, Measured._drawn

    def count_render(self: LineView, y: int) -> object:
        counts[f"painted {self.id}"] += 1
        return render_line(self, y)

    def count_line(self: Grid[object], index: int) -> object:
        counts[f"made {self.id}"] += 1
        return line(self, index)

    def count_drawn(self: Measured, meter: object) -> object:
        counts["drawn"] += 1
        return drawn(self, meter)  # type: ignore[arg-type]

    def count_figures(*args: object) -> object:
        counts["figures"] += 1
        return figures(*args)

    figures = vars(pressure)["figures"]
    monkeypatch.setattr(LineView, "render_line", count_render)
    monkeypatch.setattr(Grid, "_line", count_line)
    monkeypatch.setattr(Measured, "_drawn", count_drawn)
    monkeypatch.setattr(pressure, "figures", count_figures)
    return counts


@pytest.mark.parametrize("many", [300, 1000])
async def test_lines_are_drawn_once_a_sample_and_figures_once_a_second(
    open_console: OpenConsole, tmp_path: Path, counted: Counter[str], many: int
) -> None:
    plan = plan_of([stream(f"s-{n:04}") for n in range(many)], parallel=many)
    source = ScriptedSource(plan, tmp_path)
    source.samples = tuple(sample(second) for second in range(600))
    for number in range(many):
        source.speak(f"s-{number:04}", "on", cpu_percent=float(number % 90))
    async with open_console(source) as console:
        await console.press("U")
        in_sight = pane_of(console).grid.visible_lines
        for _ in range(3):
            await console.frame()
        counted.clear()
        for _ in range(5):
            await console.frame()
        assert counted == Counter(), "nothing has changed"
        for _ in range(3):
            source.speak("s-0500" if many > 500 else "s-0200", "on", cpu_percent=5.0)
            await console.frame()
        assert counted["drawn"] == counted["figures"] == 0
        assert counted["painted pressure-rows"] <= in_sight
        assert counted["made pressure-rows"] <= 3 * 2 * in_sight
        counted.clear()
        source.samples = (*source.samples[1:], sample(600))
        source.pass_time(1.0)
        await console.frame()
        assert counted["drawn"] == len(METERS)
        assert counted["figures"] == 1
        assert counted["made pressure-rows"] <= 3 * in_sight
