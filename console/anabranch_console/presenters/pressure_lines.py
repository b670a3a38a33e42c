"""The pressure on the machine in columns and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.views.width import LEAST_RETURN, WidthStep, brings
from anabranch_console.lines import Line, Span, hang
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.pressure_look import (
    BY_NAME,
    WIDTH,
    Meter,
    PressureLook,
    PressureRow,
)
from anabranch_console.presenters.spark_lines import SHOWN_SECONDS, seconds_a_cell
from anabranch_console.presenters.wording import NOTHING, clock, memory, percent, safe, shortened

if TYPE_CHECKING:
    from anabranch.engine.source import Overhead

LINE = "line"
"""The column of lines."""
_LABEL_CELLS = 12
_MOST_STEPS = 100
_MOST_BAR_CELLS = 24
_MIB = 2**20
LEAST_SECONDS = 0.05
"""What coordination has spent less on is not named."""


def pressure_columns(look: Callable[[], PressureLook]) -> list[Column[PressureRow]]:
    """Return the columns of the pane."""
    return [
        Column("WHAT", 18, 100, lambda r: _what(look(), r), grows=True),
        Column("NOW", 9, 95, lambda r: _now(look(), r), "right"),
        Column("MEMORY", 6, 70, lambda r: _memory(look(), r), "right"),
        Column("MOST", 9, 60, lambda r: _most(look(), r), "right"),
        Column(_line_title, 0, 90, lambda r: _line(look(), r), id=LINE),
    ]


def _line_title(cells: int) -> str:
    minutes = max(SHOWN_SECONDS, cells * seconds_a_cell(cells)) / 60
    return (
        f"LAST {minutes:.0f} MIN"
        if cells < 30
        else (f"THE LAST {minutes:.0f} MIN, A SIGN IS {seconds_a_cell(cells):g} S")
    )


def _what(look: PressureLook, row: PressureRow) -> Span:
    if row.kind == "head":
        return Span(row.name, "title")
    if row.kind == "meter":
        return Span(WIDTH if row.name == WIDTH else BY_NAME[row.name].title, "text")
    state = look.state.streams[StreamId(row.name)].public_state
    return Span(f"{look.glyphs.state(state)} {safe(row.name)}", f"state.{state}")


def _now(look: PressureLook, row: PressureRow) -> Span:
    if row.kind == "head":
        return Span("", "text")
    if row.kind == "stream":
        used = look.used(StreamId(row.name))
        if used is not None:
            return Span(percent(used.cpu_percent), "text")
        spent = look.state.streams[StreamId(row.name)].spent.on_processors
        return Span(wording.duration(spent), "muted")
    if row.name == WIDTH:
        return Span(str(look.state.max_parallel), "strong")
    meter, newest = BY_NAME[row.name], look.newest
    value = meter.of(newest) if newest is not None else None
    is_too_much = value is not None and meter.limit is not None and value > meter.limit
    return Span(_value(meter, value), "level.warning" if is_too_much else "text")


def _value(meter: Meter, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.0f}{meter.unit}" if value >= 10 or not value else f"{value:.1f}{meter.unit}"


def _memory(look: PressureLook, row: PressureRow) -> Span:
    newest = look.newest
    if row.kind == "stream":
        used = look.used(StreamId(row.name))
        return Span(memory(used.memory_bytes) if used is not None else "", "text")
    if row.name == "memory" and newest is not None:
        used_mb = newest.memory_total_mb - newest.memory_available_mb
        return Span(memory(int(used_mb * _MIB)), "text")
    return Span("", "text")


def _most(look: PressureLook, row: PressureRow) -> Span:
    """Return the most: of a meter in the time that is kept, of a stream's memory ever."""
    if row.kind == "stream":
        most = look.most_memory_mb(StreamId(row.name))
        return Span(memory(int(most * _MIB)) if most is not None else NOTHING, "muted")
    if row.kind == "head":
        return Span("MEMORY", "muted")
    if row.name == WIDTH:
        return Span(str(look.state.widest), "muted")
    points = look.measured.points(BY_NAME[row.name])
    most = max((value for _, value in points), default=None)
    return Span(_value(BY_NAME[row.name], most), "muted")


def _line(look: PressureLook, row: PressureRow) -> Line:
    if row.kind == "head":
        return (Span("of the processors", "muted"),) if look.is_live else ()
    if row.kind == "stream":
        return _share(look, StreamId(row.name))
    if row.name == WIDTH:
        return look.width_line()
    found = look.measured.line(BY_NAME[row.name])
    return found or (Span(why_empty(look, BY_NAME[row.name]), "muted"),)


def _share(look: PressureLook, name: StreamId) -> Line:
    """Return a stream's share of the processors as a bar."""
    used, newest = look.used(name), look.newest
    if used is None or newest is None:
        return ()
    cells = min(_MOST_BAR_CELLS, max(look.cells, 1))
    share = min(1.0, (used.cpu_percent or 0.0) / 100 / newest.cores)
    on = round(share * cells)
    off = Span(look.glyphs.bar_off * (cells - on), "bar.off")
    return tuple(bar for bar in (Span(look.glyphs.bar_on * on, "bar.on"), off) if bar.text)


def why_empty(look: PressureLook, meter: Meter) -> str:
    """Return why nothing is known of a meter."""
    if look.is_past:
        return "not kept: this is the past"
    if look.newest is None:
        return "the run is over" if look.state.has_ended else "not looked at yet"
    if meter.source:
        return f"not told here: {meter.source}"
    return "known from the second look on"


# --- the panel beside ----------------------------------------------------------------------------


def pressure_detail(look: PressureLook, row: PressureRow | None, cells: int) -> list[Line]:
    """Return what the chosen row is, how the width came about, and how well all is used."""
    lines = _chosen(look, row, cells)
    lines += [(), *_widths(look, cells), (), *_so_far(look, cells)]
    return [*lines, *_tokens(look, cells)]


def _chosen(look: PressureLook, row: PressureRow | None, cells: int) -> list[Line]:
    if row is None or row.kind == "head":
        return [(Span("choose a row for more about it", "muted"),)]
    if row.kind == "stream":
        return _of_stream(look, StreamId(row.name), cells)
    if row.name == WIDTH:
        return _sentence("how many streams may run at a time", cells)
    meter = BY_NAME[row.name]
    lines = _sentence(meter.words, cells)
    points = [value for _, value in look.measured.points(meter)]
    if not points:
        return [*lines, *_sentence(why_empty(look, meter), cells, "level.warning")]
    lowest, mean, most = min(points), sum(points) / len(points), max(points)
    text = f"{_value(meter, lowest)} to {_value(meter, most)}, {_value(meter, mean)} in the mean"
    lines += _fact("since", text, cells)
    top = f"{look.measured.top(meter):.0f}{meter.unit}"
    return [*lines, *_fact("full height", top, cells)]


def _of_stream(look: PressureLook, name: StreamId, cells: int) -> list[Line]:
    plan, used = look.state.stream_plan(name), look.used(name)
    stream = look.state.streams[name]
    lines: list[Line] = [(Span(safe(name), "strong"),)]
    if used is not None:
        text = f"{percent(used.cpu_percent)} of a processor, {memory(used.memory_bytes)} of memory"
        processes = wording.counted(used.processes, "process", "processes")
        lines += _fact("uses", f"{text}, {processes}", cells)
    if plan.peak_memory_mb is not None:
        learned = f"{memory(int(plan.peak_memory_mb * _MIB))} at the most, in earlier runs"
        lines += _fact("learned", learned, cells)
    if stream.worked.peak_memory_mb is not None:
        most = memory(int(stream.worked.peak_memory_mb * _MIB))
        lines += _fact("took", f"{most} at the most", cells)
    if stream.spent.on_processors:
        spent = wording.duration(stream.spent.on_processors)
        lines += _fact("used", f"{spent} of processors, by attempts that are over", cells)
    if name in look.lent:
        lines += _fact("tokens", f"{look.lent[name]} lent", cells)
    return lines


def _widths(look: PressureLook, cells: int) -> list[Line]:
    """Return how the width has changed and why, the newest first."""
    state = look.state
    head = Span(f"  {state.max_parallel} at a time", "text")
    lines: list[Line] = [(Span("Width", "title"), head)]
    if not state.plan.is_adaptive:
        planned = state.plan.max_parallel
        lines += _sentence(f"the plan says {planned}; it does not follow the machine", cells)
    elif not look.steps:
        lines += _sentence("it follows the machine, and has not changed", cells)
    more = brings(state)
    if more is not None:
        grows = "" if more >= LEAST_RETURN else "; so it does not grow"
        lines += _sentence(f"one more is learned to bring {more:.0%} of one alone{grows}", cells)
    for step in reversed(look.steps[-_MOST_STEPS:]):
        lines += hang((Span(f"{clock(step.at)}  ", "muted"), Span(_step(step), "text")), cells)
    return lines


def _step(step: WidthStep) -> str:
    return safe(shortened(wording.width_in_words(step.width, step.was, step.reason)))


def _so_far(look: PressureLook, cells: int) -> list[Line]:
    title = "In all" if look.state.has_ended else "So far"
    lines: list[Line] = [(Span(title, "title"),)]
    figures, effects = look.figures, look.state.effects
    if figures is not None:
        bound = f"{_share_of(figures.efficiency)}: no order takes less than"
        lines += _fact("efficiency", f"{bound} {wording.duration(figures.bound_seconds)}", cells)
        lines += _fact("slots", f"{_share_of(figures.utilisation)} of their time used", cells)
        text = f"{_share_of(figures.cpu_utilisation)} of their time used, by attempts that are over"
        lines += _fact("processors", text, cells)
        speedup = NOTHING if figures.speedup is None else f"{figures.speedup:.1f}x"
        lines += _fact("speed-up", f"{speedup} against one after the other", cells)
    if look.overhead is not None:
        lines += _overhead(look.overhead, cells)
    style = "level.warning" if effects.failed else "text"
    lines += _fact("failures", f"{effects.failed} of {effects.all} effects", cells, style)
    if look.broken is not None:
        lines += _integrity(look.broken, cells)
    return lines


def _overhead(overhead: Overhead, cells: int) -> list[Line]:
    """Return what coordination has cost, by what it was spent on, and how long decisions took."""
    lines = _fact("overhead", f"{overhead.share:.1%} of all time spent", cells)
    spent = sum(overhead.by_category.values()) + overhead.work_seconds
    for name, seconds in sorted(overhead.by_category.items(), key=lambda part: -part[1]):
        if seconds >= LEAST_SECONDS:
            text = f"{seconds / spent:.1%}, {wording.duration(seconds)}"
            lines += _fact(f" {name}", text, cells, "muted")
    if overhead.latency is not None:
        usual, most = overhead.latency.p50_seconds, overhead.latency.p99_seconds
        text = f"{wording.instant(usual)} each, nearly all within {wording.instant(most)}"
        lines += _fact("decisions", text, cells)
    return lines


def _integrity(broken: Sequence[str], cells: int) -> list[Line]:
    """Say whether all that must hold of the state does."""
    if not broken:
        return _fact("state", "whole: every promise holds", cells)
    return _fact("state", f"not whole: {safe(wording.clauses(broken, 2))}", cells, "level.error")


def _share_of(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%}"


def _tokens(look: PressureLook, cells: int) -> list[Line]:
    if not look.state.plan.has_jobserver:
        return []
    lines: list[Line] = [(), (Span("Jobserver", "title"),)]
    if look.is_past:
        return [*lines, *_sentence("not kept: this is the past", cells)]
    found = look.tokens
    if found is None:
        return [*lines, *_sentence("nothing is known of its tokens yet", cells)]
    over = look.state.has_ended
    lines += _fact("slots", str(found.slots), cells)
    text = f"{0 if over else found.lent} lent, {0 if over else found.in_use} in use"
    lines += _fact("tokens", f"{text}, {found.most_in_use} at the most", cells)
    lines += _fact("put back", f"{found.put_back} of the dead", cells) if found.put_back else []
    return lines


def _sentence(text: str, cells: int, style: str = "muted") -> list[Line]:
    return hang((Span(text, style),), cells)


def _fact(label: str, text: str, cells: int, style: str = "text") -> list[Line]:
    return hang((Span(label.ljust(_LABEL_CELLS), "muted"), Span(text, style)), cells)
