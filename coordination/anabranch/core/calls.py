"""What a stream, or an operator, may ask of the engine while it runs.

One verb set, many transports. A call comes from *somebody* (:class:`Caller`) and carries a request
id. Asked again with the same id it gets the same answer and nothing happens twice, so a client that
lost its connection just asks again. Calls that only read are answered from the published state and
never come here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from anabranch.core.ids import Attempt, LockMode, PointId, StreamId
from anabranch.core.inputs import Command
from anabranch.core.json_values import Json

Number = Annotated[int, Meta(ge=0)]


class Caller(msgspec.Struct, frozen=True):
    """Who asks: an attempt of a stream, or the operator (then ``stream`` is empty).

    ``attempt`` is the fencing token: what an attempt that is over asks for is refused.
    """

    stream: StreamId
    attempt: Attempt
    is_operator: bool = False


OPERATOR = Caller(StreamId(""), 0, is_operator=True)
"""The operator as a caller."""


class Call(Command, frozen=True):
    """A verb with a caller and a request id that makes it idempotent."""

    caller: Caller
    request: str


class Heartbeat(Call, frozen=True):
    """I live. Journalled when it says something new, and every few seconds when it does not.

    ``info`` is whatever else the stream wants to be seen, by name.
    """

    status: str | None = None
    progress: float | None = None
    info: dict[str, Json] | None = None


class Renew(Call, frozen=True):
    """Keep my locks. No sign of life: a program sends it on behalf of another one that it runs."""


class Lock(Call, frozen=True):
    """A lease on a path, a folder (ends in ``/``) or a glob; ``wait`` queues if it is not free."""

    path: str
    mode: LockMode = "write"
    wait: bool = True


class Unlock(Call, frozen=True):
    """Give a lease back, by its path or its fence."""

    path: str | None = None
    fence: int | None = None

    in_words = "take the lock of {0.path} away"


class StateSet(Call, frozen=True):
    """Set a key of the shared state; with ``if_version`` only if the key still has that version."""

    key: str
    value: Json
    if_version: int | None = None


class StateUpdate(Call, frozen=True):
    """Merge an object into the object under a key, field by field."""

    key: str
    value: Json
    if_version: int | None = None


class StateCommit(Call, frozen=True):
    """Propose a whole new version made from version ``base``: the keys it set and removed.

    Concurrent versions are merged three ways; a key that both changed differently is a conflict.
    An ``exact`` one is not merged: what somebody else changed meanwhile, even to the same value, is
    a conflict, so that whoever made the new values from the old ones can make them again.
    """

    base: int
    changes: dict[str, Json]
    removed: tuple[str, ...] = ()
    exact: bool = False


class Send(Call, frozen=True):
    """A message to one stream; ``deadline_seconds`` from now it becomes a dead letter."""

    to: StreamId
    body: Json
    deadline_seconds: float | None = None

    in_words = "message to {0.to}"


class Broadcast(Call, frozen=True):
    """A message to every other stream that is not over."""

    body: Json
    deadline_seconds: float | None = None

    in_words = "message to all"


class ReadInbox(Call, frozen=True):
    """Hand me what I have not acknowledged, ``limit`` messages at most."""

    limit: int = 100


class Acknowledge(Call, frozen=True):
    """The message was dealt with."""

    message: Number

    in_words = "acknowledge message {0.message}"


class Requeue(Call, frozen=True):
    """Operator: deliver a dead letter once more."""

    message: Number

    in_words = "send {0.message} again"


class RequestResources(Call, frozen=True):
    """Ask for amounts of named resources; ``wait`` queues when they are not free."""

    amounts: dict[str, float]
    wait: bool = True


class ReleaseResources(Call, frozen=True):
    """Give amounts back."""

    amounts: dict[str, float]


class Arrive(Call, frozen=True):
    """The stream is at a convergence point and brings a value for the others.

    ``wait`` says that it goes on only when all the others have come; one that does not wait is
    never part of a deadlock.
    """

    point: PointId
    value: Json = None
    wait: bool = True


class Withdraw(Call, frozen=True):
    """Give a wait up: leave the queue of a lock or of resources, or a convergence point.

    An *abandoned* one was not given up by its stream: its client did not come back. What it brought
    to a point then still counts for the others, but it waits for nobody any more.
    """

    ticket: int
    is_abandoned: bool = False


class Checkpoint(Call, frozen=True):
    """Keep the workspace as it is now, as a version that can be restored."""

    label: str = ""


class StateRestore(Call, frozen=True, tag="restore"):
    """Bring the shared state back to a version, or to a checkpoint (without either: the last one).

    For a stream: what it has changed itself since then. For the operator: what ``stream`` has, or
    everything.
    """

    version: Number | None = None
    checkpoint: Number | None = None
    stream: StreamId = StreamId("")

    @property
    def words(self) -> str:
        to = "" if self.version is None else f" to version {self.version}"
        return f"restore the shared state{to}"


class Register(Call, frozen=True):
    """A stream that joins by itself, started outside with an operator's token."""

    id: StreamId
    capabilities: tuple[str, ...] = ()
    depends_on: tuple[StreamId, ...] = ()


class Leave(Call, frozen=True):
    """A stream that joined by itself is done."""

    has_succeeded: bool = True
    reason: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a call is answered: ``outcome`` is done, granted, waiting, offer, queued or refused.

    ``facts`` go onto the wire beside it, word for word.
    """

    outcome: str
    facts: dict[str, Json] = {}
