"""What one process asks of the one that hosts the run: the same commands, as files in a folder."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from anabranch.core.calls import (
    OPERATOR,
    Acknowledge,
    Broadcast,
    Heartbeat,
    Requeue,
    Send,
    StateRestore,
    Unlock,
)
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
from anabranch.core.model.outcome import Refusal
from anabranch.engine.requests import (
    STEERING,
    ask_host,
    await_answer,
    leave,
    pending,
    submit_pending,
)

A, B = StreamId("a"), StreamId("b")
OURS = Resolution(path="p", base=None, ours="1", theirs="2", choice="ours", blob="b")
COMMANDS: tuple[Command, ...] = (
    StopRun(reason="r"),
    StopStream(stream=A, reason="r"),
    RetryStream(stream=A, reason="r"),
    RecoverStream(stream=A, remedy="hard", reason="r"),
    ResetBreaker(breaker="pytest -q", reason="r"),
    ChooseStrategy(kind="convergence", strategy="x:y", point=PointId("final"), reason="r"),
    ChooseStrategy(kind="recovery", strategy="x:y", reason="r"),
    ApproveRun(),
    ApproveRun(allow_sensitive=True, onto="main"),
    AllowViolation(stream=A, path="p", reason="r"),
    AllowViolation(stream=A, reason="r"),
    ResolveConflict(resolutions=(OURS,), reason="r"),
    ResolveConflict(resolutions=(OURS, OURS), reason="r"),
    HandBack(stream=A, note="once more", reason="r"),
    TellConflict(streams=(A, B)),
    Unlock(OPERATOR, "u", path="src/"),
    Send(OPERATOR, "s", to=A, body={"need": [1, "two", None]}),
    Broadcast(OPERATOR, "b", body="hello"),
    Requeue(OPERATOR, "q", message=7),
    Acknowledge(OPERATOR, "k", message=7),
    StateRestore(OPERATOR, "r", version=3, stream=A),
    StateRestore(OPERATOR, "r"),
)


WORDS = (
    "stop the run",
    "stop a",
    "retry a",
    "hard recovery of a",
    "close the breaker of pytest -q",
    "x:y as convergence at final",
    "x:y as recovery",
    "approve the result",
    "approve the result",
    "let the violations of a be merged",
    "let the violations of a be merged",
    "p: ours",
    "settle the conflict",
    "hand the conflict back to a",
    "tell a and b",
    "take the lock of src/ away",
    "message to a",
    "message to all",
    "send 7 again",
    "acknowledge message 7",
    "restore the shared state to version 3",
    "restore the shared state",
)


def name_of(command: Command) -> str:
    return type(command).__name__


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_a_command_that_is_asked_for_is_the_command(tmp_path: Path, command: Command) -> None:
    """What a console beside the host asks for is what the host is told, word for word."""
    leave(tmp_path, command)
    assert [asked for _, asked in pending(tmp_path)] == [command]


def test_every_command_that_may_be_asked_for_is_tried_here_and_has_words() -> None:
    """The examples have them all, and the operator reads what each of them would do."""
    assert {type(command) for command in COMMANDS} == set(get_args(STEERING))
    assert tuple(command.words for command in COMMANDS) == WORDS


def test_what_only_streams_say_is_not_asked_for(tmp_path: Path) -> None:
    """A sign of life is a stream's own, and nothing is left for the host to find."""
    refusal = ask_host(tmp_path, Heartbeat(OPERATOR, "h"), 1.0)
    assert refusal is not None
    assert "only the console that hosts the run" in refusal.reason
    assert list(tmp_path.iterdir()) == []


UNREADABLE = {
    "a verb that nobody knows": b'{"verb":"explode"}',
    "as an earlier version wrote it": b'{"verb":"recover","stream":"a","path":"soft"}',
    "more than the verb takes": b'{"verb":"stop_run","reason":"r","path":"src/"}',
    "less than it takes": b'{"verb":"stop_stream"}',
    "a stream's own call": b'{"verb":"lock","caller":{"stream":"a","attempt":1},"request":"r"}',
    "by a stream": b'{"verb":"unlock","caller":{"stream":"a","attempt":1},"request":"r"}',
    "a negative number": b'{"verb":"requeue","caller":%s,"request":"r","message":-1}',
    "an endless number": b'{"verb":"requeue","caller":%s,"request":"r","message":'
    + b"9" * 5_000
    + b"}",
    "a word for a number": b'{"verb":"restore","caller":%s,"request":"r","version":"last"}',
    "nested without end": b'{"verb":"send","body":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    "no text": b'{"verb":"st\xffop"}',
    "nothing": b"",
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_heard(
    tmp_path: Path, content: bytes
) -> None:
    """Whatever is left in the folder: it is refused with a reason, and ends nothing."""
    operator = msgspec.json.encode(OPERATOR)
    (tmp_path / "00.request").write_bytes(content.replace(b"%s", operator))
    leave(tmp_path, StopRun(reason="r"))
    submitted: list[Command] = []

    def submit(command: Command) -> Future[Refusal | None]:
        submitted.append(command)
        return Future()

    submit_pending(tmp_path, set(), submit)
    assert submitted == [StopRun(reason="r")]
    answer = await_answer(tmp_path / "00.answer", 1.0)
    assert answer is not None
    assert answer.reason
    assert not (tmp_path / "00.request").exists()
