"""What events change about messages and inboxes, and what they answer."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.folds.parts import of_part
from anabranch.core.ids import Seq, StreamId
from anabranch.core.json_values import text_of
from anabranch.core.model.messages import OPERATOR, Delivery, Inbox, Mailboxes, Message
from anabranch.core.model.ordering import US, Stamp
from anabranch.core.model.state import State

KEPT = 1000
"""How many acknowledged messages, and how many dead letters, stay in the state."""


# --- small steps ---------------------------------------------------------------------------------


def _with_inbox(mail: Mailboxes, stream: StreamId, inbox: Inbox) -> Mailboxes:
    is_plain = inbox.seen == 0 and inbox.until is None and not len(inbox.open)
    inboxes = mail.inboxes
    kept = inboxes.discard(stream) if is_plain else inboxes.insert(stream, inbox)
    return replace(mail, inboxes=kept, fullest=max(mail.fullest, len(inbox.open)))


def _with_message(mail: Mailboxes, message: Message) -> Mailboxes:
    return replace(mail, messages=mail.messages.insert(message.id, message))


def _without(ids: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    place = bisect_left(ids, one)
    return (*ids[:place], *ids[place + 1 :]) if ids[place : place + 1] == (one,) else ids


def _no_longer_live(mail: Mailboxes, message: Message) -> Mailboxes:
    """Take a message out of the rows of broadcasts and deadlines."""
    if message.deadline is not None:
        mail = replace(mail, deadlines=_without(mail.deadlines, (message.deadline, message.id)))
    if message.to is not None:
        return mail
    own = _without(mail.own.get(message.sender, ()), message.id)
    by_sender = mail.own.insert(message.sender, own) if own else mail.own.discard(message.sender)
    return replace(mail, live=_without(mail.live, message.id), own=by_sender)


def _settled(mail: Mailboxes, message: Message) -> Mailboxes:
    """Put a message without open deliveries to the settled ones, and let the oldest go."""
    if message.open:
        return mail
    mail = _no_longer_live(mail, message)
    if message.died:
        dead, gone = _kept((*mail.dead, message.id))
        mail = replace(mail, dead=dead)
    else:
        done, gone = _kept((*mail.done, message.id))
        mail = replace(mail, done=done)
    messages = mail.messages
    for old in gone:
        messages = messages.discard(old)
    return replace(mail, messages=messages)


def _kept(ids: tuple[Seq, ...]) -> tuple[tuple[Seq, ...], tuple[Seq, ...]]:
    return ids[-KEPT:], ids[:-KEPT]


# --- folding -------------------------------------------------------------------------------------


def _sent(mail: Mailboxes, record: ev.Recorded, event: ev.MessageSent) -> Mailboxes:
    message = Message(
        id=record.seq,
        sender=event.stream,
        to=event.to,
        body=text_of(event.body),
        at=record.at,
        deadline=event.deadline,
        recipients=event.recipients,
        stamp=None
        if event.stamp_us is None
        else Stamp(event.stamp_us, event.logical, event.stream),
        is_late=event.is_late,
    )
    if event.deadline is not None:
        deadlines = list(mail.deadlines)
        insort(deadlines, (event.deadline, message.id))
        mail = replace(mail, deadlines=tuple(deadlines))
    if event.to is not None:
        queued = HashTrieMap({event.to: Delivery("queued", record.at)})
        mail = _with_message(mail, replace(message, deliveries=queued))
        return _enter(mail, event.to, message.id, is_delivered=False)
    own = (*mail.own.get(event.stream, ()), message.id)
    mail = replace(
        _with_message(mail, message),
        live=(*mail.live, message.id),
        own=mail.own.insert(event.stream, own),
        last_broadcast=message.id,
    )
    return _settled(mail, message)


def _enter(mail: Mailboxes, stream: StreamId, message: Seq, *, is_delivered: bool) -> Mailboxes:
    inbox = mail.inbox(stream)
    return _with_inbox(mail, stream, replace(inbox, open=inbox.open.insert(message, is_delivered)))


def _delivered(mail: Mailboxes, record: ev.Recorded, event: ev.MessageDelivered) -> Mailboxes:
    inbox, messages = mail.inbox(event.stream), mail.messages
    seen, is_open = inbox.seen, inbox.open
    delivery = Delivery("delivered", record.at)
    for number in event.messages:
        message = messages.get(number)
        if message is None:
            continue
        is_open = is_open.insert(number, True)
        seen = max(seen, number) if message.to is None else seen
        deliveries = message.deliveries.insert(event.stream, delivery)
        messages = messages.insert(number, replace(message, deliveries=deliveries))
    mail = replace(mail, messages=messages)
    return _with_inbox(mail, event.stream, replace(inbox, seen=seen, open=is_open))


def _acknowledged(mail: Mailboxes, record: ev.Recorded, event: ev.MessageAcknowledged) -> Mailboxes:
    message, inbox = mail.messages.get(event.message), mail.inbox(event.stream)
    if message is None or event.message not in inbox.open:
        return mail
    deliveries = message.deliveries.insert(event.stream, Delivery("acked", record.at))
    message = replace(message, acked=message.acked + 1, deliveries=deliveries)
    inbox = replace(inbox, open=inbox.open.remove(event.message))
    return _settled(_with_message(_with_inbox(mail, event.stream, inbox), message), message)


def _died(mail: Mailboxes, record: ev.Recorded, event: ev.MessageDied) -> Mailboxes:
    for number in event.messages:
        message = mail.messages.get(number)
        if message is None:
            continue
        if event.to is None:
            mail = _expire(mail, record, event, message)
        else:
            mail = _kill(mail, message, event.to, Delivery("dead", record.at, event.reason))
    return mail


def _expire(
    mail: Mailboxes, record: ev.Recorded, event: ev.MessageDied, message: Message
) -> Mailboxes:
    """End every open delivery of a message, also those that never began."""
    expired = Delivery("expired", record.at, event.reason)
    for stream, delivery in message.deliveries.items():
        if delivery.is_open:
            mail = _kill(mail, mail.messages[message.id], stream, expired)
    message = mail.messages.get(message.id, message)
    if message.to is not None:
        return mail
    was_open = message.open
    message = replace(message, died=message.recipients - message.acked, has_expired=True)
    mail = _with_message(mail, message)
    return _settled(mail, message) if was_open else mail


def _kill(mail: Mailboxes, message: Message, stream: StreamId, delivery: Delivery) -> Mailboxes:
    inbox = mail.inbox(stream)
    seen = max(inbox.seen, message.id) if message.to is None else inbox.seen
    inbox = replace(inbox, seen=seen, open=inbox.open.discard(message.id))
    deliveries = message.deliveries.insert(stream, delivery)
    message = replace(message, died=message.died + 1, deliveries=deliveries)
    return _settled(_with_message(_with_inbox(mail, stream, inbox), message), message)


def _requeued(mail: Mailboxes, record: ev.Recorded, event: ev.MessageRequeued) -> Mailboxes:
    """Open deliveries again."""
    message = mail.messages.get(event.message)
    if message is None:
        return mail
    deliveries = message.deliveries
    for stream in event.to:
        deliveries = deliveries.insert(stream, Delivery("queued", record.at))
        mail = _enter(mail, stream, message.id, is_delivered=False)
    mail = replace(mail, dead=tuple(i for i in mail.dead if i != message.id))
    died = max(0, message.died - len(event.to))
    recipients = message.acked + message.open + len(event.to) + died
    message = replace(message, died=died, recipients=recipients)
    if message.deadline is not None:
        row = _without(mail.deadlines, (message.deadline, message.id))
        mail = replace(mail, deadlines=row)
    return _with_message(mail, replace(message, deadline=None, deliveries=deliveries))


def stream_moved(mail: Mailboxes, stream: StreamId, *, has_ended: bool) -> Mailboxes:
    """Return the mailboxes after a stream joined, ended, or is to run once more.

    What is broadcast before it joins, or while it has ended, is not for it.
    """
    inbox = mail.inbox(stream)
    if has_ended:
        inbox = replace(inbox, until=mail.last_broadcast)
    else:
        inbox = replace(inbox, seen=mail.last_broadcast, until=None)
    return _with_inbox(mail, stream, inbox)


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.MessageSent: of_part("messages", _sent),
    ev.MessageDelivered: of_part("messages", _delivered),
    ev.MessageAcknowledged: of_part("messages", _acknowledged),
    ev.MessageDied: of_part("messages", _died),
    ev.MessageRequeued: of_part("messages", _requeued),
}


def why_undeliverable(state: State, to: StreamId) -> str | None:
    """Return why nobody will read a message to a stream, or None."""
    if to == OPERATOR:
        return None
    stream, joined = state.streams.get(to), state.registry.joined.get(to)
    if joined is not None:
        return f"{to} has left ({joined.reason})" if joined.has_left else None
    if stream is None:
        return f"there is no stream {to!r}"
    return f"{to} has ended ({stream.phase})" if stream.has_ended else None


def sent_answer(state: State, record: ev.Recorded, event: ev.MessageSent) -> Answer:
    """Return what a sender is told: the message's number, and its recipients or why it is dead."""
    if event.to is None:
        return Answer("done", {"id": record.seq, "recipients": event.recipients})
    reason = why_undeliverable(state, event.to)
    died = {} if reason is None else {"state": "dead", "reason": reason}
    return Answer("done", {"id": record.seq, **died})


def held_answer(state: State, record: ev.Recorded, event: ev.MessageHeld) -> Answer:
    """Return what the sender of a timed event is told: its number, and when its window ends."""
    end = event.physical_us - event.physical_us % event.window_us + event.window_us
    held = {"held": True, "is_late": event.is_late, "window_ends": end / US}
    return Answer("done", {"id": record.seq, **held})


def _answer_done(
    state: State, record: ev.Recorded, event: ev.MessageAcknowledged | ev.MessageRequeued
) -> Answer:
    return Answer("done")


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.MessageSent: sent_answer,
    ev.MessageHeld: held_answer,
    ev.MessageAcknowledged: _answer_done,
    ev.MessageRequeued: _answer_done,
}
