"""The room there is, is used: at 120 columns and at 200, in the home and in every table."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core import calls
from anabranch_console.glyphs import UNICODE
from anabranch_console.lines import Span
from anabranch_console.presenters.grid_columns import Column, layout
from anabranch_console.presenters.stream_columns import stream_columns
from tests.console.conftest import OpenConsole
from tests.console.coordination import call
from tests.console.scripted_source import ScriptedSource, plan_of, stream

COLUMNS = stream_columns(lambda: UNICODE, lambda: 13)


@pytest.mark.parametrize("cells", [74, 76, 84, 98])
def test_what_a_stream_says_has_room_and_its_attempt_is_told(cells: int) -> None:
    """At 80 and 120 columns: other figures give way before NOW is cut to a few cells."""
    widths = {column.id: width for column, width in layout(COLUMNS, cells)}
    assert widths["now"] >= 24
    assert "attempt" in widths
    assert "progress" not in widths


def test_columns_grow_where_there_is_room() -> None:
    """Names are not cut beside hundreds of free cells, and what takes the rest keeps enough."""
    columns: list[Column[str]] = [
        Column("HOLDER", 16, 90, Span, grows=True),
        Column("FENCE", 5, 80, Span),
        Column("LOCK", 0, 100, Span),
    ]
    assert [width for _, width in layout(columns, 50)] == [16, 5, 27]
    assert [width for _, width in layout(columns, 73)] == [26, 5, 40]
    assert [width for _, width in layout(columns, 400)] == [32, 5, 361]


async def test_a_wide_home_shows_progress_and_times(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Instead of emptiness: how far a stream says it is, and when each ran; NOW keeps its room."""
    source = ScriptedSource(plan_of([stream("one"), stream("two")]), tmp_path)
    call(source, calls.Heartbeat, "one", status="tests", progress=0.42)
    source.pass_time(60.0)
    async with open_console(source, size=(200, 50)) as console:
        await console.frame()
        shown = console.shown()
        assert "PROGRESS" in shown
        assert "▰▰▰▱▱▱▱▱  42%" in shown
        widths = {column.id: width for column, width in console.screen.home.grid.fitting}
        assert widths["when"] >= 20
        assert widths["now"] >= 26
        row = next(line for line in shown.splitlines() if "▸ one " in line)
        assert UNICODE.gantt["ran"] * 15 in row
    async with open_console(source, size=(120, 40)) as console:
        assert "PROGRESS" not in console.shown()
