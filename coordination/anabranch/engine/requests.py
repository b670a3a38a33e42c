"""Requests from other commands to the engine that hosts a run, as files.

A command writes ``NAME.request`` (to a temporary name first, then renamed) and waits for
``NAME.answer``. Files need no open connection, survive either side's death, and a request that was
left while nobody hosted the run is found by the next host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from anabranch.core.calls import Acknowledge, Broadcast, Caller, Requeue, Send, StateRestore, Unlock
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
from anabranch.core.model.messages import OPERATOR
from anabranch.core.model.outcome import Postponed, Refusal
from anabranch.errors import machine_errors
from anabranch.files import replace_whole, take_lock
from anabranch.plain_files import NotPlain, read_if_there, read_plain
from anabranch.undecodable import UNDECODABLE

STOP_BY_NAME = ".stop-run"
LARGEST_REQUEST_BYTES = 64 * 1024
LARGEST_ANSWER_BYTES = 64 * 1024
MOST_ENTRIES = 8_192
NUMBER_DIGITS = 20
PATIENCE_SECONDS = 2.0


class Request(msgspec.Struct, frozen=True):
    """What is asked for; :func:`command_for` knows the verbs."""

    verb: str
    reason: str = ""
    stream: str = ""
    path: str = ""
    resolutions: tuple[Resolution, ...] = ()
    allow_sensitive: bool = False
    onto: str | None = None
    body: Any = None
    id: str = ""


class Answer(msgspec.Struct, frozen=True):
    """None for done, else why it was refused (or cannot be noted yet) and what to do."""

    reason: str | None = None
    hint: str = ""
    is_postponed: bool = False


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
        case "restore-state":
            return _restore_for(request)
        case "approve":
            return ApproveRun(allow_sensitive=request.allow_sensitive, onto=request.onto)
        case "allow":
            path = request.path or None
            return AllowViolation(stream=stream, path=path, reason=request.reason)
        case "resolve":
            return ResolveConflict(resolutions=request.resolutions, reason=request.reason)
        case "hand-back":
            return HandBack(stream=stream, note=request.path, reason=request.reason)
        case "tell-conflict":
            return TellConflict(streams=(stream, StreamId(request.path)))
        case "revoke" | "send" | "broadcast" | "requeue" | "acknowledge":
            return _call_for(request)
    known = (
        "stop-run, stop, retry, recover, reset-breaker, choose, restore-state, approve, allow, "
        "resolve, hand-back, tell-conflict, revoke, send, broadcast, requeue, acknowledge"
    )
    return Refusal(f"unknown request {request.verb!r}", f"this version knows {known}")


def _call_for(request: Request) -> Command | Refusal:
    """Return the call of the operator's that a request means; asked twice, it is done once."""
    caller, name = Caller(OPERATOR, 0, is_operator=True), request.id or secrets.token_hex(16)
    match request.verb:
        case "revoke":
            return Unlock(caller, name, path=request.path)
        case "send":
            return Send(caller, name, to=StreamId(request.stream), body=request.body)
        case "broadcast":
            return Broadcast(caller, name, body=request.body)
    message = _whole_number(request.path)
    if message is None:
        return _no_number_of("a message", request, "anabranch messages has them")
    if request.verb == "acknowledge":
        return Acknowledge(caller, name, message=message)
    return Requeue(caller, name, message=message)


def _restore_for(request: Request) -> Command | Refusal:
    version = _whole_number(request.path)
    if request.path and version is None:
        return _no_number_of("a version", request, "anabranch state log has them")
    return StateRestore(
        caller=Caller(StreamId(""), 0, True),
        request=f"restore.{secrets.token_hex(8)}",
        version=version,
        stream=StreamId(request.stream),
    )


def _no_number_of(what: str, request: Request, hint: str) -> Refusal:
    return Refusal(f"{request.path[:64]!r} is not the number of {what}", hint)


def _whole_number(text: str) -> int | None:
    """Return a number as the journal counts them; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def request_for(command: Command) -> Request | None:
    """Return what asks the host of a run for a command; None for what nobody else may ask."""
    match command:
        case StopRun(reason=reason):
            return Request("stop-run", reason)
        case StopStream(stream=stream, reason=reason):
            return Request("stop", reason, stream)
        case RetryStream(stream=stream, reason=reason):
            return Request("retry", reason, stream)
        case RecoverStream(stream=stream, remedy=remedy, reason=reason):
            return Request("recover", reason, stream, remedy)
        case ResetBreaker(breaker=name, reason=reason):
            return Request("reset-breaker", reason, path=name)
        case ChooseStrategy(kind=kind, strategy=name, point=point, reason=reason):
            return Request("choose", reason, point, f"{kind} {name}")
        case ApproveRun():
            allows, onto = command.allow_sensitive, command.onto
            return Request("approve", allow_sensitive=allows, onto=onto)
        case AllowViolation(stream=stream, path=path, reason=reason):
            return Request("allow", reason, stream, path or "")
        case ResolveConflict(resolutions=made, reason=reason):
            return Request("resolve", reason, resolutions=made)
        case HandBack(stream=stream, note=note, reason=reason):
            return Request("hand-back", reason, stream, note)
        case TellConflict(streams=(one, other)):
            return Request("tell-conflict", "", one, other)
        case Unlock(path=str(path), request=name):
            return Request("revoke", path=path, id=name)
        case Send(to=to, body=body, request=name):
            return Request("send", stream=to, body=body, id=name)
        case Broadcast(body=body, request=name):
            return Request("broadcast", body=body, id=name)
        case Acknowledge(message=message, request=name):
            return Request("acknowledge", path=str(message), id=name)
        case Requeue(message=message, request=name):
            return Request("requeue", path=str(message), id=name)
    return None


def ask_host(folder: Path, request: Request, timeout_seconds: float) -> Refusal | None:
    """Ask whoever hosts a run, and return the refusal if there is one. Raises WorldError."""
    if len(msgspec.json.encode(request)) > LARGEST_REQUEST_BYTES:
        return Refusal("that is too much to ask for at once", "do it in parts")
    answer = await_answer(leave(folder, request), timeout_seconds)
    if answer is None:
        return Refusal(
            "whoever hosts the run does not answer",
            "it will do so when it wakes up; is it suspended?",
        )
    return Refusal(answer.reason, answer.hint) if answer.reason is not None else None


@machine_errors()
def leave(folder: Path, request: Request) -> Path:
    """Leave a request and return where its answer will appear. Raises WorldError."""
    folder.mkdir(mode=0o700, exist_ok=True)  # somebody may have removed it
    asked = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_lock(asked, PATIENCE_SECONDS)  # each gets its place in the order, the slow too
        last = max((_number(name) for name in _names(folder)), default=0)
        name = f"{last + 1:020d}-{secrets.token_hex(4)}"
        try:
            replace_whole(folder / f"{name}.request", msgspec.json.encode(request))
        except OSError as error:
            if request.verb != "stop-run" or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            name += STOP_BY_NAME
            _leave_empty(folder, folder / f"{name}.request")
    finally:
        os.close(asked)
    return folder / f"{name}.answer"


def _leave_empty(folder: Path, request: Path) -> None:
    """Leave an empty file: it needs no room, and no new file either if there is a spare one."""
    try:
        request.touch(exist_ok=False)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        try:
            os.rename(_spare(folder), request)
        except OSError:
            raise error from None


def keep_spare(folder: Path) -> None:
    """Have an empty file ready, by which a run can be stopped when no file can be made."""
    with contextlib.suppress(OSError):
        _spare(folder).touch()


def _spare(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.spare")


def _names(folder: Path) -> list[str]:
    """Return the names of the requests that wait, in the order in which they were left."""
    with os.scandir(folder) as entries:
        some = islice(entries, MOST_ENTRIES)
        return sorted(e.name for e in some if e.name.endswith(".request"))


def _number(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() and len(number) == NUMBER_DIGITS else 0


def pending(folder: Path, heard: Collection[Path] = ()) -> Iterator[tuple[Path, Request | Refusal]]:
    """Yield the requests that wait, oldest first, with the path to give to :func:`answer`.

    Those ``heard`` before are passed over.
    """
    try:
        names = _names(folder)
    except OSError:
        return
    for path in (folder / name for name in names):
        if path in heard:
            continue
        try:
            asked = read_plain(path, LARGEST_REQUEST_BYTES)
            if not asked and path.stem.endswith(STOP_BY_NAME):
                yield path, Request("stop-run", "stopped by you")
                continue
            yield path, msgspec.json.decode(asked, type=Request)
        except (NotPlain, *UNDECODABLE) as error:
            yield path, Refusal(f"the request cannot be read: {error}", "try again")
        except OSError:
            continue  # gone, or not to be read just now: it is looked at again


def hear(
    folder: Path, heard: set[Path], submit: Callable[[Command], Future[Refusal | None]]
) -> None:
    """Hand on what is asked for and was not heard before; each request gets its answer."""
    for path, request in pending(folder, heard):
        heard.add(path)
        command = request if isinstance(request, Refusal) else command_for(request)
        if isinstance(command, Refusal):
            answer(path, command)
        else:
            submit(command).add_done_callback(partial(_pass_on, path))


def _pass_on(path: Path, done: Future[Refusal | None]) -> None:
    if not done.cancelled():
        answer(path, done.result())


def answer(request: Path, refusal: Refusal | None) -> None:
    """Answer a request and take it away; who gets no answer gives up by itself."""
    told = Answer()
    if refusal is not None:
        told = Answer(refusal.reason, refusal.hint, isinstance(refusal, Postponed))
    with contextlib.suppress(OSError):
        request.unlink(missing_ok=True)  # first, as that may give room for the answer
        replace_whole(request.with_suffix(".answer"), msgspec.json.encode(told))


def await_answer(path: Path, timeout_seconds: float) -> Answer | None:
    """Wait for an answer; None if there is none in time (the request then still stands)."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            told = read_if_there(path, LARGEST_ANSWER_BYTES)
            if told is None:
                time.sleep(0.02)
                continue
            found = msgspec.json.decode(told, type=Answer)
        except (OSError, *UNDECODABLE) as error:
            found = Answer(f"the answer cannot be read: {error}", "anabranch status tells the rest")
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return found
    return None
