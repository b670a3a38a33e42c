"""What the operator asks of the engine in the verbs that streams use too, and how it is told."""

from __future__ import annotations

from uuid import uuid4

import msgspec

from anabranch.core.calls import Acknowledge, Broadcast, Caller, Requeue, Send, Unlock
from anabranch.core.ids import StreamId
from anabranch.core.inputs import (
    AllowViolation,
    ApproveRun,
    ChooseStrategy,
    Command,
    HandBack,
    RecoverStream,
    ResetBreaker,
    ResolveConflict,
    RetryStream,
    StopRun,
    StopStream,
    TellConflict,
)
from anabranch.core.json_values import Json
from anabranch.core.model.messages import OPERATOR
from anabranch.undecodable import UNDECODABLE

CALLER = Caller(OPERATOR, 0, is_operator=True)


def send(to: StreamId, text: str) -> Send:
    """Return the call that sends a message to one stream."""
    return Send(CALLER, _request(), to=to, body=body_of(text))


def broadcast(text: str) -> Broadcast:
    """Return the call that sends a message to every stream that is not over."""
    return Broadcast(CALLER, _request(), body=body_of(text))


def requeue(message: int) -> Requeue:
    """Return the call that sends a dead letter on its way again."""
    return Requeue(CALLER, _request(), message=message)


def acknowledge(message: int) -> Acknowledge:
    """Return the call that says that a message to the operator was dealt with."""
    return Acknowledge(CALLER, _request(), message=message)


def revoke(path: str) -> Unlock:
    """Return the call that takes a lock away from all who hold it."""
    return Unlock(CALLER, _request(), path=path)


def body_of(text: str) -> Json:
    """Return what is sent: the JSON value if somebody typed an object or a list, else the text."""
    text = text.strip()
    if text[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except UNDECODABLE:
            return text
    return text


def told(command: Command) -> str:
    """Return a command in words."""
    match command:
        case StopStream(stream=stream):
            return f"stop {stream}"
        case RetryStream(stream=stream):
            return f"retry {stream}"
        case RecoverStream(stream=stream, remedy=remedy):
            return f"{remedy} recovery of {stream}"
        case ResetBreaker(breaker=name):
            return f"close the breaker of {name}"
        case ChooseStrategy(kind=kind, strategy=name, point=point):
            return f"{name} as {kind}{f' at {point}' if kind == 'convergence' else ''}"
        case StopRun():
            return "stop the run"
        case ApproveRun():
            return "approve the result"
        case AllowViolation(stream=stream):
            return f"let the violations of {stream} be merged"
        case ResolveConflict(resolutions=made):
            return f"{made[0].path}: {made[0].choice}" if len(made) == 1 else "settle the conflict"
        case HandBack(stream=stream):
            return f"hand the conflict back to {stream}"
        case TellConflict(streams=(one, other)):
            return f"tell {one} and {other}"
        case Unlock(path=path):
            return f"take the lock of {path} away"
        case Send(to=to):
            return f"message to {to}"
        case Broadcast():
            return "message to all"
        case Acknowledge(message=message):
            return f"acknowledge message {message}"
        case Requeue(message=message):
            return f"send {message} again"
        case _:
            return type(command).__name__


def _request() -> str:
    return f"console-{uuid4().hex}"
