"""The columns of the streams: what they show, how wide, which give way first, how they sort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anabranch.core import wording
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.stream_row import LOUD, StreamRow
from anabranch_console.presenters.wording import NOTHING, clock, memory, percent, size

StreamColumn = Column[StreamRow]
PLUGIN_COLUMN_PRIORITY = 50
_BAR_CELLS = 8
_NOW_CELLS = 26
_NOW_CELLS_WITH_PROGRESS = 40
_NOW_CELLS_WITH_DISK = 70
_LEAST_NAME_CELLS, _MOST_NAME_CELLS = 6, 28


def state_of(row: StreamRow, glyphs: Glyphs) -> Span:
    """Return how a stream stands, in a sign and a word: that it needs a person goes before."""
    if row.attention in LOUD:
        return Span(f"{glyphs.state('needs_operator')} {row.attention}", "state.needs_operator")
    words = row.state.replace("_", " ")
    return Span(f"{glyphs.state(row.state)} {words}", f"state.{row.state}")


def stream_columns(
    glyphs: Callable[[], Glyphs],
    longest_name: Callable[[], int],
    beside: Sequence[StreamColumn] = (),
) -> list[StreamColumn]:
    """Return the columns, without those of plugins.

    Args:
        glyphs: the signs of the app.
        longest_name: returns how many cells the longest name of a stream has.
        beside: columns that come before the last, which takes what is left.
    """

    def name_cells(cells: int) -> int:
        wanted = min(longest_name() + 1, _MOST_NAME_CELLS, cells // 3)
        return max(wanted, _LEAST_NAME_CELLS)

    def state(row: StreamRow) -> Span:
        return state_of(row, glyphs())

    return [
        _column("id", name_cells, 100, lambda r: Span(r.id, "strong"), lambda r: r.id, "STREAM"),
        _column("state", 13, 90, state, lambda r: (r.urgency, r.position)),
        _numbers("attempt", 3, 35, _attempt, lambda r: r.attempt, "TRY"),
        _numbers("age", 4, 70, _age, lambda r: r.age_seconds),
        _numbers("files", 5, 40, files_changed, lambda r: r.files),
        _numbers("cpu", 5, 45, lambda r: percent(r.cpu), lambda r: r.cpu),
        _numbers("mem", 5, 30, lambda r: memory(r.memory_bytes), lambda r: r.memory_bytes),
        _numbers("disk", 5, 5, _disk, lambda r: r.disk_bytes, spares=_NOW_CELLS_WITH_DISK),
        _numbers("time", 5, 60, lambda r: clock(r.elapsed_seconds), lambda r: r.elapsed_seconds),
        Column(
            *("PROGRESS", _BAR_CELLS + 5, 20, lambda r: _progress(r, glyphs())),
            id="progress",
            sort_key=lambda r: -1 if r.progress is None else r.progress,
            is_descending_first=True,
            spares=_NOW_CELLS_WITH_PROGRESS,
        ),
        *beside,
        Column("NOW", 0, 80, _now, id="now", sort_key=lambda r: r.now, spares=_NOW_CELLS),
    ]


def _progress(row: StreamRow, glyphs: Glyphs) -> Line:
    if row.progress is None:
        return (Span(""),)
    on = round(_BAR_CELLS * row.progress / 100)
    return (
        Span(glyphs.bar_on * on, "bar.on"),
        Span(glyphs.bar_off * (_BAR_CELLS - on), "bar.off"),
        Span(f"{row.progress:4}%", "text" if row.is_active else "muted"),
    )


def _age(row: StreamRow) -> str:
    return NOTHING if row.age_seconds is None else wording.age(row.age_seconds)


def plugin_columns(plugged: Plugged) -> list[StreamColumn]:
    """Return the columns that plugins bring; they show what each said last."""

    def column(name: str, title: str, width: int) -> StreamColumn:
        def text(row: StreamRow) -> str:
            return plugged.cells.get((name, row.id), "")

        def show(row: StreamRow) -> Span:
            return Span(text(row), "text")

        return _column(f"plugin {name}", width, PLUGIN_COLUMN_PRIORITY, show, text, title)

    return [
        column(name, plugged.plugins.title("columns", name).upper(), width)
        for name, width in plugged.plugins.widths.items()
        if name in plugged.plugins.columns
    ]


def with_plugins(
    own: Sequence[StreamColumn], brought: Sequence[StreamColumn]
) -> list[StreamColumn]:
    """Return all columns: those of plugins before the last, which takes what is left."""
    return [*own[:-1], *brought, own[-1]]


def _column(
    id: str,
    width: int | Callable[[int], int],
    priority: int,
    show: Callable[[StreamRow], Span],
    sort_key: Callable[[StreamRow], Any],
    title: str = "",
) -> StreamColumn:
    return Column(title or id.upper(), width, priority, show, id=id, sort_key=sort_key)


def _numbers(
    id: str,
    width: int,
    priority: int,
    show: Callable[[StreamRow], str | Span],
    value: Callable[[StreamRow], float | None],
    title: str = "",
    spares: int = 0,
) -> StreamColumn:
    """Return a column of figures: to the right, the largest first, what is unknown last."""

    def shown(row: StreamRow) -> Span:
        found = show(row)
        if isinstance(found, Span):
            return found
        style = "text" if row.is_active else "muted"
        return Span("" if found == NOTHING else found, style)

    def sort_key(row: StreamRow) -> float:
        found = value(row)
        return -1 if found is None else found

    return Column(
        title or id.upper(),
        width,
        priority,
        shown,
        "right",
        id=id,
        sort_key=sort_key,
        is_descending_first=True,
        spares=spares,
    )


def _disk(row: StreamRow) -> str:
    return size(row.disk_bytes) if row.disk_bytes else NOTHING


def _attempt(row: StreamRow) -> Span:
    return Span(f"#{row.attempt}" if row.attempt > 1 else "", "state.recovering")


def files_changed(row: StreamRow) -> str:
    """Return how many files it has changed; a figure that git has not confirmed is marked."""
    if row.files_are_estimated:
        return f"~{row.files or 0}"
    return str(row.files or NOTHING)


def _now(row: StreamRow) -> Span:
    again = f"#{row.attempt} " if row.attempt > 1 else ""
    style = "level.warning" if row.is_kept_waiting else "muted"
    return Span(again + row.now, f"state.{row.state}" if row.state == "failed" else style)
