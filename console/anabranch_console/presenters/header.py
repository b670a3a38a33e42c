"""The first line of the console: which run, how it stands, how far it is, what it costs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.core.views.overhead import dearest, is_too_much
from anabranch.core.views.projections import run_state
from anabranch.core.wording import counted, instant
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Part, Span, bar, fit_parts
from anabranch_console.presenters.point_lines import has_merged
from anabranch_console.presenters.stream_row import URGENCY, StreamRow
from anabranch_console.presenters.wording import clock, safe

if TYPE_CHECKING:
    from anabranch.engine.source import Hosting, Overhead

BAR_CELLS = 10
RUN_WORDS = {"needs_operator": "needs you"}


def header_line(
    state: State,
    rows: list[StreamRow],
    now: float,
    overhead: Overhead | None,
    hosting: Hosting,
    glyphs: Glyphs,
    cells: int,
    *,
    is_halted: bool = False,
) -> Line:
    """Return the header, fitted to ``cells``: what matters least gives way first.

    ``is_halted`` says that something keeps the engine from going on.
    """
    left = [
        Part(20, (_product(glyphs, "anabranch"), _product(glyphs, ""))),
        Part(70, ((Span(safe(state.plan.name), "strong"),),)),
        Part(10, ((Span(state.run, "muted"),),)),
        Part(100, (_run(state, hosting, glyphs),)),
    ]
    counts = counts_line(rows, glyphs, has_words=True), counts_line(rows, glyphs, has_words=False)
    bar_between = (Span("│", "faint"),)
    middle = [Part(26, tuple((*bar_between, Span("  "), *c) for c in counts))]
    right = [
        Part(22, _convergence(state, glyphs)),
        Part(60, ((Span(clock(_elapsed(state, now)), "text"),),)),
        Part(24, _overhead(overhead)),
        Part(8, _decisions(overhead)),
        Part(40, _failures(state)),
        Part(90, _hosting(state, hosting, is_halted=is_halted)),
    ]
    fitted = fit_parts([*left, *middle, *right], cells - 2, gap=2)
    line = bar(fitted[:5], fitted[5:], cells - 2)
    return (Span(" "), *line, Span(" "))


def counts_line(rows: list[StreamRow], glyphs: Glyphs, *, has_words: bool) -> Line:
    """Return how many streams are in each state, the most telling states first."""
    counts = Counter(row.state for row in rows)
    spans: list[Span] = []
    for name in _COUNT_ORDER:
        if counts[name]:
            word = f" {name}" if has_words else ""
            gap = "  " if spans else ""
            spans.append(Span(f"{gap}{glyphs.state(name)} {counts[name]}{word}", f"state.{name}"))
    return tuple(spans)


_COUNT_ORDER = (
    "running",
    "starting",
    "succeeded",
    *[s for s in URGENCY if s not in ("running", "starting", "succeeded")],
)


def run_words(state: State, hosting: Hosting = "here") -> tuple[str, str]:
    """Return the run's state and the words for it."""
    is_stopping = state.phase == "stopping" and hosting != "nobody"
    name = "stopping" if is_stopping else run_state(state, is_hosted=hosting != "nobody")
    return name, RUN_WORDS.get(name, name)


def _hosting(state: State, hosting: Hosting, *, is_halted: bool) -> tuple[Line, ...]:
    """Say so if the engine is not here, or does not go on: it is asked where it is, if it is."""
    if is_halted:
        wordings = (
            ("nothing goes on",) if hosting == "here" else ("host does not answer", "no answer")
        )
        return tuple((Span(words, "badge.warning"),) for words in wordings)
    if hosting == "here" or (state.has_ended and hosting == "nobody"):
        return ((),)
    wordings = ("hosted elsewhere", "elsewhere") if hosting == "elsewhere" else ("not hosted",)
    return tuple((Span(words, "badge.warning"),) for words in wordings)


def _product(glyphs: Glyphs, name: str) -> Line:
    return (Span(f"{glyphs.product} {name}".rstrip(), "accent"),)


def _run(state: State, hosting: Hosting, glyphs: Glyphs) -> Line:
    name, words = run_words(state, hosting)
    return (Span(f"{glyphs.state(name)} {words}", f"state.{name}"),)


def _elapsed(state: State, now: float) -> float:
    return state.ended_at if state.ended_at is not None else now


def _convergence(state: State, glyphs: Glyphs) -> tuple[Line, ...]:
    point = state.points[FINAL_POINT]
    expected = len(state.plan.streams)
    is_merged = has_merged(point)
    arrived = len(point.merged) if is_merged else len(point.arrived)
    gone = len(point.departed)
    on = round(BAR_CELLS * arrived / expected) if expected else 0
    lost = min(round(BAR_CELLS * gone / expected), BAR_CELLS - on) if expected else 0
    gauge = (
        Span(glyphs.bar_on * on, "bar.on"),
        Span(glyphs.bar_on * lost, "bar.lost"),
        Span(glyphs.bar_off * (BAR_CELLS - on - lost), "bar.off"),
    )
    counts = (Span(f" {arrived}/{expected}", "text"),)
    merged = (Span(" merged" if is_merged else " arrived", "muted"),)
    return ((*gauge, *counts, *merged), (*gauge, *counts), counts)


def _failures(state: State) -> tuple[Line, ...]:
    """Say how many effects of the engine's own have failed, if any has."""
    failed, of = state.effects.failed, state.effects.all
    if not failed:
        return ((),)
    whole = Span(f"{failed} of {counted(of, 'effect')} failed", "level.warning")
    return ((whole,), (Span(f"{failed} failed", "level.warning"),))


def _decisions(overhead: Overhead | None) -> tuple[Line, ...]:
    """Say within what time nearly all decisions were made, where the engine runs."""
    if overhead is None or overhead.latency is None:
        return ((),)
    within = Span(instant(overhead.latency.p99_seconds), "text")
    return ((Span("decides within ", "muted"), within),)


def _overhead(overhead: Overhead | None) -> tuple[Line, ...]:
    if overhead is None:
        return ((),)
    number, style, most = f"{overhead.share * 100:.1f} %", "text", ""
    if is_too_much(overhead.share, overhead.by_category):
        style, most = "level.warning", f" {dearest(overhead.by_category)[0]}"
    return (
        (Span("overhead ", "muted"), Span(number + most, style)),
        (Span("ovh ", "muted"), Span(number, style)),
    )
