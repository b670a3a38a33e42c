"""What the timeline tells beside its bars: its legend, and the times of the chosen stream."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.model.state import State, Stream
from anabranch.core.plans.forecast import Expected
from anabranch.core.views.density import Density
from anabranch.core.views.spells import Spell, until
from anabranch.core.wording import counted, instant
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, hang, text_cells
from anabranch_console.presenters.timeline_cells import WAIT_LETTERS
from anabranch_console.presenters.timeline_window import moment
from anabranch_console.presenters.wording import clock, safe

_WAITS = {
    "dependency": "waited for its dependencies",
    "queue": "was queued",
    "time": "waited for its time",
    "retry": "waited to be tried again",
    "lock": "waited for lock",
    "resource": "waited for",
    "point": "waited at",
    "disk": "was held:",
    "operator": "waited for a decision",
}
_WORKS = {
    "workspace": "its workspace was prepared",
    "setup": "its workspace was set up",
    "process": "its process was started",
    "result": "its work was kept",
}
_LEGEND = (
    ("ran", "ran", "ran"),
    ("again", "tried again", "again"),
    ("wait", "waits", "waits"),
    ("work", "engine", "engine"),
    ("merge", "merged", "merged"),
    ("planned", "expected", "due"),
    ("now", "now", "now"),
)


def legend(glyphs: Glyphs, cells: int) -> str:
    """Return what the signs mean, in so many cells at most; less where there is no room."""
    long = "  ".join(f"{glyphs.gantt[name]} {words}" for name, words, _ in _LEGEND)
    short = " ".join(f"{glyphs.gantt[name]} {words}" for name, _, words in _LEGEND)
    return next((text for text in (long, short) if text_cells(text) <= cells), "")


def letters(cells: int) -> list[Line]:
    """Return what the letters of waits mean, in as many lines as it takes."""
    text = ", ".join(f"{letter} {kind}" for kind, letter in WAIT_LETTERS.items())
    return hang((Span("waits begin with  ", "muted"), Span(text, "muted")), cells)


def stream_times(
    state: State,
    stream: Stream,
    spells: Sequence[Spell],
    plan: Expected | None,
    density: Density | None,
    now: float,
    cells: int,
) -> list[Line]:
    """Return all that a stream did with its times, the newest first."""
    lines: list[Line] = []
    if plan is not None and plan.end > now:
        lines += _planned(state, stream, plan, now, cells)
    if density is not None:
        busiest = density.mean(0.0, max(now, 0.001))
        text = f"{counted(density.count, 'handler')} ended, {busiest:.1f} at a time in the mean"
        lines += hang((Span("handlers   ", "muted"), Span(text, "text")), cells)
    known = [s for s in until(list(spells), now) if s.sort == "merge" or s.end != s.begin]
    newest_first = sorted(known, key=lambda spell: spell.begin, reverse=True)
    for spell in newest_first:
        begin = moment(spell.begin, 0.1)
        length = (now if spell.end is None else spell.end) - spell.begin
        goes_on = " so far" if spell.end is None else ""
        took = f"{instant(length) if length < 60 else clock(length)}{goes_on}"
        took = took if length > 0 else ""
        label = (Span(f"{begin}  ", "muted"), Span(f"{took:>14}  ", "text"))
        lines += hang((*label, Span(in_words(spell), _style(spell))), cells)
    return lines or [(Span("nothing is known of it yet", "muted"),)]


def _planned(state: State, stream: Stream, plan: Expected, now: float, cells: int) -> list[Line]:
    seconds = state.stream_plan(stream.id).estimate_seconds
    basis = {"learned": "as it took before", "class": "as others like it took"}.get(
        state.stream_plan(stream.id).estimate_basis, "a guess"
    )
    when = f"until {moment(plan.end, 0.1)}"
    if plan.start >= now:
        when = f"{moment(plan.start, 0.1)} to {moment(plan.end, 0.1)}"
    way = "on the critical path" if plan.is_critical else f"slack {instant(plan.slack)}"
    text = f"{when}, {way} (takes {instant(seconds)}: {basis})"
    return hang((Span("expected   ", "muted"), Span(text, "text")), cells)


def in_words(spell: Spell) -> str:
    """Return what a stream did in a spell."""
    match spell.sort:
        case "wait":
            words = _WAITS[spell.kind]
            return f"{words} {safe(spell.name)}" if spell.name else words
        case "work":
            return _WORKS[spell.kind]
        case "merge":
            return f"was merged at {safe(spell.name)}"
        case "ran":
            how = {None: "ran", True: "ran, and was done", False: "ran, and failed"}[spell.is_good]
            return f"attempt {spell.attempt} {how}"


def _style(spell: Spell) -> str:
    if spell.sort == "ran":
        outcome = {None: "running", True: "succeeded", False: "failed"}[spell.is_good]
        return f"state.{outcome}"
    return "text" if spell.sort == "wait" else "muted"
