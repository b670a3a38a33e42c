"""The columns of the streams table: what they show, how wide, and which give way first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Align, Span
from anabranch_console.plugged import Plugged
from anabranch_console.presenters import wording
from anabranch_console.presenters.stream_row import StreamRow


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Columns of higher priority stay longer; width 0 takes what is left."""

    id: str
    title: str
    width: int
    priority: int
    show: Callable[[StreamRow, Glyphs], Span]
    sort_key: Callable[[StreamRow], Any]
    align: Align = "left"
    is_descending_first: bool = False


def _state(row: StreamRow, glyphs: Glyphs) -> Span:
    return Span(f"{glyphs.state(row.state)} {row.state}", f"state.{row.state}")


def _attempt(row: StreamRow, glyphs: Glyphs) -> Span:
    return Span(f"#{row.attempt}" if row.attempt > 1 else "", "state.recovering")


def _numbers(
    text: Callable[[StreamRow], str],
) -> Callable[[StreamRow, Glyphs], Span]:
    def show(row: StreamRow, glyphs: Glyphs) -> Span:
        told = text(row)
        return Span("" if told == wording.NOTHING else told, "text" if row.is_active else "muted")

    return show


def _files(row: StreamRow) -> str:
    """How many files it has changed; a figure that git has not confirmed is marked, none too."""
    if row.files_are_estimated:
        return f"~{row.files or 0}"
    return str(row.files or wording.NOTHING)


def _now(row: StreamRow, glyphs: Glyphs) -> Span:
    again = f"#{row.attempt} " if row.attempt > 1 else ""
    style = "level.warning" if row.is_kept_waiting else "muted"
    return Span(again + row.now, f"state.{row.state}" if row.state == "failed" else style)


def _or_less(value: int | None) -> int:
    return -1 if value is None else value


MOST_URGENT_NOW = 14
"""The cells that the last column gets before the next of lower priority may be shown."""

COLUMNS: tuple[Column, ...] = (
    Column("id", "STREAM", 16, 100, lambda r, g: Span(r.id, "strong"), lambda r: r.id),
    Column("state", "STATE", 13, 90, _state, lambda r: (r.urgency, r.position)),
    Column("attempt", "TRY", 3, 25, _attempt, lambda r: r.attempt, "right", True),
    Column(
        "age",
        "AGE",
        4,
        70,
        _numbers(lambda r: wording.age(r.age_seconds)),
        lambda r: _or_less(r.age_seconds),
        "right",
        True,
    ),
    Column(
        "files",
        "FILES",
        5,
        40,
        _numbers(_files),
        lambda r: _or_less(r.files),
        "right",
        True,
    ),
    Column(
        "cpu",
        "CPU",
        5,
        45,
        _numbers(lambda r: wording.percent(r.cpu)),
        lambda r: _or_less(r.cpu),
        "right",
        True,
    ),
    Column(
        "mem",
        "MEM",
        5,
        30,
        _numbers(lambda r: wording.memory(r.memory_bytes)),
        lambda r: _or_less(r.memory_bytes),
        "right",
        True,
    ),
    Column(
        "time",
        "TIME",
        5,
        60,
        _numbers(lambda r: wording.clock(r.elapsed_seconds)),
        lambda r: _or_less(r.elapsed_seconds),
        "right",
        True,
    ),
    Column("now", "NOW", 0, 80, _now, lambda r: r.now),
)

PLUGIN_COLUMN_PRIORITY = 50


def plugin_columns(plugged: Plugged) -> tuple[Column, ...]:
    """Return the columns that plugins bring; they show what each said last."""

    def column(name: str, title: str, width: int) -> Column:
        def show(row: StreamRow, glyphs: Glyphs) -> Span:
            return Span(plugged.cells.get((name, row.id), ""), "text")

        def sort_key(row: StreamRow) -> str:
            return plugged.cells.get((name, row.id), "")

        return Column(f"plugin {name}", title, width, PLUGIN_COLUMN_PRIORITY, show, sort_key)

    return tuple(
        column(name, wording.safe(plugged.plugins.title("columns", name)).upper(), width)
        for name, width in plugged.plugins.widths.items()
        if name in plugged.plugins.columns
    )


PLAN_ORDER = "plan"
BY_ID = {column.id: column for column in COLUMNS}


def sort_key(column: str) -> Callable[[StreamRow], Any]:
    """Return the key by which a column sorts; unknown names sort in plan order."""
    return BY_ID[column].sort_key if column in BY_ID else lambda row: row.position


def layout(
    cells: int, id_width: int, columns: Sequence[Column] = COLUMNS, gap: int = 1
) -> list[tuple[Column, int]]:
    """Return the columns that fit into ``cells`` and their widths, in table order.

    Columns come in by priority while the last one keeps enough room to say something.
    """
    widths = {c.id: c.width for c in columns}
    widths["id"] = max(min(id_width, 28, cells // 3), 6)
    chosen: list[Column] = []
    used = 0
    for column in sorted(columns, key=lambda c: -c.priority):
        width = widths[column.id] or min(MOST_URGENT_NOW, max(cells // 3, 8))
        if used + width + gap * bool(chosen) <= cells:
            chosen.append(column)
            used += width + gap * bool(len(chosen) > 1)
    shown = [c for c in columns if c in chosen]
    fixed = sum(widths[c.id] for c in shown) + gap * (len(shown) - 1)
    return [(c, widths[c.id] or max(cells - fixed, 0)) for c in shown]
