"""How attention looks: the sum in the header, and a stream that is peeked at."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core import wording
from anabranch.core.model.questions import Question
from anabranch.core.views.attention import Attention
from anabranch_console.attentions import Sum
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, cut_right, wrap
from anabranch_console.presenters.wording import safe

_STYLES = {
    "blocked": "state.needs_operator",
    "conflict": "state.quarantined",
    "stalled": "state.stalled",
    "unknown": "level.warning",
}


def sum_line(found: Sum, glyphs: Glyphs) -> tuple[Line, ...]:
    """Return the sum for the header: whole, short, or nothing if nobody needs anybody."""
    sign = glyphs.state("needs_operator")
    whole: list[Span] = []
    if found.needs_you:
        does = "needs" if found.needs_you == 1 else "need"
        whole.append(Span(f"{sign} {found.needs_you} {does} you", "state.needs_operator"))
    if found.to_look_at:
        gap = ", " if whole else ""
        whole.append(Span(f"{gap}{found.to_look_at} to look at", "muted"))
    if not found.needs_you:
        return (tuple(whole), ()) if whole else ((),)
    return (tuple(whole), (whole[0],), (Span(f"{sign} {found.needs_you}", "state.needs_operator"),))


def style_of(attention: Attention) -> str:
    """Return the style of what is said of a stream."""
    usual = "level.warning" if attention.needs_you else "text"
    return _STYLES.get(attention.state, usual)


def evidence(attention: Attention, now: float) -> str:
    """Return why it is so, and for how long already."""
    why = safe(attention.why)
    return f"{why}, for {wording.age(max(0.0, now - attention.since))}"


def peek_lines(
    attention: Attention,
    question: Question | None,
    letters: Sequence[str],
    output: Sequence[str],
    now: float,
    cells: int,
    most_lines: int,
) -> list[Line]:
    """Return what a look at a stream shows: how it stands, its last output, what it asks.

    Args:
        attention: how it stands.
        question: what it asks, if it does.
        letters: what it has written to whoever looks, and nobody has acknowledged.
        output: its last lines.
        now: run time, in seconds.
        cells: how wide a line may be.
        most_lines: how many lines there is room for; of the output the last ones are shown.
    """
    head: list[Line] = [
        (
            Span(f"{attention.state} ", style_of(attention)),
            Span(cut_right(evidence(attention, now), max(8, cells - 10)), "text"),
        )
    ]
    asked = _question_lines(question, cells) if question else []
    for letter in letters if question is None else ():
        asked += [
            (Span(""),),
            *((Span(piece, "strong"),) for piece in wrap(safe(letter), cells)[:8]),
        ]
    room = max(1, most_lines - len(head) - len(asked) - 1)
    shown = [line for line in output if line.strip()][-room:]
    body: list[Line] = [(Span(cut_right(line, cells), "muted"),) for line in shown]
    return [*head, (Span(""),), *body, *asked]


def _question_lines(question: Question, cells: int) -> list[Line]:
    lines: list[Line] = [(Span(""),)]
    lines += [(Span(piece, "strong"),) for piece in wrap(safe(question.text), cells)[:6]]
    for number, choice in enumerate(question.choices, 1):
        key = f"{number:<3}" if number <= 9 else "   "
        lines.append((Span(key, "key"), Span(safe(choice), "text")))
    return lines
