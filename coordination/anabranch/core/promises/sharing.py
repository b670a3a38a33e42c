"""What must hold of the shared state and of messages after every step."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.messages import OPERATOR, Mailboxes, Message
from anabranch.core.model.state import State


def broken_sharing_promises(state: State) -> Iterator[str]:
    """Yield every promise about shared state and messages that is broken, in words."""
    yield from _versions(state)
    yield from _inboxes(state)
    for message in state.messages.messages.values():
        yield from _message(state.messages, message)


def _versions(state: State) -> Iterator[str]:
    shared = state.shared
    if len(shared.versions) != shared.head - shared.floor + 1:
        yield f"versions {shared.floor} to {shared.head} of the state are not all there"
        return
    newest = shared.versions[shared.head].changes
    if newest and newest[-1].hash != shared.hash:
        yield "the newest change of the state is not the end of its chain"
    if not shared.floor <= shared.head or shared.synced > shared.head:
        yield f"version {shared.synced} was propagated, {shared.head} is the newest"
    if shared.head > shared.synced and shared.unsynced is None:
        yield "the state has changed, and nobody will propagate it"


def _inboxes(state: State) -> Iterator[str]:
    mail = state.messages
    expected: dict[StreamId, dict[Seq, bool]] = {}
    for message in mail.messages.values():
        for stream, delivery in message.deliveries.items():
            if delivery.is_open:
                expected.setdefault(stream, {})[message.id] = delivery.state == "delivered"
    found = {name: dict(box.open.items()) for name, box in mail.inboxes.items() if len(box.open)}
    if found != expected:
        yield f"the inboxes hold {found}, the messages say {expected}"
    for name in found:
        stream_ = state.streams.get(name)
        is_there = stream_ is not None and not stream_.has_ended
        if not is_there and name != OPERATOR and state.registry.live(name) is None:
            yield f"messages wait for {name!r}, which nobody will read"


def _message(mail: Mailboxes, message: Message) -> Iterator[str]:
    states = [delivery.state for delivery in message.deliveries.values()]
    if message.acked != states.count("acked"):
        yield f"message {message.id} counts {message.acked} acknowledgements of {states}"
    if message.open < sum(delivery.is_open for delivery in message.deliveries.values()):
        yield f"message {message.id} counts {message.open} open deliveries of {states}"
    if message.open < 0 or message.died < 0:
        yield f"message {message.id} counts {message.open} open and {message.died} dead deliveries"
    if not message.open and message.id in mail.live:
        yield f"message {message.id} is settled and yet live"
    if not message.open and message.id not in (mail.dead if message.died else mail.done):
        yield f"message {message.id} is settled, but not among the settled"
