"""The guardian in words: who is in its care, what it has done, and what it would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anabranch.core import events as ev
from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies.rungs import HARD, SOFT
from anabranch.core.views.guardian import (
    FALLBACK,
    INTENSITY_SECONDS,
    WAITS,
    WELL,
    Forecast,
    evidence_of,
    forecast,
    held_until,
    most_at_once,
)
from anabranch.core.views.memory import RULE, overrun_in_words
from anabranch.core.views.projections import breaker_status
from anabranch.core.views.waiting import standing
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.consequences import Consequences, named
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.guardian_events import in_words
from anabranch_console.presenters.wording import clock, safe

_LABEL_CELLS = 12
MOST_EXPLAINED = 3
_TITLES = {SOFT: "Ask", HARD: "End and restart", FALLBACK: "Use the fallback for"}
KINDS = (
    ev.RecoveryStarted,
    ev.StreamAsked,
    ev.RecoveryFinished,
    ev.GuardianAlerted,
    ev.RetryScheduled,
    ev.StreamOverran,
)
"""The events that make the guardian's history."""


@dataclass(slots=True)
class GuardianLook:
    """What the guardian's doings are shown with."""

    state: State
    now: float
    glyphs: Glyphs = UNICODE
    history: Sequence[ev.Recorded] = field(default_factory=tuple)


def guardian_rows(state: State) -> list[Stream]:
    """Return the streams: those in trouble first, then those that once were, then the others."""
    streams = [state.streams[plan.id] for plan in state.plan.streams]
    return sorted(streams, key=lambda s: _urgency(state, s))


def _urgency(state: State, stream: Stream) -> int:
    care = stream.care
    if care.alert or care.has_given_up:
        return 0
    if care.remedy:
        return 1
    found = standing(state, stream)
    is_kept_waiting = found == WAITS and stream.phase is Phase.RUNNING
    if found != WELL and not is_kept_waiting:
        return 2
    if care.outcome or stream.retries:
        return 3
    return 4 if is_kept_waiting else 5


def in_care(state: State) -> int:
    """Return how many streams are in trouble now."""
    return sum(_urgency(state, s) < 3 for s in state.streams.values())


def guardian_text(look: GuardianLook, stream: Stream) -> str:
    """Return what a filter of the guardian's rows looks at."""
    state = wording.spelled(stream.public_state)
    return f"{stream.id} {state} {standing(look.state, stream)} {_rung(stream)}"


def _rung(stream: Stream) -> str:
    care = stream.care
    if care.remedy:
        return care.remedy
    if care.has_given_up:
        return "gave up"
    if stream.phase is Phase.FAILED:
        return "dead letter"
    return care.outcome.replace("_", " ")


def guardian_columns(look: Callable[[], GuardianLook]) -> list[Column[Stream]]:
    """Return the columns of the guardian's rows."""
    return [
        Column("STREAM", 16, 100, lambda s: _name(look(), s), grows=True),
        Column("DIAGNOSIS", 14, 90, lambda s: _diagnosis(look(), s)),
        Column("LADDER", 12, 85, lambda s: _ladder(look(), s)),
        Column("NEXT IN", 8, 80, lambda s: _next_in(look(), s), "right"),
        Column("TRIES", 6, 60, lambda s: _tries(look(), s), "right"),
        Column("EVIDENCE", 0, 75, lambda s: _evidence(look(), s)),
    ]


def _name(look: GuardianLook, stream: Stream) -> Span:
    state = stream.public_state
    attempt = f"#{stream.attempt}" if stream.attempt > 1 else ""
    return Span(f"{look.glyphs.state(state)} {safe(stream.id)}{attempt}", f"state.{state}")


def _diagnosis(look: GuardianLook, stream: Stream) -> Span:
    found = standing(look.state, stream)
    return Span(found, "muted" if found == WELL else "level.warning")


def _ladder(look: GuardianLook, stream: Stream) -> Span:
    rung = _rung(stream)
    if stream.care.alert or stream.phase is Phase.FAILED or stream.care.has_given_up:
        return Span(rung or "alert", "level.error")
    return Span(rung, "state.recovering" if stream.care.remedy else "muted")


def _next_in(look: GuardianLook, stream: Stream) -> Span:
    deadline = stream.care.deadline
    if deadline is None:
        return Span("", "muted")
    return Span(wording.age(max(0.0, deadline - look.now)), "text")


def _tries(look: GuardianLook, stream: Stream) -> Span:
    most = look.state.stream_plan(stream.id).max_retries
    return Span(f"{stream.retries}/{most}", "text" if stream.retries else "muted")


def _evidence(look: GuardianLook, stream: Stream) -> Span:
    care = stream.care
    if care.alert:
        return Span(safe(care.alert), "level.error")
    evidence = evidence_of(look.state, stream)
    return Span(safe(evidence), "text" if care.remedy else "muted")


# --- the panel beside ------------------------------------------------------------------------


def guardian_detail(look: GuardianLook, stream: Stream | None, cells: int) -> list[Line]:
    """Return the brakes, and of the chosen stream: why, what would happen, what has."""
    lines = _brakes(look, cells)
    if stream is None:
        return lines
    lines += [(), (_name(look, stream),)]
    lines += _fact("diagnosis", standing(look.state, stream), "text", cells)
    text = evidence_of(look.state, stream)
    lines += _fact("evidence", text, "text", cells)
    if stream.failure_class:
        lines += _fact("failure", stream.failure_class, "text", cells)
    if stream.memory.overruns:
        lines += _fact("memory", _overrun(stream), "level.warning", cells)
        lines += _fact("rule", RULE, "muted", cells)
    if stream.phase is Phase.FAILED:
        text = f"laid aside after {wording.counted(stream.attempt, 'attempt')}; R tries it again"
        lines += _fact("dead letter", text, "level.error", cells)
    if stream.care.alert:
        lines += _fact("alert", stream.care.alert, "level.error", cells)
        lines += _fact("do", stream.care.hint, "text", cells)
    for remedy in (SOFT, HARD, FALLBACK):
        lines += _forecast_lines(look, forecast(look.state, stream.id, remedy), cells)
    return [*lines, (), *_history(look, stream.id, cells)]


def _overrun(stream: Stream) -> str:
    """Return what it was ended for the last time, and what follows of that."""
    found = stream.memory.overruns[-1]
    text = f"attempt {found.attempt} {overrun_in_words(found.used, found.limit, found.rule)}"
    return f"{text}; it runs alone now" if stream.memory.is_alone else text


def _brakes(look: GuardianLook, cells: int) -> list[Line]:
    state = look.state
    recent = sum(at > look.now - INTENSITY_SECONDS for at in state.guardian.hard_at)
    most = most_at_once(state)
    held = held_until(state, look.now)
    text = f"{recent} of {most} ended within {INTENSITY_SECONDS:g} s"
    if held is not None:
        text += f"; held back for {wording.age(held - look.now)}"
    lines = _fact("brake", text, "level.warning" if held is not None else "text", cells)
    lines += _fact("fallback", state.plan.fallback, "text", cells)
    if state.guardian.narrowed_to is not None:
        lines += _fact("width", f"{state.max_parallel} at a time, for the rest", "text", cells)
    elif state.width.changes:
        changed = state.width.changes[-1]
        lines += _fact("width", f"{changed.width} at a time: {changed.reason}", "text", cells)
    for row in breaker_status(state):
        if row["state"] != "closed":
            text = f"{row['breaker']} {row['state'].replace('_', ' ')}: {row['reason']}"
            names = wording.listing([str(s) for s in row["holds_back"]], 3)
            text += f"; holds back {names}; b closes it" if names else "; b closes it"
            lines += _fact("breaker", text, "level.warning", cells)
    return lines


def _forecast_lines(look: GuardianLook, found: Forecast, cells: int) -> list[Line]:
    if found.refusal:
        return _fact(f"{found.remedy}?", found.refusal, "muted", cells)
    return _fact(f"{found.remedy}?", "; ".join(found.steps), "text", cells)


def _history(look: GuardianLook, stream: StreamId, cells: int) -> list[Line]:
    lines: list[Line] = [(Span("What it did", "title"),)]
    for record in look.history:
        if getattr(record.event, "stream", None) == stream:
            text = f"{clock(record.at)} {in_words(record.event)}"
            pieces = wrap(safe(text), max(cells, 12))
            lines += [(Span(piece, "text"),) for piece in pieces]
    return lines if len(lines) > 1 else [*lines, (Span("nothing yet", "muted"),)]


def _fact(name: str, text: str, style: str, cells: int) -> list[Line]:
    pieces = wrap(safe(text), max(cells - _LABEL_CELLS, 12)) or [""]
    return [
        (Span("".ljust(_LABEL_CELLS) if i else name.ljust(_LABEL_CELLS), "muted"), Span(p, style))
        for i, p in enumerate(pieces)
    ]


# --- the dialog ------------------------------------------------------------------------------


def of_recovering(found: Sequence[Forecast]) -> Consequences:
    """Return what a remedy would do to a stream, or to several, as a question."""
    rows: list[tuple[str, str]] = []
    for one in found[:MOST_EXPLAINED]:
        if len(found) > 1:
            rows.append(("", f"{one.stream}:"))
        rows.append(("is", f"{one.diagnosis}; {one.evidence}"))
        rows += [("would" if not i else "", step) for i, step in enumerate(one.steps)]
        rows += [("keeps" if not i else "", kept) for i, kept in enumerate(one.kept[:3])]
    if len(found) > MOST_EXPLAINED:
        rows.append(("", f"and the same for {len(found) - MOST_EXPLAINED} more"))
    touched = list(dict.fromkeys(str(s) for one in found for s in one.touched))
    rows.append(("touches", wording.listing(touched, 4) or "no other stream"))
    rows += [("undo", undo) for undo in dict.fromkeys(one.undo for one in found)]
    lines: list[Line] = []
    for label, text in rows:
        for i, piece in enumerate(wrap(safe(text), 72)):
            lines.append((Span(("" if i else label).ljust(9), "muted"), Span(piece, "text")))
    whom = named([one.stream for one in found])
    return Consequences(f"{_TITLES[found[0].remedy]} {safe(whom)}?", tuple(lines), "Recover")
