"""What one process asks of the one that hosts the run: the same commands, as files in a folder."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
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
from anabranch.core.events import Resolution, ReviewNote
from anabranch.core.ids import PointId, Seq, StreamId
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
from anabranch.core.model.outcome import Refusal, Unheard
from anabranch.engine import requests
from anabranch.engine.requests import (
    STEERING,
    answer,
    ask_host,
    await_answer,
    leave,
    pending,
    submit_pending,
)
from anabranch.engine.run_lock import RunLock
from anabranch.paths import RunFolder
from anabranch.testing import stream
from tests.e2e.program import until

A, B = StreamId("a"), StreamId("b")
OURS = Resolution(path="p", base=None, ours="1", theirs="2", choice="ours", blob="b")
COMMANDS: tuple[Command, ...] = (
    StopRun(reason="r"),
    AddStream(stream=stream("new")),
    RewordStream(stream=stream("a"), reason="r"),
    CloseRun(reason="r"),
    AnswerQuestion(stream=A, answer="yes", question=Seq(3)),
    SendInput(stream=A, text="go on", request="q"),
    LookAt(streams=(A,)),
    StopStream(stream=A, reason="r"),
    RetryStream(stream=A, reason="r"),
    RecoverStream(stream=A, remedy="hard", reason="r"),
    RecoverHandler(stream=A, handler=3, reason="r"),
    ResetBreaker(breaker="pytest -q", reason="r"),
    ChooseStrategy(kind="convergence", strategy="x:y", point=PointId("final"), reason="r"),
    ChooseStrategy(kind="recovery", strategy="x:y", reason="r"),
    ApproveRun(),
    ApproveRun(allow_sensitive=True, onto="main"),
    AllowViolation(stream=A, path="p", reason="r"),
    AllowViolation(stream=A, reason="r"),
    AdoptStream(stream=A, reason="r"),
    ResolveConflict(resolutions=(OURS,), reason="r"),
    ResolveConflict(resolutions=(OURS, OURS), reason="r"),
    ReopenConflict(resolutions=(OURS,), reason="r"),
    HandBack(stream=A, note="once more", reason="r"),
    TellConflict(streams=(A, B)),
    TakeWork(stream=A, commit="c"),
    HandBackWork(stream=A, commit="c", note="once more"),
    AddNote(stream=A, note=ReviewNote(path="p", text="why?")),
    RemoveNote(stream=A, note=Seq(3)),
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
    "add new",
    "edit a and try it again",
    "close the run",
    "answer a",
    "input for a",
    "looked at a",
    "stop a",
    "retry a",
    "hard recovery of a",
    "try handler 3 of a again",
    "close the breaker of pytest -q",
    "x:y as convergence at final",
    "x:y as recovery",
    "approve the result",
    "approve the result",
    "let the violations of a be merged",
    "let the violations of a be merged",
    "adopt a",
    "p: ours",
    "settle the conflict",
    "p: decide again",
    "hand the conflict back to a",
    "tell a and b",
    "take the work of a",
    "hand the work of a back",
    "note on a",
    "remove a note on a",
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
    answer = ask_host(RunFolder(tmp_path), Heartbeat(OPERATOR, "h"), 1.0)
    assert answer is not None
    assert "only the console that hosts the run" in str(answer.reason)
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


STOP = StopRun(reason="r")
PATIENCE_SECONDS = 60.0


@pytest.fixture
def home(tmp_path: Path) -> RunFolder:
    """Give the folder of a run."""
    return RunFolder(tmp_path)


def hosted(home: RunFolder) -> RunLock:
    lock = RunLock.acquire(home.lock)
    assert lock is not None
    return lock


def asking(home: RunFolder, pool: ThreadPoolExecutor) -> Future[requests.Answer | None]:
    """Ask the host in another thread; returns once the request is there."""
    asked = pool.submit(ask_host, home, STOP, PATIENCE_SECONDS)
    until(lambda: home.requests.exists() and list(pending(home.requests)), "it is asked")
    return asked


def test_a_host_that_leaves_without_hearing_is_not_waited_for(home: RunFolder) -> None:
    """Who asked does it another way; and the next host does not do it once more."""
    lock = hosted(home)
    with ThreadPoolExecutor() as pool:
        asked = asking(home, pool)
        lock.release()
        assert asked.result() is None
    assert list(pending(home.requests)) == []


def test_what_a_host_does_not_come_to_is_not_answered(home: RunFolder) -> None:
    """It was handed on and left lying: that is no refusal, whoever hosts next can do it."""
    lock = hosted(home)
    with ThreadPoolExecutor() as pool:
        asked = asking(home, pool)
        waits: Future[Refusal | None] = Future()
        submit_pending(home.requests, set(), lambda _: waits)
        waits.set_result(Unheard("the engine has stopped", "resume"))
        lock.release()
        assert asked.result() is None


def test_a_host_that_answers_last_and_leaves_has_answered(home: RunFolder) -> None:
    """The answer counts, however soon after it the host is gone."""
    lock = hosted(home)
    with ThreadPoolExecutor() as pool:
        asked = asking(home, pool)
        for path, _ in pending(home.requests):
            answer(path, Refusal("no", "why"))
        lock.release()
        assert asked.result() == requests.Answer("no", "why")


def test_a_host_that_hangs_is_not_waited_for_without_end(home: RunFolder) -> None:
    """It still hosts: the request stands, and who asked is told."""
    lock = hosted(home)
    said = ask_host(home, STOP, 0.01)
    assert said is not None
    assert said.is_postponed
    assert [asked for _, asked in pending(home.requests)] == [STOP]
    lock.release()
