"""Decisions about messages: sending, reading, acknowledging, deadlines and dead letters.

Delivery is at least once. A stream reads its inbox as often as it likes and finds everything it has
not acknowledged; a message is *delivered* when it is read for the first time. A message to a stream
that has not started waits for it, also over a retry. One to an unknown stream is refused. One that
can never be read becomes a dead letter with a reason, and an operator can send it on its
way again.

Nobody can flood an inbox: at :data:`MOST_WAITING` unacknowledged messages its senders are refused.
A broadcast is refused if one of its recipients is full; give broadcasts a deadline, so that what
nobody reads makes room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from anabranch.core import events as ev
from anabranch.core.calls import Acknowledge, Answer, Broadcast, Call, ReadInbox, Requeue, Send
from anabranch.core.deciding import ordering
from anabranch.core.deciding.draft import Draft
from anabranch.core.folds.messages import sent_answer, why_undeliverable
from anabranch.core.ids import Seq, StreamId
from anabranch.core.json_values import NotJson, checked_text, value_of
from anabranch.core.model.answers import refused
from anabranch.core.model.messages import OPERATOR, OPERATOR_NAME, Mailboxes, Message
from anabranch.core.model.ordering import as_json
from anabranch.core.model.state import State, Stream
from anabranch.core.wording import utc

MOST_WAITING = 1000
"""How many unacknowledged messages one inbox holds."""

MOST_AT_ONCE = 100
MOST_BYTES_AT_ONCE = 256 * 1024
"""How much one reading of an inbox brings: at least one message, and no more than these."""


# --- sending -------------------------------------------------------------------------------------


def send(draft: Draft, call: Send) -> None:
    """Put a message into one stream's inbox; the operator's too."""
    to = addressee(draft.state, call.to)
    body = _checked(call)
    if isinstance(body, Answer):
        draft.answer = body
        return
    known = (draft.state.streams, draft.state.registry.joined)
    if to != OPERATOR and not any(to in those for those in known):
        draft.answer = _unknown(draft.state, to)
        return
    undeliverable = why_undeliverable(draft.state, to)
    if undeliverable is None and draft.state.messages.waiting(to) >= MOST_WAITING:
        draft.answer = _full(to)
        return
    number = _emit_sent(draft, call, to, body, recipients=1)
    if undeliverable is not None:
        draft.emit(ev.MessageDied(messages=(number,), to=to, reason=undeliverable))


def _unknown(state: State, to: StreamId) -> Answer:
    """Refuse what is for nobody, with the nearest name."""
    joined = [j.id for j in state.registry.joined.values() if j.is_live]
    near = get_close_matches(to, [*state.streams, *sorted(joined), OPERATOR_NAME], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "ab-stream streams lists who there is"
    return refused(f"there is no stream {to[:64]!r}", hint)


def broadcast(draft: Draft, call: Broadcast) -> None:
    """Send one message to every other stream that is not over."""
    body = _checked(call)
    if isinstance(body, Answer):
        draft.answer = body
        return
    full = _full_recipient(draft.state, call.caller.stream)
    if full is not None:
        draft.answer = _full(full)
        return
    if call.window_seconds is not None:
        ordering.hold(draft, call, body)
        return
    if call.stamp is not None:
        draft.answer = refused("a stamp is of a timed event", "say its window_seconds")
        return
    recipients = _count_recipients(draft.state, call.caller.stream)
    _emit_sent(draft, call, None, body, recipients)


def addressee(state: State, name: StreamId) -> StreamId:
    """Return whose inbox a name means."""
    return OPERATOR if name == OPERATOR_NAME and name not in state.streams else name


def tell(
    draft: Draft,
    stream: StreamId,
    body: dict[str, Any],
    sender: StreamId = OPERATOR,
    deadline: float | None = None,
) -> None:
    """Put a message into a stream's inbox that no call has sent."""
    draft.emit(ev.MessageSent(sender, 0, "", to=stream, body=body, recipients=1, deadline=deadline))


def _checked(call: Send | Broadcast) -> str | Answer:
    seconds = call.deadline_seconds
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        return refused("the deadline is not a length of time", "give seconds, more than 0")
    body = checked_text(call.body)
    if isinstance(body, NotJson):
        return refused(f"the message cannot be sent: {body.reason}", body.hint)
    return body


def _emit_sent(
    draft: Draft, call: Send | Broadcast, to: StreamId | None, body: str, recipients: int
) -> Seq:
    seconds, caller = call.deadline_seconds, call.caller
    deadline = None if seconds is None else draft.now + seconds
    sent = ev.MessageSent(
        caller.stream,
        caller.attempt,
        call.request,
        to=to,
        body=value_of(body),
        recipients=recipients,
        deadline=deadline,
    )
    number = draft.emit(sent)
    draft.answer = sent_answer(draft.state, draft.events[-1], sent)
    return number


def _count_recipients(state: State, sender: StreamId) -> int:
    return sum(1 for name in _who_is_there(state) if name != sender)


def _who_is_there(state: State) -> Iterator[StreamId]:
    """Yield who gets a broadcast: the streams that are not over, those from outside too."""
    yield from (s.id for s in state.streams.values() if not s.has_ended)
    yield from (j.id for j in state.registry.joined.values() if j.is_live)


def _full_recipient(state: State, sender: StreamId) -> StreamId | None:
    """Return a recipient whose inbox is full; quick while none can be."""
    mail = state.messages
    if len(mail.live) + mail.fullest < MOST_WAITING:
        return None
    for name in _who_is_there(state):
        if name != sender and mail.waiting(name) >= MOST_WAITING:
            return name
    return None


def _full(to: StreamId) -> Answer:
    name = to or OPERATOR_NAME
    return refused(
        f"{name} has {MOST_WAITING} messages that it has not acknowledged; no more fit",
        "wait until it has read some, or give messages a deadline",
        full=name,
    )


# --- reading -------------------------------------------------------------------------------------


def read_inbox(draft: Draft, call: ReadInbox) -> None:
    """Hand a stream what it has not acknowledged, oldest first; new messages are delivered by it.

    If it is more than one reading brings, new messages go before those read already.
    """
    mail, stream = draft.state.messages, call.caller.stream
    new = mail.new(stream)
    taken = _fitting(mail, [*new, *mail.delivered(stream)], call.limit)
    fresh = tuple(number for number in new if number in taken)
    if fresh:
        caller = call.caller
        draft.emit(ev.MessageDelivered(caller.stream, caller.attempt, call.request, messages=fresh))
    messages = [_as_json(draft.state, mail.messages[i], is_new=i in fresh) for i in sorted(taken)]
    draft.answer = Answer("done", {"messages": messages})


def _fitting(mail: Mailboxes, numbers: list[Seq], limit: int) -> set[Seq]:
    taken: set[Seq] = set()
    room = MOST_BYTES_AT_ONCE
    for number in numbers[: max(1, min(limit, MOST_AT_ONCE))]:
        room -= len(mail.messages[number].body)
        if taken and room < 0:
            break
        taken.add(number)
    return taken


def _as_json(state: State, message: Message, *, is_new: bool) -> dict[str, Any]:
    timed = {} if message.stamp is None else {"stamp": as_json(message.stamp, message.is_late)}
    return timed | {
        "id": message.id,
        "from": message.sender or OPERATOR_NAME,
        "to": "*" if message.to is None else message.to or OPERATOR_NAME,
        "body": value_of(message.body),
        "sent": utc(state.started_wall + message.at),
        "is_new": is_new,
    }


def acknowledge(draft: Draft, call: Acknowledge) -> None:
    """Strike a message off the caller's inbox; a second time does no harm.

    The operator sees messages in the console, without reading an inbox.
    """
    mail, stream = draft.state.messages, call.caller.stream
    message = mail.messages.get(call.message)
    delivery = message.deliveries.get(stream) if message else None
    if delivery is not None and delivery.state == "acked":
        draft.answer = Answer("done")
    elif delivery is not None and (
        delivery.state == "delivered" or (call.caller.is_operator and delivery.state == "queued")
    ):
        caller = call.caller
        draft.emit(
            ev.MessageAcknowledged(
                caller.stream, caller.attempt, call.request, message=call.message
            )
        )
    elif delivery is not None and delivery.has_died:
        draft.answer = refused(f"message {call.message} is dead: {delivery.reason}", "go on")
    elif delivery is not None or call.message in mail.unread_broadcasts(stream):
        draft.answer = refused(f"message {call.message} was not read yet", "read the inbox first")
    else:
        reason = f"there is no message {call.message} for you that waits for this"
        draft.answer = refused(reason, "the inbox says what waits")


# --- dead letters --------------------------------------------------------------------------------


def requeue(draft: Draft, call: Requeue) -> None:
    """Send a dead letter on its way again, without a deadline; for the operator."""
    if not call.caller.is_operator:
        draft.answer = refused("only the operator requeues dead letters", "send a new message")
        return
    message = draft.state.messages.messages.get(call.message)
    if message is None or not message.died:
        reason = f"there is no dead letter {call.message}"
        draft.answer = refused(reason, "anabranch messages lists them; old ones cannot be requeued")
        return
    able = [s for s in _missed(draft.state, message) if not why_undeliverable(draft.state, s)]
    if not able:
        draft.answer = _nobody_left(draft.state, message)
        return
    full = next((s for s in able if draft.state.messages.waiting(s) >= MOST_WAITING), None)
    if full is not None:
        draft.answer = _full(full)
        return
    caller = call.caller
    draft.emit(
        ev.MessageRequeued(
            caller.stream, caller.attempt, call.request, message=message.id, to=tuple(able)
        )
    )


def _missed(state: State, message: Message) -> list[StreamId]:
    """Return who did not get a message that died."""
    if message.to is None and message.has_expired:
        settled = message.deliveries
        others = sorted({*state.streams, *settled} - {message.sender})
        return [s for s in others if s not in settled or settled[s].has_died]
    return sorted(s for s, delivery in message.deliveries.items() if delivery.has_died)


def _nobody_left(state: State, message: Message) -> Answer:
    if message.to is None:
        return refused("all streams that missed it have ended", "retry them first")
    why = why_undeliverable(state, message.to) or ""
    is_known = message.to in state.streams
    return refused(why, "retry the stream first" if is_known else "send it to another stream")


def leave(draft: Draft, stream: Stream) -> None:
    """Let what an ended stream has not acknowledged die; over a retry it waits."""
    if not stream.has_ended:
        return
    mail = draft.state.messages
    if not mail.waiting(stream.id):
        return
    left = sorted([*mail.inbox(stream.id).open, *mail.unread_broadcasts(stream.id)])
    draft.emit(
        ev.MessageDied(
            messages=tuple(left), to=stream.id, reason=f"{stream.id} has ended ({stream.phase})"
        )
    )


def time_reached(draft: Draft) -> None:
    """Let messages die whose deadline has passed."""
    if draft.state.has_ended:
        return
    due = tuple(number for at, number in draft.state.messages.deadlines if at <= draft.now)
    if due:
        draft.emit(ev.MessageDied(messages=due, to=None, reason="its deadline passed"))


CALLS: dict[type[Call], Callable[[Draft, Any], None]] = {
    Send: send,
    Broadcast: broadcast,
    ReadInbox: read_inbox,
    Acknowledge: acknowledge,
    Requeue: requeue,
}
