"""Messages and the inboxes they wait in, as a value.

A message is stored once, however many it is for. One to a single stream stands in that stream's
inbox until it is acknowledged. A broadcast stands in the row of *live* broadcasts; each inbox knows
up to which of them it has been read (``seen``), and only what was read and is not acknowledged yet
is entered in the inbox itself. So a broadcast to a thousand streams costs what one message costs.

A delivery is one message for one recipient: queued, delivered (read by it), acked, expired (its
deadline passed) or dead (its recipient ended, or was never there). Expired and dead ones are dead
letters, which an operator can requeue. A message is *settled* when no delivery of it is open; the
newest settled ones of either kind stay here, older ones stand in the journal only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.ordering import Stamp

OPERATOR = StreamId("")
"""The operator's inbox and the sender of the operator's messages."""

OPERATOR_NAME = StreamId("operator")
"""What streams call the operator, unless one of them has that name itself."""

DeliveryState = Literal["queued", "delivered", "acked", "expired", "dead"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
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


class Message(msgspec.Struct, frozen=True, gc=False):
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
    stamp: Stamp | None = None
    is_late: bool = False
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


class Inbox(msgspec.Struct, frozen=True, gc=False):
    """What one recipient has still to acknowledge: by message, whether it has been delivered.

    Of the broadcasts, those up to ``seen`` have been read, or were not for it; those after
    ``until`` are not for it, because it had ended by then.
    """

    seen: Seq = 0
    until: Seq | None = None
    open: HashTrieMap[Seq, bool] = HashTrieMap()


_NOTHING = Inbox()


class Mailboxes(msgspec.Struct, frozen=True, gc=False):
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
    stamp: Stamp | None = None
    is_late: bool = False


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
