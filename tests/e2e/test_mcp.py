"""The MCP server: both ways of the protocol, every tool, and words that a model can act on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from anabranch.client import mcp as mcp_server
from anabranch.client import mcp_tools
from anabranch.engine.gateway import wire
from tests.engine.knocking import DEADLINE_SECONDS, Bench

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "lock": {"path": "src/"},
    "unlock": {"path": "src/"},
    "state_set": {"key": "k", "value": {"a": 1}},
    "state_get": {"key": "k"},
    "state_update": {"key": "k", "value": {"b": 2}},
    "state_commit": {"base": 0, "changes": {"m": 1}},
    "restore": {"version": 0},
    "send": {"to": "b", "body": "hello"},
    "broadcast": {"body": "hello"},
    "ack": {"id": 1},
    "requeue": {"id": 1},
    "request": {"resources": {"cpu_cores": 1}},
    "release": {"resources": {"cpu_cores": 1}},
    "arrive": {"point": "final"},
    "register": {"id": "guest"},
    "checkpoint": {"label": "x", "wait_seconds": 0},
    "ask": {"question": "x?", "wait_seconds": 0},
    "withdraw": {"ticket": "1"},
}
REFUSED_HERE = {"withdraw", "ack", "requeue", "register", "leave", "request", "release"}


class Client:
    """A client of a server process, in plain JSON-RPC."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.notified: list[dict[str, Any]] = []
        self._numbers = count(1)

    def send(self, **message: Any) -> None:
        """Send a message."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), DEADLINE_SECONDS)
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its response."""
        number = next(self._numbers)
        self.send(id=number, method=method, params=params)
        while True:
            message = await self.receive()
            if message.get("id") == number:
                return message
            self.notified.append(message)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        found = await self.ask("tools/call", name=tool, arguments=arguments)
        result: dict[str, Any] = found["result"]
        return result

    async def close(self) -> None:
        """Close its input and wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert await asyncio.wait_for(self.process.wait(), DEADLINE_SECONDS) == 0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give an open gateway before two running streams."""
    bench = Bench(tmp_path, "a", "b")
    await bench.open()
    yield bench
    await bench.close()


async def served(bench: Bench, name: str, **env: str) -> Client:
    """Return a client of a server that speaks for a stream."""
    program = str(bench.folder / "run" / "bin" / "anabranch-mcp")
    process = await asyncio.create_subprocess_exec(
        program,
        env={**os.environ, **bench.environment(name), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    return Client(process)


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    """Give a client of a server that speaks for stream ``a``."""
    client = await served(bench, "a")
    yield client
    await client.close()


def test_every_verb_is_a_tool_and_takes_what_the_wire_takes() -> None:
    """Tools and verbs are the same set, with the same arguments, and their schemas are sound."""
    tools: dict[str, Any] = {str(tool["name"]): tool for tool in mcp_tools.TOOLS}
    assert set(tools) == set(wire.VERBS)
    for name, tool in tools.items():
        schema = tool["inputSchema"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert set(schema["properties"]) == set(wire.arguments(wire.VERBS[name])), name
        jsonschema.validate(ARGUMENTS.get(name, {}), schema)
        assert tool["description"].endswith(".")


async def test_the_earlier_revisions_begin_with_initialize(client: Client) -> None:
    """A client of the handshake gets its own version, or the newest if we do not know its."""
    for version, agreed in (("2025-06-18",) * 2, ("2025-11-25",) * 2, ("1999-01-01", "2025-11-25")):
        found = await client.ask("initialize", protocolVersion=version, capabilities={})
        assert found["result"]["protocolVersion"] == agreed
        assert found["result"]["serverInfo"]["name"] == "anabranch"
    client.send(method="notifications/initialized")
    assert (await client.ask("ping"))["result"] == {}
    tools = (await client.ask("tools/list"))["result"]
    assert [tool["name"] for tool in tools["tools"]] == [t["name"] for t in mcp_tools.TOOLS]
    assert "ttlMs" not in tools


async def test_the_stateless_revision_names_its_version_each_time(client: Client) -> None:
    """Discovery, lists and calls carry what the current revision asks for; others are refused."""
    found = (await client.ask("server/discover", _meta=MODERN))["result"]
    assert found["supportedVersions"][0] == "2026-07-28"
    assert found["resultType"] == "complete"
    tools = (await client.ask("tools/list", _meta=MODERN))["result"]
    assert (tools["cacheScope"], tools["resultType"]) == ("public", "complete")
    called = await client.ask("tools/call", name="heartbeat", arguments={}, _meta=MODERN)
    assert called["result"]["structuredContent"]["ok"]
    future = {**MODERN, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    refused = (await client.ask("tools/list", _meta=future))["error"]
    assert (refused["code"], refused["data"]["supported"]) == (-32022, ["2026-07-28"])


async def test_every_tool_can_be_called(client: Client) -> None:
    """Each tool answers with words and the same as data, and says plainly when it was refused."""
    for tool in mcp_tools.TOOLS:
        name = str(tool["name"])
        result = await client.call(name, **ARGUMENTS.get(name, {}))
        answer = result["structuredContent"]
        assert "not served" not in str(answer.get("reason")), name
        assert result["isError"] is not answer["ok"], name
        assert result["content"][0]["text"], name
        assert answer["ok"] or name in REFUSED_HERE, (name, answer)
        assert "engine_fault" not in str(answer), name


async def test_a_refused_lock_tells_a_model_what_to_do(bench: Bench, client: Client) -> None:
    """Who holds it, how, how long already, and what to do instead."""
    await bench.ask("b", "lock", path="src/")
    refused = await client.call("lock", path="src/a.py")
    text = refused["content"][0]["text"]
    assert refused["isError"]
    assert "src/a.py is locked for writing by stream b (" in text
    assert "as src/)" in text
    assert "work on something else" in text
    assert "wait_seconds" in text
    waiting = await client.call("lock", path="src/a.py", wait_seconds=0.1)
    assert not waiting["isError"]
    assert f'"ticket": "{waiting["structuredContent"]["ticket"]}"' in waiting["content"][0]["text"]


async def test_others_are_served_while_a_call_waits(bench: Bench, client: Client) -> None:
    """A waiting call keeps neither a ping nor another call; it can be cancelled, or granted."""
    fence = (await bench.ask("b", "lock", path="x"))["fence"]
    client.send(id="w", method="tools/call", params=_lock("x", 40))
    client.send(id="v", method="tools/call", params=_lock("x", 40))
    assert (await client.ask("ping"))["result"] == {}
    assert (await client.call("heartbeat"))["structuredContent"]["ok"]
    client.send(method="notifications/cancelled", params={"requestId": "v"})
    assert (await client.ask("ping"))["result"] == {}
    await bench.ask("b", "unlock", fence=fence)
    granted = await client.receive()
    assert (granted["id"], granted["result"]["structuredContent"]["outcome"]) == ("w", "granted")


def _lock(path: str, seconds: float) -> dict[str, Any]:
    return {"name": "lock", "arguments": {"path": path, "wait_seconds": seconds}}


def test_progress_is_told_to_those_who_want_it() -> None:
    """With a token a waiting call says every few seconds that it goes on."""
    read, write = os.pipe()
    server = mcp_server.Server(0, write)
    call = mcp_server.Call("k", "lock", {"path": "x", "wait_seconds": 40}, False)
    server._tell_progress(call, 10.0)
    call.token = "t"
    server._tell_progress(call, 20.0)
    os.close(write)
    with open(read) as said:
        found = [json.loads(line) for line in said]
    assert [t["method"] for t in found] == ["notifications/progress"]
    assert (found[0]["params"]["progressToken"], found[0]["params"]["progress"]) == ("t", 20.0)


async def test_what_is_wrong_is_told_by_the_protocols_codes(client: Client) -> None:
    """Unknown methods and tools, broken JSON and wrong shapes get their codes; the server lives."""
    assert (await client.ask("resources/list"))["error"]["code"] == -32601
    assert (await client.ask("tools/call", name="nonsense"))["error"]["code"] == -32602
    assert (await client.ask("tools/call", name="lock", arguments=[1]))["error"]["code"] == -32602
    assert client.process.stdin is not None
    for line, code in ((b"{oops", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":1}', -32600)):
        client.process.stdin.write(line + b"\n")
        assert (await client.receive())["error"]["code"] == code
    hidden = await client.call("heartbeat", token="stolen", verb="lock")
    assert hidden["isError"]
    wrong = await client.call("lock", path=3)
    assert "argument 'path'" in wrong["content"][0]["text"]
    assert (await client.ask("ping"))["result"] == {}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": []}, -32602),
        ({"name": {"a": 1}}, -32602),
        ({"name": None}, -32602),
        ({"name": "heartbeat", "arguments": []}, -32602),
        ({"name": "lock", "arguments": {"path": "x", "wait_seconds": float("nan")}}, None),
        ({"name": "lock", "arguments": {"path": "x", "wait_seconds": -(10**400)}}, None),
        ({"name": "lock", "arguments": {"path": "x", "wait_seconds": 10**400}}, None),
        ({"name": "lock", "arguments": {"path": "\ud800"}}, None),
        ({"name": "heartbeat", "_meta": []}, None),
        ({"name": "heartbeat", "_meta": {"progressToken": [1]}}, None),
    ],
)
async def test_no_request_ends_the_session(client: Client, params: Any, code: int | None) -> None:
    """Whatever a client says, it gets an answer, and so does the next request."""
    answer = await client.ask("tools/call", **params)
    assert answer.get("error", {}).get("code") == code
    assert (await client.ask("ping"))["result"] == {}


async def test_no_nesting_ends_the_session(client: Client) -> None:
    """Neither in arguments nor anywhere else."""
    assert client.process.stdin is not None
    for deep in ("[" * 1_000 + "]" * 1_000, '{"a":' * 500 + "1" + "}" * 500, "[" * 200_000):
        call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + deep + "}"
        for frame in (deep, call):
            client.process.stdin.write(frame.encode() + b"\n")
    for _ in range(6):
        assert "error" in await client.receive()
    assert (await client.ask("ping"))["result"] == {}


async def test_without_a_socket_it_uses_the_spool(bench: Bench) -> None:
    """In a sandbox without sockets the tools go through files; without both they say so."""
    client = await served(bench, "a", ANABRANCH_SOCKET="/nowhere")
    assert (await client.call("lock", path="x"))["structuredContent"]["outcome"] == "granted"
    await client.close()
    client = await served(bench, "a", ANABRANCH_SOCKET="/nowhere", ANABRANCH_SPOOL="")
    alone = await client.call("lock", path="x")
    assert alone["isError"]
    assert "does not answer" in alone["content"][0]["text"]
    await client.close()


async def test_the_program_serves_the_same(bench: Bench) -> None:
    """``anabranch mcp`` is the same server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from anabranch_console.start import main; main()",
        "mcp",
        env={**os.environ, **bench.environment("a"), "PATH": os.environ["PATH"]},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    client = Client(process)
    assert (await client.call("heartbeat"))["structuredContent"]["ok"]
    await client.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- 2>&-"])
def test_without_anybody_to_serve_it_says_so(closed: str) -> None:
    """Started with its streams closed it ends in words, not in a traceback."""
    run = f'echo "{{}}" | "$0" -c "from anabranch_console.start import main; main()" mcp {closed}'
    answer = subprocess.run(["sh", "-c", run, sys.executable], capture_output=True, text=True)
    expected = "" if "2>" in closed else "anabranch mcp: there is no client on stdin and stdout"
    assert (answer.returncode, "Traceback" in answer.stderr) == (3, False), answer
    assert answer.stderr.startswith(expected)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_lists_and_calls_every_tool(bench: Bench, mode: str) -> None:
    """A client made with the official SDK works, in the current revision and in the previous."""
    mcp = pytest.importorskip("mcp")
    stdio = pytest.importorskip("mcp.client.stdio")
    program = str(bench.folder / "run" / "bin" / "anabranch-mcp")
    env = {**os.environ, **bench.environment("a")}
    server = stdio.stdio_client(mcp.StdioServerParameters(command=program, env=env))
    async with mcp.Client(server, mode=mode) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == set(wire.VERBS)
        for tool in listed.tools:
            result = await client.call_tool(tool.name, ARGUMENTS.get(tool.name, {}))
            assert result.structured_content is not None
            ok = result.structured_content["ok"]
            assert ok or tool.name in REFUSED_HERE, (tool.name, result)
