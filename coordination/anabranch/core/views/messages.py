"""Read models of messages: who wrote what to whom, what became of it, and what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from anabranch.core import events as ev
from anabranch.core.ids import Seq, StreamId
from anabranch.core.json_values import value_of
from anabranch.core.model.messages import OPERATOR, OPERATOR_NAME, DeliveryState, Message
from anabranch.core.model.state import State
from anabranch.core.views.projections import SCHEMA, wall_time

EVERYBODY = "*"
"""What a broadcast is addressed to, in words."""


def waiting_for(state: State, stream: StreamId) -> int:
    """Return how many messages a stream has not acknowledged; it rides on every reply."""
    return state.messages.waiting(stream)


def has_new_for(state: State, stream: StreamId) -> bool:
    """Say whether something waits that was not delivered yet, for a waiting read to get."""
    return bool(state.messages.new(stream))


def messages(state: State, stream: StreamId | None = None) -> dict[str, Any]:
    """Return messages as ``messages --json`` tells them, oldest first.

    ``stream`` limits that to what it sent or was sent; the newest settled ones only are there
    (:func:`messages_of` tells all).
    """
    kept = state.messages.messages
    found = [kept[number] for number in sorted(kept) if _concerns(kept[number], stream)]
    return {"schema": SCHEMA, "messages": [message_line(state, message) for message in found]}


def dead_letters(state: State) -> list[dict[str, Any]]:
    """Return the messages that somebody never got, oldest first."""
    kept = state.messages.messages
    return [message_line(state, kept[n]) for n in sorted(kept) if kept[n].died]


def _concerns(message: Message, stream: StreamId | None) -> bool:
    return stream is None or stream == message.sender or message.to in (stream, None)


def message_line(state: State, message: Message) -> dict[str, Any]:
    """Return one message as a line of ``messages --json``."""
    died = (d for d in message.deliveries.values() if d.has_died)
    line = {
        "id": message.id,
        "from": message.sender or OPERATOR_NAME,
        "to": _addressee(message.to),
        "body": value_of(message.body),
        "sent": wall_time(state, message.at),
        "state": message.state,
        "deadline": wall_time(state, message.deadline),
        "reason": next((d.reason for d in died), "its deadline passed" if message.died else None),
    }
    if message.to is None:
        line["deliveries"] = delivery_counts(message)
    return line


def delivery_counts(message: Message) -> dict[str, int]:
    """Return how many recipients of a broadcast are in which state; states nobody is in are out."""
    counts: Counter[str] = Counter(d.state for d in message.deliveries.values())
    unheard: DeliveryState = "expired" if message.has_expired else "queued"
    counts[unheard] += message.recipients - counts.total()
    return {state: count for state, count in counts.items() if count > 0}


def _addressee(to: StreamId | None) -> str:
    if to is None:
        return EVERYBODY
    return OPERATOR_NAME if to == OPERATOR else to


def messages_of(records: Iterable[ev.Recorded], state: State) -> dict[str, Any]:
    """Return all messages of a run from the journal's events, also those long settled."""
    lines: dict[Seq, dict[str, Any]] = {}
    for record in records:
        event = record.event
        if isinstance(event, ev.MessageSent):
            lines[record.seq] = {
                "id": record.seq,
                "from": event.stream or OPERATOR_NAME,
                "to": _addressee(event.to),
                "body": event.body,
                "sent": wall_time(state, record.at),
                "state": "queued",
                "deadline": wall_time(state, event.deadline),
                "reason": None,
            }
        else:
            for number, now in _became(event):
                if number in lines:
                    lines[number]["state"] = now
    kept = state.messages.messages
    for number in kept:
        if number in lines:
            lines[number] = message_line(state, kept[number])
    return {"schema": SCHEMA, "messages": list(lines.values())}


def _became(event: ev.Event) -> list[tuple[Seq, DeliveryState]]:
    match event:
        case ev.MessageDelivered():
            return [(number, "delivered") for number in event.messages]
        case ev.MessageAcknowledged():
            return [(event.message, "acked")]
        case ev.MessageDied():
            end: DeliveryState = "expired" if event.to is None else "dead"
            return [(number, end) for number in event.messages]
        case ev.MessageRequeued():
            return [(event.message, "queued")]
        case _:
            return []
