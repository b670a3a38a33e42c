"""The first line of the console: which run, how it stands, how far it is, what it costs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.core.views.outlook import Rest
from anabranch.core.views.overhead import dearest, is_too_much
from anabranch.core.views.projections import run_state
from anabranch.core.views.rest import awaits_more
from anabranch.core.wording import counted, instant, length
from anabranch_console.attentions import Sum
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Part, Span, bar, fit_parts
from anabranch_console.presenters.attention_lines import sum_line
from anabranch_console.presenters.point_lines import has_merged
from anabranch_console.presenters.stream_row import URGENCY, StreamRow
from anabranch_console.presenters.wording import clock, safe

if TYPE_CHECKING:
    from anabranch.engine.source import Hosting, Overhead

BAR_CELLS = 10
NOT_HOSTED: tuple[str, ...] = ("not hosted, x H hosts it here", "not hosted, x H", "not hosted")
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
    rest: Rest | None = None,
    attention: Sum | None = None,
) -> Line:
    """Return the header, fitted to ``cells``: what matters least gives way first.

    ``is_halted`` says that something keeps the engine from going on; ``rest`` is how long the run
    is expected to take still, ``attention`` how many streams need whoever looks.
    """
    left = [
        Part(20, (_product(glyphs, "anabranch"), _product(glyphs, ""))),
        Part(70, ((Span(safe(state.plan.name), "strong"),),)),
        Part(10, ((Span(state.run, "muted"),),)),
        Part(100, _run(state, hosting, glyphs)),
        Part(95, sum_line(attention or Sum(), glyphs)),
    ]
    counts = counts_line(rows, glyphs, has_words=True), counts_line(rows, glyphs, has_words=False)
    bar_between = (Span("│", "faint"),)
    middle = [Part(26, tuple((*bar_between, Span("  "), *c) for c in counts))]
    right = [
        Part(22, _convergence(state, glyphs)),
        Part(60, ((Span(clock(_elapsed(state, now)), "text"),),)),
        Part(25, ((),) if is_halted else _rest(state, rest, hosting)),
        Part(24, _overhead(overhead)),
        Part(8, _decisions(overhead)),
        Part(40, _failures(state)),
        Part(90, _hosting(state, hosting, is_halted=is_halted)),
        Part(85, _narrowed(state)),
    ]
    fitted = fit_parts([*left, *middle, *right], cells - 2, gap=2)
    line = bar(fitted[:6], fitted[6:], cells - 2)
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


LEAST_GUESSED_SECONDS = 2.0
"""Nobody is told that a run is about to end where that is no more than a guess."""

_COUNT_ORDER = (
    "running",
    "starting",
    "succeeded",
    *[s for s in URGENCY if s not in ("running", "starting", "succeeded")],
)


def run_words(state: State, hosting: Hosting = "here") -> tuple[str, str]:
    """Return the run's state and the words for it."""
    if hosting == "nobody" and awaits_more(state):
        return "waiting", "open"
    is_stopping = state.phase == "stopping" and hosting != "nobody"
    name = "stopping" if is_stopping else run_state(state, is_hosted=hosting != "nobody")
    return name, RUN_WORDS.get(name, name)


def _hosting(state: State, hosting: Hosting, *, is_halted: bool) -> tuple[Line, ...]:
    """Say so if the engine is not here, or does not go on: it is asked where it is, if it is."""
    if is_halted:
        wordings: tuple[str, ...] = (
            ("nothing goes on",) if hosting == "here" else ("host does not answer", "no answer")
        )
        return tuple((Span(words, "badge.warning"),) for words in wordings)
    if hosting == "here" or (state.has_ended and hosting == "nobody"):
        return ((),)
    wordings = ("hosted elsewhere", "elsewhere") if hosting == "elsewhere" else NOT_HOSTED
    return tuple((Span(words, "badge.warning"),) for words in wordings)


def _narrowed(state: State) -> tuple[Line, ...]:
    """Say so if the guardian lets fewer streams run at a time than the plan does."""
    to = state.guardian.narrowed_to
    if to is None or state.has_ended or to >= state.plan.max_parallel:
        return ((),)
    words = "one" if to == 1 else str(to)
    wordings = (f"guardian: {words} at a time", f"{words} at a time")
    return tuple((Span(text, "badge.warning"),) for text in wordings)


def _product(glyphs: Glyphs, name: str) -> Line:
    return (Span(f"{glyphs.product} {name}".rstrip(), "accent"),)


def _run(state: State, hosting: Hosting, glyphs: Glyphs) -> tuple[Line, ...]:
    name, words = run_words(state, hosting)
    if _is_idle(state) and name == "running":
        hints = (", n adds, x C closes", ", n adds") if state.streams else (", n adds",)
        sign = Span(f"{glyphs.state('waiting')} open", "state.waiting")
        return tuple((sign, Span(hint, "muted")) for hint in hints)
    line: Line = (Span(f"{glyphs.state(name)} {words}", f"state.{name}"),)
    if state.plan.is_open and name == "running":
        line += (Span(", open", "muted"),)
    return (line,)


def _is_idle(state: State) -> bool:
    """Return whether an open run has nobody at work."""
    return state.plan.is_open and not state.counts.active and not state.ready


def _elapsed(state: State, now: float) -> float:
    return state.ended_at if state.ended_at is not None else now


def _rest(state: State, rest: Rest | None, hosting: Hosting) -> tuple[Line, ...]:
    """Say how much longer a run that goes on is expected to take, and whether that is a guess."""
    if rest is None or run_words(state, hosting)[0] != "running" or _is_idle(state):
        return ((),)
    if rest.is_guessed and rest.seconds < LEAST_GUESSED_SECONDS:
        return ((),)
    seconds = length(rest.seconds)
    whole, short = f"about {seconds} left", f"~{seconds} left"
    if not rest.is_guessed:
        return ((Span(whole, "text"),), (Span(short, "text"),))
    guessed = Span(", guessed", "muted")
    return ((Span(whole, "muted"), guessed), (Span(short, "muted"), guessed))


def _convergence(state: State, glyphs: Glyphs) -> tuple[Line, ...]:
    point = state.points[FINAL_POINT]
    expected = len(state.topology.jobs)
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
