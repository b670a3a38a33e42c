"""What one process asks of the one that hosts the run: the same commands, as files in a folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from anabranch.core.calls import Acknowledge, Broadcast, Heartbeat, Requeue, Send, Unlock
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
from anabranch.engine.requests import Request, command_for, leave, pending, request_for
from anabranch_console.operator_calls import CALLER

A, B = StreamId("a"), StreamId("b")
COMMANDS: tuple[Command, ...] = (
    StopRun(reason="r"),
    StopStream(stream=A, reason="r"),
    RetryStream(stream=A, reason="r"),
    RecoverStream(stream=A, remedy="hard", reason="r"),
    ResetBreaker(breaker="pytest -q", reason="r"),
    ChooseStrategy(kind="convergence", strategy="x:y", point=PointId("final"), reason="r"),
    ApproveRun(),
    ApproveRun(allow_sensitive=True, onto="main"),
    AllowViolation(stream=A, path="p", reason="r"),
    AllowViolation(stream=A, reason="r"),
    ResolveConflict(
        resolutions=(
            Resolution(path="p", base=None, ours="1", theirs="2", choice="ours", blob="b"),
        ),
        reason="r",
    ),
    HandBack(stream=A, note="once more", reason="r"),
    TellConflict(streams=(A, B)),
    Unlock(CALLER, "u", path="src/"),
    Send(CALLER, "s", to=A, body={"need": [1, "two", None]}),
    Broadcast(CALLER, "b", body="hello"),
    Requeue(CALLER, "q", message=7),
    Acknowledge(CALLER, "k", message=7),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_that_is_asked_for_is_the_command(command: Command) -> None:
    """What a console beside the host asks for is what the host is told, word for word."""
    request = request_for(command)
    assert request is not None
    read = msgspec.json.decode(msgspec.json.encode(request), type=Request)
    assert command_for(read) == command


def test_what_only_streams_say_is_no_request() -> None:
    """A sign of life is its own, and a number that is none is refused with words."""
    assert request_for(Heartbeat(CALLER, "h")) is None
    assert isinstance(command_for(Request("requeue", path="-1")), Refusal)


NO_NUMBERS = {"negative": "-1", "a sign": "²", "endless": "9" * 5_000, "a word": "first"}


@pytest.mark.parametrize("number", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_version_that_is_no_number_is_refused(number: str) -> None:
    """Whatever stands in its place: an endless number, or a word taken for "the latest"."""
    assert isinstance(command_for(Request("restore-state", path=number)), Refusal)


@pytest.mark.parametrize(
    "content",
    [b'{"verb": "send", "body": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", b'{"verb": "st\xffop"}'],
    ids=["nested without end", "no text"],
)
def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_heard(
    tmp_path: Path, content: bytes
) -> None:
    """Nothing that is left in the folder ends the hearing."""
    (tmp_path / "00.request").write_bytes(content)
    leave(tmp_path, Request("stop-run"))
    first, second = (asked for _, asked in pending(tmp_path))
    assert isinstance(first, Refusal)
    assert second == Request("stop-run")
