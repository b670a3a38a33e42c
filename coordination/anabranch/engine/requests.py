"""Requests from other commands to the engine that hosts a run, as files.

A command writes ``NAME.request`` (to a temporary name first, then renamed) and waits for
``NAME.answer``. Files need no open connection, survive either side's death, and a request that was
left while nobody hosted the run is found by the next host.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.core.events import Resolution
from anabranch.core.ids import PointId, StreamId
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
from anabranch.core.outcome import Refusal
from anabranch.errors import machine_errors

LARGEST_REQUEST_BYTES = 64 * 1024


class Request(msgspec.Struct, frozen=True):
    """What is asked for; :func:`command_for` knows the verbs."""

    verb: str
    reason: str = ""
    stream: str = ""
    path: str = ""
    resolutions: tuple[Resolution, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """None for done, else why it was refused and what to do."""

    reason: str | None = None
    hint: str = ""


def command_for(request: Request) -> Command | Refusal:
    """Return the command that a request means."""
    stream = StreamId(request.stream)
    match request.verb:
        case "stop-run":
            return StopRun(reason=request.reason)
        case "stop":
            return StopStream(stream=stream, reason=request.reason)
        case "retry":
            return RetryStream(stream=stream, reason=request.reason)
        case "recover":
            return RecoverStream(stream=stream, remedy=request.path, reason=request.reason)
        case "reset-breaker":
            return ResetBreaker(breaker=request.path, reason=request.reason)
        case "choose":
            point = PointId(request.stream)
            kind, _, name = request.path.partition(" ")
            return ChooseStrategy(kind=kind, strategy=name, point=point, reason=request.reason)
        case "approve":
            return ApproveRun()
        case "allow":
            path = request.path or None
            return AllowViolation(stream=stream, path=path, reason=request.reason)
        case "resolve":
            return ResolveConflict(resolutions=request.resolutions, reason=request.reason)
        case "hand-back":
            return HandBack(stream=stream, note=request.path, reason=request.reason)
        case "tell-conflict":
            return TellConflict(streams=(stream, StreamId(request.path)))
    known = (
        "stop-run, stop, retry, recover, reset-breaker, choose, approve, allow, resolve, "
        "hand-back, tell-conflict"
    )
    return Refusal(f"unknown request {request.verb!r}", f"this version knows {known}")


@machine_errors()
def leave(folder: Path, request: Request) -> Path:
    """Leave a request and return where its answer will appear. Raises WorldError."""
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    _write(folder / f"{name}.request", msgspec.json.encode(request))
    return folder / f"{name}.answer"


def pending(folder: Path) -> Iterator[tuple[Path, Request | Refusal]]:
    """Yield the requests that wait, oldest first, with the path to give to :func:`answer`."""
    try:
        names = sorted(e.name for e in os.scandir(folder) if e.name.endswith(".request"))
    except OSError:
        return
    for name in names:
        path = folder / name
        try:
            with open(path, "rb") as file:
                yield path, msgspec.json.decode(file.read(LARGEST_REQUEST_BYTES), type=Request)
        except (OSError, msgspec.MsgspecError) as error:
            yield path, Refusal(f"the request cannot be read: {error}", "try again")


def answer(request: Path, refusal: Refusal | None) -> None:
    """Answer a request and take it away; who gets no answer gives up by itself."""
    told = Answer(refusal.reason, refusal.hint) if refusal else Answer()
    with contextlib.suppress(OSError):
        _write(request.with_suffix(".answer"), msgspec.json.encode(told))
        request.unlink(missing_ok=True)


def await_answer(path: Path, timeout_seconds: float) -> Answer | None:
    """Wait for an answer; None if there is none in time (the request then still stands)."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Answer)
        except FileNotFoundError:
            time.sleep(0.02)
            continue
        path.unlink(missing_ok=True)
        return found
    return None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.rename(path)
