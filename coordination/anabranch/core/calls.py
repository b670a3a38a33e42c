"""What a stream, or an operator, may ask of the engine while it runs.

One verb set, many transports. A call comes from *somebody* (:class:`Caller`) and carries a request
id. Asked again with the same id it gets the same answer and nothing happens twice, so a client that
lost its connection just asks again. Calls that only read are answered from the published state and
never come here.

A call is written once, here: its tag is the verb, its fields are the arguments with their bounds,
under the names that clients use. The gateway checks what it reads against them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from anabranch.core.ids import Attempt, LockMode, PointId, StreamId
from anabranch.core.inputs import Command
from anabranch.core.json_values import Json

Name = Annotated[str, Meta(min_length=1, max_length=200)]
StreamName = Annotated[StreamId, Meta(min_length=1, max_length=200)]
PointName = Annotated[PointId, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2_000)]
Key = Annotated[str, Meta(min_length=1, max_length=1_000)]
Path = Annotated[str, Meta(min_length=1, max_length=4_096)]
Choice = Annotated[str, Meta(min_length=1, max_length=200)]
Number = Annotated[int, Meta(ge=0)]
Amounts = Annotated[dict[Name, Annotated[float, Meta(gt=0)]], Meta(min_length=1, max_length=64)]


class Caller(msgspec.Struct, frozen=True, gc=False):
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


class WaitingCall(Call, frozen=True, kw_only=True):
    """A call that may be answered ``waiting``, with a ticket to go on with.

    Without ``wait`` nothing is queued: what is not there at once is refused, or less is offered.
    """

    wait: bool = True


class Heartbeat(Call, frozen=True):
    """I am alive. Journalled when it says something new, and every few seconds when it does not.

    ``info`` is whatever else the stream wants to be seen, by name.
    """

    status: Text | None = None
    progress: Annotated[float, Meta(ge=0, le=1)] | None = None
    info: dict[str, Json] | None = None


class Renew(Call, frozen=True):
    """Keep my locks. No sign of life: a program sends it on behalf of another one that it runs."""


class Lock(WaitingCall, frozen=True):
    """A lease on a path, a folder (ends in ``/``) or a glob."""

    path: Path
    mode: LockMode = "write"


class Unlock(Call, frozen=True):
    """Give a lease back, by its path or its fence."""

    path: Path | None = None
    fence: Number | None = None

    in_words = "take the lock of {0.path} away"

    def __post_init__(self) -> None:
        if self.path is None and self.fence is None:
            raise ValueError("say which lock, by 'path' or by 'fence'")


class StateSet(Call, frozen=True):
    """Set a key of the shared state; with ``if_version`` only if the key still has that version."""

    key: Key
    value: Json
    if_version: Number | None = None


class StateUpdate(Call, frozen=True):
    """Merge an object into the object under a key, field by field."""

    key: Key
    value: dict[str, Json]
    if_version: Number | None = None


class StateCommit(Call, frozen=True):
    """Propose a whole new version made from version ``base``: the keys it set and removed.

    Concurrent versions are merged three ways; a key that both changed differently is a conflict.
    An ``exact`` one is not merged: what somebody else changed meanwhile, even to the same value, is
    a conflict, so that whoever made the new values from the old ones can make them again.
    """

    base: Number
    changes: dict[str, Json] = field(default_factory=dict)
    removed: tuple[Key, ...] = ()
    exact: bool = False


class Send(Call, frozen=True):
    """A message to one stream; ``deadline_seconds`` from now it becomes a dead letter."""

    to: StreamName
    body: Json
    deadline_seconds: Annotated[float, Meta(gt=0)] | None = None

    in_words = "message to {0.to}"


class Broadcast(Call, frozen=True):
    """A message to every other stream that is not over.

    With a window it is a timed event: held until all are past its window, of so many seconds, and
    sent with the others of that in the order of their stamps. The ``stamp`` is when it was, in
    seconds since 1970; without one that is now.
    """

    body: Json
    deadline_seconds: Annotated[float, Meta(gt=0)] | None = None
    window_seconds: Annotated[float, Meta(ge=0.01, le=86400)] | None = None
    stamp: Annotated[float, Meta(ge=0, le=1e11)] | None = None

    in_words = "message to all"


class ReadInbox(Call, frozen=True, tag="inbox"):
    """Hand me what I have not acknowledged, ``limit`` messages at most."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class Acknowledge(Call, frozen=True, tag="ack"):
    """The message was dealt with."""

    message: Number = field(name="id")

    in_words = "acknowledge message {0.message}"


class Requeue(Call, frozen=True):
    """Operator: deliver a dead letter once more."""

    message: Number = field(name="id")

    in_words = "send {0.message} again"


class RequestResources(WaitingCall, frozen=True, tag="request"):
    """Ask for amounts of named resources."""

    amounts: Amounts = field(name="resources")


class ReleaseResources(Call, frozen=True, tag="release"):
    """Give amounts back."""

    amounts: Amounts = field(name="resources")


class Arrive(WaitingCall, frozen=True):
    """The stream is at a convergence point and brings a value for the others.

    With ``wait`` it goes on only when all the others have come; one that does not wait is never
    part of a deadlock.
    """

    point: PointName
    value: Json = field(default=None, name="state")


class Withdraw(Call, frozen=True):
    """Give a wait up: leave the queue of a lock or of resources, or a convergence point.

    An *abandoned* one was not given up by its stream: its client did not come back. What it brought
    to a point then still counts for the others, but it waits for nobody any more.
    """

    ticket: Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
    is_abandoned: bool = False

    @property
    def number(self) -> int:
        """The number of the event by which the wait began."""
        return int(self.ticket)


class Checkpoint(WaitingCall, frozen=True):
    """Keep the workspace as it is now, as a version that can be restored."""

    label: Annotated[str, Meta(max_length=200)] = ""


class Ask(WaitingCall, frozen=True):
    """Ask the operator something; with ``choices`` the answer is one of them.

    The question is put whether or not its client waits, and stands until it is answered.
    """

    question: Annotated[str, Meta(min_length=1, max_length=2_000)]
    choices: Annotated[tuple[Choice, ...], Meta(max_length=32)] = ()

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ValueError("the question is empty")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("two choices are the same")


class Prompt(Call, frozen=True):
    """I wait at my terminal for a line of a person; without a ``text``, I do not any more."""

    text: Annotated[str, Meta(max_length=200)] = ""


class StateRestore(Call, frozen=True, tag="restore"):
    """Bring the shared state back to a version, or to a checkpoint (without either: the last one).

    For a stream: what it has changed itself since then. For the operator: what ``stream`` has, or
    everything.
    """

    version: Number | None = None
    checkpoint: Number | None = None
    stream: StreamName | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.checkpoint is not None:
            raise ValueError("either a version or a checkpoint, not both")

    @property
    def words(self) -> str:
        to = "" if self.version is None else f" to version {self.version}"
        return f"restore the shared state{to}"


class Register(WaitingCall, frozen=True):
    """A stream that joins by itself, started outside with an operator's token.

    ``dependencies`` is another name for ``depends_on``.
    """

    id: StreamName
    capabilities: tuple[Name, ...] = ()
    depends_on: tuple[StreamName, ...] = ()
    dependencies: tuple[StreamName, ...] = ()

    @property
    def needs(self) -> tuple[StreamId, ...]:
        """The streams that have to succeed first, by whichever name they were given."""
        return self.depends_on + self.dependencies


class Leave(Call, frozen=True):
    """A stream that joined by itself is done."""

    has_succeeded: bool = True
    reason: Text = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a call is answered: ``outcome`` is done, granted, waiting, offer, queued or refused.

    ``facts`` go onto the wire beside it, word for word.
    """

    outcome: str
    facts: dict[str, Json] = {}
