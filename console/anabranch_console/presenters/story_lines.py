"""The story of one stream: what happened to it, and because of what. The answer to "why?"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anabranch.core import events as ev
from anabranch.core.ids import Seq
from anabranch.core.model.state import State
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.wording import wall_clock

_INDENT = " " * 11


def story_lines(
    state: State,
    subject: str,
    records: Sequence[ev.Recorded],
    event: Callable[[Seq | None], ev.Recorded | None],
    glyphs: Glyphs,
) -> list[Line]:
    """Return the story, oldest first; a cause that is another's event gets a line of its own."""
    lines: list[Line] = []
    last_cause: Seq = 0
    for record in records:
        lines.append(_what(state, record, glyphs))
        cause = event(record.cause)
        is_news = cause is not None and cause.seq != last_cause and not _is_about(cause, subject)
        if cause is not None and is_news:
            lines.append(_because(cause))
            last_cause = cause.seq
    return lines or [(Span("nothing has happened to it yet", "muted"),)]


def _what(state: State, record: ev.Recorded, glyphs: Glyphs) -> Line:
    words = event_words(record.event)
    style = f"level.{words.level}"
    return (
        Span(wall_clock(state.started_wall, record.at), "muted"),
        Span(f" {glyphs.level(words.level)} ", style),
        Span(words.type.removeprefix("stream "), "strong" if words.level == "info" else style),
        Span(f"  {words.detail}" if words.detail else "", "muted"),
    )


def _because(cause: ev.Recorded) -> Line:
    words = event_words(cause.event)
    text = f"{words.subject} {words.type.removeprefix('stream ').removeprefix('run ')}"
    detail = f": {words.detail}" if words.detail and words.level in ("warning", "error") else ""
    return (
        Span(_INDENT),
        Span("because ", "muted"),
        Span(text + detail, "accent"),
        Span(f"  #{cause.seq}", "muted"),
    )


def _is_about(record: ev.Recorded, subject: str) -> bool:
    event = record.event
    return subject in (getattr(event, "stream", None), getattr(event, "point", None))
