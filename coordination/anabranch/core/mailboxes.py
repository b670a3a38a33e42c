"""Messages and the inboxes they wait in, as a value.

A message is stored once, however many it is for. One to a single stream stands in that stream's
inbox until it is acknowledged. A broadcast stands in the row of *live* broadcasts; each inbox knows
up to which of them it has been read (``seen``), and only what was read and is not acknowledged yet
is entered in the inbox itself. So a broadcast to a thousand streams costs what one message costs.

A delivery is one message for one recipient: queued, delivered (read by it), acked, expired (its
deadline passed) or dead (its recipient ended, or was never there). Expired and dead ones are dead
letters, which an operator can requeue. A message is *settled* when no delivery of it is open; the
newest :data:`KEPT` settled ones of either kind stay here, older ones stand in the journal only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.ids import Seq, StreamId
from anabranch.core.json_values import text_of

if TYPE_CHECKING:
    from anabranch.core.state import State

OPERATOR = StreamId("")
"""The operator's inbox and the sender of the operator's messages."""

OPERATOR_NAME = StreamId("operator")
"""What streams call the operator, unless one of them has that name itself."""

KEPT = 1000
"""How many acknowledged messages, and how many dead letters, stay in the state."""

DeliveryState = Literal["queued", "delivered", "acked", "expired", "dead"]


class Delivery(msgspec.Struct, frozen=True):
    """What became of a message for one recipient, since when, and why if it died."""

    state: DeliveryState
    at: float
    reason: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in ("queued", "delivered")

    @property
    def has_died(self) -> bool:
        return self.state in ("expired", "dead")


class Message(msgspec.Struct, frozen=True):
    """A message; without ``to`` it is a broadcast to ``recipients`` streams.

    ``deliveries`` names those to whom something has happened; to the others of a broadcast nothing
    has yet, or nothing will if it ``has_expired``.
    """

    id: Seq
    sender: StreamId
    to: StreamId | None
    body: str
    at: float
    deadline: float | None = None
    recipients: int = 1
    acked: int = 0
    died: int = 0
    has_expired: bool = False
    deliveries: HashTrieMap[StreamId, Delivery] = HashTrieMap()

    @property
    def open(self) -> int:
        """How many deliveries are neither acknowledged nor dead."""
        return self.recipients - self.acked - self.died

    @property
    def state(self) -> DeliveryState:
        """The message as a whole: as far as the slowest of its recipients has come."""
        found = {d.state for d in self.deliveries.values()}
        if self.open:
            return "delivered" if found - {"queued"} else "queued"
        if not self.died:
            return "acked"
        return "expired" if self.has_expired or "expired" in found else "dead"


class Inbox(msgspec.Struct, frozen=True):
    """What one recipient has still to acknowledge: by message, whether it has been delivered.

    Of the broadcasts, those up to ``seen`` have been read, or were not for it; those after
    ``until`` are not for it, because it had ended by then.
    """

    seen: Seq = 0
    until: Seq | None = None
    open: HashTrieMap[Seq, bool] = HashTrieMap()


_NOTHING = Inbox()


class Mailboxes(msgspec.Struct, frozen=True):
    """All messages and inboxes. An inbox that is not listed is empty.

    ``live`` are the broadcasts that may still be unread somewhere, and ``own`` the same by sender;
    ``fullest`` is the most that ever stood in one inbox; ``deadlines`` are those still to come.
    """

    messages: HashTrieMap[Seq, Message] = HashTrieMap()
    inboxes: HashTrieMap[StreamId, Inbox] = HashTrieMap({OPERATOR: Inbox(until=0)})
    live: tuple[Seq, ...] = ()
    own: HashTrieMap[StreamId, tuple[Seq, ...]] = HashTrieMap()
    last_broadcast: Seq = 0
    fullest: int = 0
    deadlines: tuple[tuple[float, Seq], ...] = ()
    done: tuple[Seq, ...] = ()
    dead: tuple[Seq, ...] = ()

    def inbox(self, stream: StreamId) -> Inbox:
        return self.inboxes.get(stream, _NOTHING)

    def waiting(self, stream: StreamId) -> int:
        """Return how many messages a stream has not acknowledged, in O(log n)."""
        inbox = self.inbox(stream)
        unread = _span(self.live, inbox)
        own = _span(self.own.get(stream, ()), inbox)
        return len(inbox.open) + len(unread) - len(own)

    def unread_broadcasts(self, stream: StreamId) -> list[Seq]:
        """Return the broadcasts that a stream has not read yet, oldest first."""
        inbox = self.inbox(stream)
        own = set(self.own.get(stream, ()))
        return [i for i in (self.live[n] for n in _span(self.live, inbox)) if i not in own]

    def new(self, stream: StreamId) -> list[Seq]:
        """Return the messages that were not delivered to a stream yet, oldest first."""
        queued = [i for i, is_delivered in self.inbox(stream).open.items() if not is_delivered]
        return sorted([*queued, *self.unread_broadcasts(stream)])

    def delivered(self, stream: StreamId) -> list[Seq]:
        """Return the messages that a stream has read and not acknowledged, oldest first."""
        return sorted(i for i, is_delivered in self.inbox(stream).open.items() if is_delivered)


def _span(ids: tuple[Seq, ...], inbox: Inbox) -> range:
    """Return where in a row of live broadcasts those stand that an inbox has not read."""
    first = bisect_right(ids, inbox.seen)
    end = len(ids) if inbox.until is None else bisect_right(ids, inbox.until)
    return range(first, max(first, end))


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


_Fold = Callable[["State", ev.Recorded, Any], "State"]


def _in_state(fold: Callable[[Mailboxes, ev.Recorded, Any], Mailboxes]) -> _Fold:
    def folded(state: State, record: ev.Recorded, event: Any) -> State:
        return replace(state, messages=fold(state.messages, record, event))

    return folded


FOLDS: dict[type[ev.Event], _Fold] = {
    ev.MessageSent: _in_state(_sent),
    ev.MessageDelivered: _in_state(_delivered),
    ev.MessageAcknowledged: _in_state(_acknowledged),
    ev.MessageDied: _in_state(_died),
    ev.MessageRequeued: _in_state(_requeued),
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


def sent_answer(state: State, record: ev.Recorded) -> Answer:
    """Return what a sender is told: the message's number, and its recipients or why it is dead."""
    event = record.event
    if not isinstance(event, ev.MessageSent):
        return Answer("done")
    if event.to is None:
        return Answer("done", {"id": record.seq, "recipients": event.recipients})
    reason = why_undeliverable(state, event.to)
    died = {} if reason is None else {"state": "dead", "reason": reason}
    return Answer("done", {"id": record.seq, **died})


def _answer_done(state: State, record: ev.Recorded) -> Answer:
    return Answer("done")


ANSWERS: dict[type[ev.CallEvent], Callable[[State, ev.Recorded], Answer]] = {
    ev.MessageSent: sent_answer,
    ev.MessageAcknowledged: _answer_done,
    ev.MessageRequeued: _answer_done,
}


# --- snapshots -----------------------------------------------------------------------------------


class _PackedMessage(msgspec.Struct, array_like=True):
    id: Seq
    sender: StreamId
    to: StreamId | None
    body: str
    at: float
    deadline: float | None
    recipients: int
    acked: int
    died: int
    has_expired: bool
    deliveries: list[tuple[StreamId, Delivery]]


class _Packed(msgspec.Struct):
    messages: list[_PackedMessage]
    inboxes: list[tuple[StreamId, Seq, Seq | None]]
    live: tuple[Seq, ...]
    last_broadcast: Seq
    fullest: int
    done: tuple[Seq, ...]
    dead: tuple[Seq, ...]


def pack(mail: Mailboxes) -> _Packed:
    """Return the mailboxes as plain values; what stands in each inbox follows from the messages."""
    return _Packed(
        messages=[_packed(mail.messages[number]) for number in sorted(mail.messages)],
        inboxes=sorted((stream, inbox.seen, inbox.until) for stream, inbox in mail.inboxes.items()),
        live=mail.live,
        last_broadcast=mail.last_broadcast,
        fullest=mail.fullest,
        done=mail.done,
        dead=mail.dead,
    )


def _packed(message: Message) -> _PackedMessage:
    facts = {name: getattr(message, name) for name in message.__struct_fields__}
    return _PackedMessage(**{**facts, "deliveries": sorted(message.deliveries.items())})


def unpack(raw: Any) -> Mailboxes:
    """Return the mailboxes that :func:`pack` took apart; raises msgspec.ValidationError."""
    packed = msgspec.convert(raw, _Packed)
    messages = {m.id: _unpacked(m) for m in packed.messages}
    own: dict[StreamId, tuple[Seq, ...]] = {}
    for number in packed.live:
        sender = messages[number].sender
        own[sender] = (*own.get(sender, ()), number)
    is_open = _open_entries(messages.values())
    inboxes = {
        stream: Inbox(seen, until, HashTrieMap(is_open.get(stream, {})))
        for stream, seen, until in packed.inboxes
    }
    due = [(m.deadline, m.id) for m in messages.values() if m.deadline is not None and m.open]
    return Mailboxes(
        messages=HashTrieMap(messages),
        inboxes=HashTrieMap(inboxes),
        live=packed.live,
        own=HashTrieMap(own),
        last_broadcast=packed.last_broadcast,
        fullest=packed.fullest,
        deadlines=tuple(sorted(due)),
        done=packed.done,
        dead=packed.dead,
    )


def _unpacked(packed: _PackedMessage) -> Message:
    facts = {name: getattr(packed, name) for name in packed.__struct_fields__}
    return Message(**{**facts, "deliveries": HashTrieMap(packed.deliveries)})


def _open_entries(messages: Iterable[Message]) -> dict[StreamId, dict[Seq, bool]]:
    found: dict[StreamId, dict[Seq, bool]] = {}
    for message in messages:
        for stream, delivery in message.deliveries.items():
            if delivery.is_open:
                found.setdefault(stream, {})[message.id] = delivery.state == "delivered"
    return found
