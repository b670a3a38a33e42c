"""What other programs ask of the engine that hosts a run: commands as they are, in files.

A program writes ``NAME.request`` (to a temporary name first, then renamed) and waits for
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
from functools import cache, partial
from itertools import islice
from pathlib import Path

import msgspec

from anabranch.core.calls import (
    OPERATOR,
    Acknowledge,
    Broadcast,
    Call,
    Requeue,
    Send,
    StateRestore,
    Unlock,
)
from anabranch.core.inputs import (
    AddNote,
    AddStream,
    AdoptStream,
    AllowViolation,
    AnswerQuestion,
    ApproveRun,
    ChooseStrategy,
    CloseRun,
    Command,
    HandBack,
    HandBackWork,
    LookAt,
    RecoverHandler,
    RecoverStream,
    RemoveNote,
    ReopenConflict,
    ResetBreaker,
    ResolveConflict,
    RetryStream,
    RewordStream,
    SendInput,
    StopRun,
    StopStream,
    TakeWork,
    TellConflict,
)
from anabranch.core.model.outcome import Postponed, Refusal, Unheard
from anabranch.engine.run_lock import RunLock, holder_of
from anabranch.errors import machine_errors
from anabranch.files import replace_whole, take_lock
from anabranch.paths import RunFolder
from anabranch.plain_files import NotPlain, read_if_there, read_plain
from anabranch.undecodable import UNDECODABLE

STOP_BY_NAME = ".stop-run"
LARGEST_REQUEST_BYTES = 64 * 1024
LARGEST_ANSWER_BYTES = 64 * 1024
MOST_ENTRIES = 8_192
NUMBER_DIGITS = 20
PATIENCE_SECONDS = 2.0
LOOK_FOR_HOST_SECONDS = 0.25

STEERING = (
    StopRun
    | AddStream
    | RewordStream
    | CloseRun
    | StopStream
    | RetryStream
    | AnswerQuestion
    | SendInput
    | LookAt
    | RecoverHandler
    | RecoverStream
    | ResetBreaker
    | ChooseStrategy
    | ApproveRun
    | AllowViolation
    | AdoptStream
    | ResolveConflict
    | ReopenConflict
    | HandBack
    | TakeWork
    | HandBackWork
    | AddNote
    | RemoveNote
    | TellConflict
    | Unlock
    | Send
    | Broadcast
    | Acknowledge
    | Requeue
    | StateRestore
)
"""The commands that may be asked for from beside the host."""


@cache
def _reader() -> msgspec.json.Decoder[Command]:
    """Make the decoder of all of them when the first comes, which in most runs is never."""
    return msgspec.json.Decoder(STEERING)


class Answer(msgspec.Struct, frozen=True):
    """None for done, else why it was refused (or cannot be noted yet) and what to do."""

    reason: str | None = None
    hint: str = ""
    is_postponed: bool = False


STOPPED_ALL_THE_SAME = Answer(
    "the disk is full: the run is being stopped all the same",
    "it says so itself once there is room",
    is_postponed=True,
)
NOT_ANSWERED = Answer(
    "whoever hosts the run does not answer",
    "it will do so when it wakes up; is it suspended?",
    is_postponed=True,
)


def ask_host(home: RunFolder, command: Command, timeout_seconds: float) -> Answer | None:
    """Ask whoever hosts a run; None if it left without having heard, and nothing was done.

    Raises WorldError.
    """
    if not isinstance(command, STEERING):
        return Answer("only the console that hosts the run can do that", "do it there")
    if len(msgspec.json.encode(command)) > LARGEST_REQUEST_BYTES:
        return Answer("that is too much to ask for at once", "do it in parts")
    place = leave(home.requests, command)
    if STOP_BY_NAME in place.name:
        return STOPPED_ALL_THE_SAME
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        answer = await_answer(place, LOOK_FOR_HOST_SECONDS)
        if answer is not None:
            return answer
        if _is_withdrawn(home, place):
            return None
    return NOT_ANSWERED


def _is_withdrawn(home: RunFolder, place: Path) -> bool:
    """Take a request back if nobody hosts the run; under its lock, so that no host hears it."""
    if holder_of(home.lock) is not None:
        return False
    lock = RunLock.acquire(home.lock)
    if lock is None:
        return False
    try:
        place.with_suffix(".request").unlink()
    except OSError:
        return False  # it was answered at the last moment
    finally:
        lock.release()
    return True


@machine_errors()
def leave(folder: Path, command: Command) -> Path:
    """Leave a command and return where its answer will appear. Raises WorldError."""
    folder.mkdir(mode=0o700, exist_ok=True)  # somebody may have removed it
    asked = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_lock(asked, PATIENCE_SECONDS)  # each gets its place in the order, the slow too
        last = max((_number(name) for name in _names(folder)), default=0)
        name = f"{last + 1:020d}-{secrets.token_hex(4)}"
        try:
            replace_whole(folder / f"{name}.request", msgspec.json.encode(command))
        except OSError as error:
            if not isinstance(command, StopRun) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
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


def pending(folder: Path, heard: Collection[Path] = ()) -> Iterator[tuple[Path, Command | Refusal]]:
    """Yield what is asked for, oldest first, with the path to give to :func:`answer`.

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
                yield path, StopRun(reason="stopped by you")
                continue
            yield path, _read(asked)
        except (NotPlain, *UNDECODABLE) as error:
            hint = "ask with the version of anabranch that hosts the run"
            yield path, Refusal(f"the request cannot be read: {error}", hint)
        except OSError:
            continue  # gone, or not to be read just now: it is looked at again


def _read(content: bytes) -> Command | Refusal:
    """Return the command in a file; what a stream asks for comes through the gateway."""
    command = _reader().decode(content)
    if isinstance(command, Call) and command.caller != OPERATOR:
        return Refusal("only the operator asks in this way", "a stream uses ab-stream")
    return command


def submit_pending(
    folder: Path, heard: set[Path], submit: Callable[[Command], Future[Refusal | None]]
) -> None:
    """Hand on what is asked for and was not heard before; each request gets its answer."""
    for path, command in pending(folder, heard):
        heard.add(path)
        if isinstance(command, Refusal):
            answer(path, command)
        else:
            submit(command).add_done_callback(partial(_pass_on, path))


def _pass_on(path: Path, done: Future[Refusal | None]) -> None:
    """Answer with what came of it; what a host leaves unheard stays for the next one."""
    if not done.cancelled() and not isinstance(done.result(), Unheard):
        answer(path, done.result())


def answer(request: Path, refusal: Refusal | None) -> None:
    """Answer a request and take it away; who gets no answer gives up by itself."""
    given = Answer()
    if refusal is not None:
        given = Answer(refusal.reason, refusal.hint, isinstance(refusal, Postponed))
    with contextlib.suppress(OSError):
        request.unlink(missing_ok=True)  # first, as that may give room for the answer
        replace_whole(request.with_suffix(".answer"), msgspec.json.encode(given))


def await_answer(path: Path, timeout_seconds: float) -> Answer | None:
    """Wait for an answer; None if there is none in time (the request then still stands)."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            content = read_if_there(path, LARGEST_ANSWER_BYTES)
            if content is None:
                time.sleep(0.02)
                continue
            found = msgspec.json.decode(content, type=Answer)
        except (OSError, *UNDECODABLE) as error:
            found = Answer(f"the answer cannot be read: {error}", "anabranch status tells the rest")
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return found
    return None
