"""What the operator asks of the engine in the verbs that streams use too."""

from __future__ import annotations

from uuid import uuid4

import msgspec

from anabranch.core.calls import (
    OPERATOR,
    Acknowledge,
    Broadcast,
    Requeue,
    Send,
    StateRestore,
    Unlock,
)
from anabranch.core.ids import StreamId
from anabranch.core.json_values import Json
from anabranch.undecodable import UNDECODABLE


def send(to: StreamId, text: str) -> Send:
    """Return the call that sends a message to one stream."""
    return Send(OPERATOR, _request(), to=to, body=body_of(text))


def broadcast(text: str) -> Broadcast:
    """Return the call that sends a message to every stream that is not over."""
    return Broadcast(OPERATOR, _request(), body=body_of(text))


def requeue(message: int) -> Requeue:
    """Return the call that sends a dead letter on its way again."""
    return Requeue(OPERATOR, _request(), message=message)


def acknowledge(message: int) -> Acknowledge:
    """Return the call that says that a message to the operator was dealt with."""
    return Acknowledge(OPERATOR, _request(), message=message)


def revoke(path: str) -> Unlock:
    """Return the call that takes a lock away from all who hold it."""
    return Unlock(OPERATOR, _request(), path=path)


def restore(version: int, stream: StreamId | None) -> StateRestore:
    """Return the call that brings the shared state back to a version, for one stream or all."""
    return StateRestore(OPERATOR, _request(), version=version, stream=stream)


def body_of(text: str) -> Json:
    """Return what is sent: the JSON value if somebody typed an object or a list, else the text."""
    text = text.strip()
    if text[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except UNDECODABLE:
            return text
    return text


def _request() -> str:
    return f"console-{uuid4().hex}"
