"""A call that may wait outlives the engine it was put to: the next one is asked under its name.

The engine here is a socket that closes some connections unanswered, as a console that dies does.
"""

from __future__ import annotations

import asyncio
import json
import os
import posix
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.client import AsyncClient, Client, ab_stream, mcp
from anabranch.client.verbs import Reply, Unreachable

DEADLINE_SECONDS = 20.0
DEATHS = 3


class DyingEngine:
    """Hears every connection, and answers none of them until it has died some times."""

    def __init__(self, path: Path) -> None:
        self.frames: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any] | None] = [*[None] * DEATHS, {"outcome": "granted"}]
        """What it says to one connection after the other; None where it dies."""
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.settimeout(DEADLINE_SECONDS)
        self._door.bind(str(path))
        self._door.listen()
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def close(self) -> None:
        """Listen no more."""
        self._door.close()

    def _serve(self) -> None:
        while len(self.frames) < len(self.answers):
            try:
                connection = self._door.accept()[0]
            except OSError:
                return
            with connection, connection.makefile("rwb") as talk:
                self.frames.append(json.loads(talk.readline()))
                answer = self.answers[len(self.frames) - 1]
                if answer is not None:
                    whole = {**answer, "i": self.frames[-1].get("i"), "ok": True}
                    talk.write(json.dumps(whole, separators=(",", ":")).encode() + b"\n")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DyingEngine]:
    """Give an engine that dies, as the one of this process's environment; there is no spool."""
    path = tmp_path / "socket"
    for name, value in {"SOCKET": str(path), "TOKEN": "secret", "SPOOL": ""}.items():
        monkeypatch.setenv(f"ANABRANCH_{name}", value)
        monkeypatch.setitem(posix.environ, f"ANABRANCH_{name}".encode(), value.encode())
    engine = DyingEngine(path)
    yield engine
    engine.close()


def assert_asked_again(engine: DyingEngine, wait: float) -> None:
    """The same question, each time with what was left of its wait."""
    assert len({frame["request"] for frame in engine.frames}) == 1
    waits = [frame["wait_seconds"] for frame in engine.frames]
    assert len(waits) == DEATHS + 1
    assert waits == sorted(waits, reverse=True)
    assert waits[0] <= wait
    assert waits[-1] < wait


def test_a_command_that_waits_finds_the_next_engine(engine: DyingEngine) -> None:
    """Also one that waits for longer than a single call may."""
    reply = ab_stream.ask_until("lock", {"path": '"x"', "wait_seconds": "30"})
    assert ab_stream.exit_code(reply) == ab_stream.DONE
    assert_asked_again(engine, 30)


def test_a_command_that_does_not_wait_is_told_at_once(engine: DyingEngine) -> None:
    """Nobody who asked for no wait is made to."""
    with pytest.raises(ab_stream.Unreachable):
        ab_stream.ask_until("heartbeat", {})
    assert len(engine.frames) == 1


def test_an_inbox_is_read_until_the_time_is_up(
    engine: DyingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call waits for 45 seconds at the most; that nothing came so far ends no longer wait."""
    monkeypatch.setattr(ab_stream, "LONGEST_WAIT_SECONDS", 1.0)
    engine.answers = [{"messages": []}, None, {"messages": [{"id": 1}]}]
    reply = ab_stream.ask_until("inbox", {"wait_seconds": "30"})
    assert json.loads(reply)["messages"] == [{"id": 1}]
    first, second, third = (frame["request"] for frame in engine.frames)
    assert (first != second, second == third) == (True, True)


def test_a_python_client_waits_as_long_as_its_call(engine: DyingEngine) -> None:
    """However little patience it was given for calls that do not wait."""
    with Client(reconnect_seconds=0) as client:
        assert client.lock("x", wait_seconds=30).outcome == "granted"
    assert_asked_again(engine, 30)


async def test_an_awaited_client_waits_as_long_as_its_call(engine: DyingEngine) -> None:
    """The same for the asynchronous one."""
    async with AsyncClient(reconnect_seconds=0) as client:
        reply: Reply = await asyncio.wait_for(client.lock("x", wait_seconds=30), DEADLINE_SECONDS)
    assert reply.outcome == "granted"
    assert_asked_again(engine, 30)


def test_a_python_call_that_does_not_wait_has_the_clients_patience(engine: DyingEngine) -> None:
    """None, here."""
    with Client(reconnect_seconds=0) as client, pytest.raises(Unreachable):
        client.heartbeat()


def test_a_tool_call_that_waits_finds_the_next_engine(engine: DyingEngine) -> None:
    """An agent's session and its call go on when a console dies and comes back."""
    call = {"name": "lock", "arguments": {"path": "x", "wait_seconds": 30}}
    meta = {"io.modelcontextprotocol/protocolVersion": mcp.MODERN[0]}
    found = _session("tools/call", {**call, "_meta": meta})
    assert found["result"]["structuredContent"]["outcome"] == "granted"
    assert_asked_again(engine, 30)


def test_a_tool_call_that_does_not_wait_is_told_at_once(engine: DyingEngine) -> None:
    """With what an agent can do now."""
    meta = {"io.modelcontextprotocol/protocolVersion": mcp.MODERN[0]}
    found = _session("tools/call", {"name": "heartbeat", "arguments": {}, "_meta": meta})
    assert found["result"]["structuredContent"]["error"] == "unreachable"
    assert len(engine.frames) == 1


def _session(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask a server of the protocol one thing, in a process of its own, and return its answer."""
    process = subprocess.Popen(
        [sys.executable, "-m", "anabranch.client.mcp"],
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        record: dict[str, Any] = json.loads(process.stdout.readline())
        process.stdin.close()
    return record
