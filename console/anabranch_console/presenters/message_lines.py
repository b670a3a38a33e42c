"""Messages in words: a row for each, and the thread it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from anabranch.core import wording
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.messages import OPERATOR, OPERATOR_NAME, Message
from anabranch.core.model.state import State
from anabranch.core.views.messages import delivery_counts
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, hard_wrap, wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe, wall_clock

MOST_OF_A_BODY = 4000
MOST_OF_A_THREAD = 100
_SHORT = 300
_LABEL_CELLS = 10

_STYLES = {
    "queued": ("waiting", "state.waiting"),
    "delivered": ("running", "state.running"),
    "acked": ("succeeded", "state.succeeded"),
    "expired": ("failed", "state.failed"),
    "dead": ("failed", "state.failed"),
}


@dataclass(slots=True)
class MessageLook:
    """What messages are shown with."""

    state: State
    now: float
    glyphs: Glyphs = UNICODE


def message_rows(state: State) -> list[Message]:
    """Return the messages: what waits for the operator, dead letters, what waits, the newest."""
    return sorted(state.messages.messages.values(), key=_row_order)


def _row_order(message: Message) -> tuple[int, int]:
    if waits_for_operator(message):
        return (0, message.id)
    if message.died:
        return (1, -message.id)
    return (2, message.id) if message.open else (3, -message.id)


def waits_for_operator(message: Message) -> bool:
    """Return whether it is for the operator, who has not acknowledged it."""
    return message.to == OPERATOR and bool(message.open)


def news_for_operator(state: State, sent: Iterable[Seq]) -> str:
    """Return what to tell of messages that have come; empty if none of them waits."""
    mail = state.messages
    new = [m for m in map(mail.messages.get, sent) if m is not None and waits_for_operator(m)]
    if len(new) == 1:
        said = safe(body_text(new[0].body)[:_SHORT])
        return f"{_name(new[0].sender)} to you: {said}"
    return f"{len(new)} messages wait for you" if new else ""


def message_text(message: Message) -> str:
    """Return what a filter of messages looks at."""
    return f"{message.id} {_name(message.sender)} {_to(message)} {message.state} {message.body}"


def thread_of(message: Message) -> tuple[str, ...]:
    """Return what thread a message is part of: a pair of streams, or somebody's broadcasts."""
    if message.to is None:
        return (message.sender, "*")
    return tuple(sorted((message.sender, message.to)))


def message_columns(look: Callable[[], MessageLook]) -> list[Column[Message]]:
    """Return the columns of the messages."""
    return [
        Column("NO", 5, 45, lambda m: Span(str(m.id), "muted"), "right"),
        Column("STATE", 11, 100, lambda m: _state(look(), m)),
        Column("FROM → TO", 22, 90, _from_to, grows=True),
        Column("AGE", 4, 60, lambda m: Span(wording.age(look().now - m.at), "text"), "right"),
        Column("MESSAGE", 0, 95, _said),
    ]


def _state(look: MessageLook, message: Message) -> Span:
    sign, style = _STYLES[message.state]
    return Span(f"{look.glyphs.state(sign)} {message.state}", style)


def _from_to(message: Message) -> Line:
    to = Span("all", "accent") if message.to is None else Span(_to(message), "strong")
    return (Span(_name(message.sender), "strong"), Span(" → ", "faint"), to)


def _said(message: Message) -> Line:
    body = Span(safe(body_text(message.body)[:_SHORT]), "text")
    if not message.died:
        return (body,)
    return (Span(f"{safe(reason_of(message))}: ", "level.error"), body)


def reason_of(message: Message) -> str:
    """Return why somebody never got a message."""
    died = (d.reason for d in message.deliveries.values() if d.has_died)
    return next((reason for reason in died if reason), "its deadline passed")


def body_text(body: str) -> str:
    """Return a body as people write it: a text without its quotes, anything else as JSON."""
    value = msgspec.json.decode(body)
    return value if isinstance(value, str) else body


def _name(stream: StreamId) -> str:
    return safe(stream or OPERATOR_NAME)


def _to(message: Message) -> str:
    return "all" if message.to is None else _name(message.to)


# --- the panel beside ----------------------------------------------------------------------------


def message_detail(look: MessageLook, message: Message, cells: int) -> list[Line]:
    """Return one message in full, then the thread it is part of."""
    wall = look.state.started_wall
    lines: list[Line] = [_from_to(message)]
    facts = [
        ("number", str(message.id)),
        ("sent", wall_clock(wall, message.at)),
        ("state", _how_far(message)),
    ]
    if message.deadline is not None:
        facts.append(("deadline", wall_clock(wall, message.deadline)))
    lines += [(Span(name.ljust(_LABEL_CELLS), "muted"), Span(value)) for name, value in facts]
    if message.died:
        pieces = wrap(safe(reason_of(message)), max(cells - _LABEL_CELLS, 8))
        for name, piece in zip(("why", *[""] * len(pieces)), pieces, strict=False):
            lines.append((Span(name.ljust(_LABEL_CELLS), "muted"), Span(piece, "level.error")))
    return [*lines, (), *_body(message.body, cells), (), *_thread(look, message)]


def _how_far(message: Message) -> str:
    if message.to is not None:
        return message.state
    counts = delivery_counts(message)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "to nobody"


def _body(body: str, cells: int) -> list[Line]:
    text = body_text(body)
    if text is body:
        text = msgspec.json.format(body, indent=2)
    cut = text[:MOST_OF_A_BODY]
    lines = [
        (Span(piece, "strong"),)
        for line in cut.splitlines() or [""]
        for piece in hard_wrap(safe(line), cells)
    ]
    more = len(text) - len(cut)
    return [*lines, (Span(f"and {more} more characters", "muted"),)] if more else list(lines)


def _thread(look: MessageLook, message: Message) -> list[Line]:
    thread = thread_of(message)
    known = look.state.messages.messages
    numbers = sorted(n for n in known if thread_of(known[n]) == thread)
    who = [safe(name or OPERATOR_NAME) for name in thread]
    name = f"{who[0]} → all" if message.to is None else " ↔ ".join(who)
    text = wording.counted(len(numbers), "message")
    lines: list[Line] = [(Span(f"Thread {name}", "title"), Span(f"  {text}", "muted"))]
    for number in numbers[-MOST_OF_A_THREAD:]:
        one = known[number]
        is_this = number == message.id
        sign, style = _STYLES[one.state]
        lines.append(
            (
                Span(look.glyphs.cursor if is_this else " ", "key"),
                Span(wall_clock(look.state.started_wall, one.at), "muted"),
                Span(f" {look.glyphs.state(sign)} ", style),
                Span(_name(one.sender), "accent" if one.sender == OPERATOR else "text"),
                Span("  "),
                Span(safe(body_text(one.body)[:_SHORT]), "strong" if is_this else "text"),
            )
        )
    return lines
