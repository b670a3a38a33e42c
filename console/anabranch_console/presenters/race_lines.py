"""Attempts at one task side by side, and what adopting one of them would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anabranch.core import wording
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.adoption import Racer, racers_at
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, fit, text_cells, wrap
from anabranch_console.presenters.consequences import Consequences
from anabranch_console.presenters.wording import safe

Counts = Mapping[StreamId, tuple[int, int]]
"""How many lines each attempt has added and removed, as far as that was read."""

_STYLES = {
    "adopted": "level.good",
    "can be adopted": "text",
    "fails verify": "level.error",
    "failed": "level.error",
    "not adopted": "muted",
    "at work": "state.running",
    "waiting": "muted",
}
_HEAD = ("", "FILES", "LINES", "VERIFY", "TIME", "EXIT")
_MOST_CELLS = 24
_LABEL_CELLS = 9


def check_in_words(racer: Racer, has_check: bool) -> str:
    """Return what the point's check said of an attempt alone."""
    if racer.check is None:
        return "not yet" if has_check else "-"
    return "passed" if racer.check.passed else racer.check.reason


def lines_in_words(counts: Counts, stream: StreamId) -> str:
    """Return how many lines an attempt has added and removed."""
    return "+{} -{}".format(*counts[stream]) if stream in counts else "-"


def facts_of(racer: Racer, counts: Counts, has_check: bool) -> tuple[str, ...]:
    """Return what an attempt is compared by: files, lines, check, time and exit code."""
    return (
        "-" if racer.files_changed is None else str(racer.files_changed),
        lines_in_words(counts, racer.stream),
        check_in_words(racer, has_check),
        wording.duration(racer.seconds),
        "-" if racer.exit_code is None else str(racer.exit_code),
    )


def race_lines(
    state: State, point: PointId, now: float, counts: Counts, glyphs: Glyphs, cells: int
) -> list[Line]:
    """Return a table of the attempts at a point, a line each, and how each stands below it.

    What does not fit is left out from the right: no figure is cut.
    """
    has_check = bool(state.point_plan(point).verify)
    racers = racers_at(state, point, now)
    rows = [_HEAD, *((safe(r.stream), *map(safe, facts_of(r, counts, has_check))) for r in racers)]
    widths = [min(_MOST_CELLS, max(map(text_cells, column))) for column in zip(*rows, strict=True)]
    shown = _columns_that_fit(widths, has_check, cells)
    head, *tables = [[fit(row[at], widths[at]) for at in shown] for row in rows]
    lines: list[Line] = [(Span(f"  {'  '.join(head)}"[:cells], "muted"),)]
    for racer, table in zip(racers, tables, strict=True):
        style = _STYLES[racer.standing]
        sign = glyphs.state("succeeded" if racer.standing == "adopted" else racer.state)
        lines.append((Span(f"{sign} ", style), Span("  ".join(table).rstrip(), style)))
        lines += _how_it_stands(racer, cells)
    return lines


def _columns_that_fit(widths: Sequence[int], has_check: bool, cells: int) -> list[int]:
    wanted = [at for at in range(len(widths)) if has_check or _HEAD[at] != "VERIFY"]
    while len(wanted) > 1 and 2 * len(wanted) + sum(widths[at] for at in wanted) > cells:
        wanted.pop()
    return wanted


def _how_it_stands(racer: Racer, cells: int) -> list[Line]:
    is_told = racer.standing in ("adopted", "can be adopted", "waiting")
    text = racer.standing if is_told else f"{racer.standing}: {racer.reason}"
    if racer.standing == "not adopted":
        text = racer.reason
    elif racer.check is not None and not racer.check.passed:
        text = f"fails verify: {racer.check.reason}"
    return [(Span(f"    {p}", "muted"),) for p in wrap(safe(text), max(cells - 4, 12))]


def choice_detail(racer: Racer, counts: Counts, has_check: bool) -> str:
    """Return in one line what there is to know of an attempt before it is adopted."""
    _, lines, check, took, _ = facts_of(racer, counts, has_check)
    said = [f"verify {check}"] if has_check else []
    return ", ".join([wording.counted(racer.files_changed or 0, "file"), lines, *said, took])


def of_adopting(state: State, point: PointId, stream: StreamId, counts: Counts) -> Consequences:
    """Return what adopting an attempt would do."""
    racers = {racer.stream: racer for racer in racers_at(state, point, state.at)}
    others = [name for name in racers if name != stream]
    behind = sorted({other for name in racers for other in state.topology.dependents[name]})
    has_check = bool(state.point_plan(point).verify)
    then = wording.listing(behind, 4)
    lines = [
        _line("merges", f"{stream}: {choice_detail(racers[stream], counts, has_check)}"),
        _line("keeps", f"{wording.listing(others, 4)}: by refs, named as not adopted"),
        _line("then", f"{then} can go on from it" if then else "the run goes on"),
    ]
    if state.has_ended:
        lines.append(_line("run", "stands still for this; it goes on"))
    lines.append(_line("undo", "none here; git merge brings another one, from its ref"))
    return Consequences(f"Adopt {safe(stream)}?", tuple(lines), "Adopt it")


def _line(label: str, text: str) -> Line:
    return (Span(label.ljust(_LABEL_CELLS), "muted"), Span(safe(text), "text"))


def adoptable_at(state: State, point: PointId) -> Sequence[StreamId]:
    """Return whom a person can adopt at a point now."""
    return state.points[point].adoption.asked
