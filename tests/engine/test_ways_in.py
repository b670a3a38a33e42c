"""One verb set over every way in: the socket, the spool, MCP, ``ab-stream``, the Python clients.

The table is the wire's own (:data:`anabranch.engine.gateway.wire.VERBS`). Everything else is held
to it: a verb that is added there has to be added to every way, and to the examples here.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anabranch.client import AsyncClient, Client, ab_words, mcp_tools
from anabranch.client.verbs import Reply, Verbs
from anabranch.core.calls import OPERATOR, Call
from anabranch.core.deciding.decide import CALLS
from anabranch.engine.gateway import wire
from anabranch.engine.gateway.reads import READS
from tests.engine.knocking import DEADLINE_SECONDS, Bench

_AFTER_B = ["--depends-on", "b", "--dependencies", "b"]
EXAMPLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "heartbeat": (
        {"status": "busy", "progress": 0.5, "info": {"n": 1}},
        ["heartbeat", "--status", "busy", "--progress", "0.5", "--info", '{"n": 1}'],
    ),
    "lock": (
        {"path": "src/", "mode": "read", "wait_seconds": 1},
        ["lock", "src/", "--read", "--wait", "1"],
    ),
    "unlock": ({"path": "nothing"}, ["unlock", "nothing"]),
    "renew": ({}, ["renew"]),
    "locks": ({}, ["locks"]),
    "state_get": ({"key": "k", "version": 0}, ["state", "get", "k", "--version", "0"]),
    "state_set": (
        {"key": "k", "value": [1], "if_version": 9},
        ["state", "set", "k", "[1]", "--if-version", "9"],
    ),
    "state_update": (
        {"key": "k", "value": {"a": 1}, "if_version": 9},
        ["state", "update", "k", '{"a": 1}', "--if-version", "9"],
    ),
    "state_commit": (
        {"base": 0, "changes": {}, "removed": ["x"], "exact": True},
        ["state", "commit", "0", "{}", "--remove", "x", "--exact"],
    ),
    "state_log": (
        {"since": 0, "key": "k", "limit": 5},
        ["state", "log", "--since", "0", "--key", "k", "--limit", "5"],
    ),
    "send": (
        {"to": "b", "body": {"x": 1}, "deadline_seconds": 60},
        ["send", "b", "--json", '{"x": 1}', "--deadline", "60"],
    ),
    "broadcast": (
        {"body": "hello", "deadline_seconds": 60, "window_seconds": 5, "stamp": 7.5},
        ["broadcast", "hello", "--deadline", "60", "--window", "5", "--stamp", "7.5"],
    ),
    "inbox": (
        {"wait_seconds": 0.01, "limit": 3},
        ["inbox", "--wait", "0.01", "--limit", "3"],
    ),
    "ack": ({"id": 999}, ["ack", "999"]),
    "requeue": ({"id": 999}, ["requeue", "999"]),
    "request": (
        {"resources": {"db": 0.01}, "wait_seconds": 1},
        ["request", "db=0.01", "--wait", "1"],
    ),
    "release": ({"resources": {"db": 0.001}}, ["release", "db=0.001"]),
    "withdraw": ({"ticket": "999"}, ["withdraw", "999"]),
    "arrive": (
        {"point": "nowhere", "state": 1, "wait_seconds": 1},
        ["arrive", "nowhere", "--state", "1", "--wait", "1"],
    ),
    "checkpoint": (
        {"label": "before", "wait_seconds": 0.01},
        ["checkpoint", "before", "--wait", "0.01"],
    ),
    "ask": (
        {"question": "really?", "choices": ["yes", "no"], "wait_seconds": 0.01},
        ["ask", "really?", "--choice", "yes", "--choice", "no", "--wait", "0.01"],
    ),
    "prompt": ({"text": "your turn"}, ["prompt", "your", "turn"]),
    "restore": (
        {"version": 0, "stream": "a"},
        ["restore", "0", "--stream", "a"],
    ),
    "register": (
        {
            "id": "a",
            "capabilities": ["review"],
            "depends_on": ["b"],
            "dependencies": ["b"],
            "wait_seconds": 1,
        },
        ["register", "a", "--capability", "review", *_AFTER_B, "--wait", "1"],
    ),
    "leave": ({"has_succeeded": False, "reason": "no use"}, ["leave", "--failed", "no", "use"]),
    "streams": ({}, ["streams"]),
}
"""Each verb with (nearly) every argument that it takes, as JSON and as words of a shell."""

NOT_TOGETHER: dict[str, tuple[dict[str, Any], list[str]]] = {
    "lock": ({"mode": "write", "ticket": "9"}, ["lock", "--ticket", "9"]),
    "unlock": ({"fence": 9}, ["unlock", "--fence", "9"]),
    "request": ({"ticket": "9"}, ["request", "--ticket", "9"]),
    "arrive": ({"ticket": "9"}, ["arrive", "--ticket", "9"]),
    "checkpoint": ({"ticket": "9"}, ["checkpoint", "--ticket", "9"]),
    "ask": ({"ticket": "9"}, ["ask", "--ticket", "9"]),
    "restore": ({"checkpoint": 1}, ["restore", "--checkpoint", "1"]),
    "register": (
        {"ticket": "9", "capabilities": [], "depends_on": [], "dependencies": []},
        ["register", "--ticket", "9"],
    ),
}
"""The arguments that stand instead of others."""

Ask = Callable[[str], Awaitable[Reply]]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give an open gateway before two running streams."""
    bench = Bench(tmp_path, "a", "b")
    await bench.open()
    yield bench
    await bench.close()


def test_the_examples_have_every_verb_with_every_argument() -> None:
    """What follows is about all of them."""
    assert set(EXAMPLES) == set(wire.VERBS)
    for verb, kind in wire.VERBS.items():
        shown = set(EXAMPLES[verb][0]) | set(NOT_TOGETHER.get(verb, ({}, []))[0])
        assert shown == set(wire.arguments(kind)), verb
        request = wire.decode(msgspec.json.encode({"verb": verb, **EXAMPLES[verb][0]}))
        assert isinstance(wire.asked(request, OPERATOR, "r"), kind)


def test_whatever_the_core_decides_on_has_a_verb() -> None:
    """A call that no way in can make is one that nobody can make, and each one is answered."""
    assert set(CALLS) == {kind for kind in wire.VERBS.values() if issubclass(kind, Call)}
    assert set(READS) == {kind for kind in wire.VERBS.values() if issubclass(kind, wire.Read)}


@pytest.mark.parametrize("verb", wire.VERBS)
def test_a_command_line_can_say_all_of_it(verb: str) -> None:
    """Every verb, and every argument, from a shell."""
    for table in (EXAMPLES, NOT_TOGETHER):
        if verb in table:
            arguments, words = table[verb]
            found, frame = ab_words.frame_for(words[0], ab_words.Line(words[1:]))
            assert found == verb
            assert {name: json.loads(text) for name, text in frame.items()} == arguments


def test_no_way_has_a_verb_of_its_own() -> None:
    """Neither more nor less, under one name, with the same arguments."""
    assert {name.replace(" ", "_") for name in ab_words.MAKERS} == set(wire.VERBS)
    tools: dict[str, Any] = {str(tool["name"]): tool for tool in mcp_tools.TOOLS}
    assert set(tools) == set(wire.VERBS)
    methods = {name for name, _ in inspect.getmembers(Verbs, inspect.isfunction)}
    assert {name for name in methods if not name.startswith("_")} == set(wire.VERBS)
    for verb, kind in wire.VERBS.items():
        fields = set(wire.arguments(kind))
        assert set(tools[verb]["inputSchema"]["properties"]) == fields, verb
        assert set(inspect.signature(getattr(Verbs, verb)).parameters) - {"self"} == fields, verb


@pytest.mark.parametrize("verb", wire.VERBS)
def test_the_help_of_the_command_line_names_all_of_it(verb: str) -> None:
    """Every command, and every option that it takes."""
    for _, words in (table[verb] for table in (EXAMPLES, NOT_TOGETHER) if verb in table):
        command = " ".join(words[:2]) if words[0] == "state" else words[0]
        options = {word for word in words if word.startswith("--")} - {"--dependencies"}
        assert re.search(rf"(^|\s){command}(\s|$)", ab_words.USAGE), command
        assert [option for option in options if option not in ab_words.USAGE] == []


def test_a_tool_promises_no_more_than_its_call_takes() -> None:
    """Types are the same, and a schema allows nothing that the call's own bounds refuse."""
    kinds = [*wire.VERBS.values(), wire.Waiting]
    _, schemas = msgspec.json.schema_components(kinds)
    waiting = schemas["Waiting"]["properties"]
    for tool in mcp_tools.TOOLS:
        kind = wire.VERBS[str(tool["name"])]
        own = waiting | schemas[kind.__name__]["properties"]
        shown: Any = tool["inputSchema"]
        needed = {name for name, is_needed in wire.arguments(kind).items() if is_needed}
        assert needed >= set(shown.get("required", ())), tool["name"]
        for name, schema in shown["properties"].items():
            takes = own[name].get("anyOf", [own[name]])[0]
            assert _beyond(schema, takes) == {}, (tool["name"], name)


def _beyond(schema: dict[str, Any], takes: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema allows, by keyword, that another one does not."""
    same = ("type", "enum", "pattern", "exclusiveMinimum")
    beyond = {word: schema.get(word) for word in same if schema.get(word) != takes.get(word)}
    if schema.get("minimum", -1) < takes.get("minimum", -1):
        beyond["minimum"] = schema.get("minimum")
    if schema.get("maximum", math.inf) > takes.get("maximum", math.inf):
        beyond["maximum"] = schema.get("maximum")
    return beyond


@pytest.mark.parametrize("who", ["a", "operator"])
async def test_every_way_in_gives_the_same_answer(bench: Bench, who: str) -> None:
    """Asked over each way in turn, as a stream and as the operator."""
    async with _Ways(bench, who) as ways:
        for verb in wire.VERBS:
            record = {way: _gist(verb, await ask(verb)) for way, ask in ways.all().items()}
            assert len(set(record.values())) == 1, (verb, record)
            error = record["socket"][0]
            assert error in ("None", "not_allowed", "not_a_stream"), (verb, record)


def _gist(verb: str, reply: Reply) -> tuple[str, ...]:
    """What an answer comes to. Nobody takes checkpoints here, so only so many may wait for one."""
    error = str(reply.get("error"))
    return (error,) if verb == "checkpoint" else (error, reply.outcome)


class _Ways:
    """Every way in for one caller."""

    def __init__(self, bench: Bench, who: str) -> None:
        self._bench = bench
        self._who = who
        found = bench.environment("a")
        self._env = {**os.environ, **found, "ANABRANCH_TOKEN": bench.token(who)}
        self._client = Client(bench.socket_path, bench.token(who))
        self._aio = AsyncClient(bench.socket_path, bench.token(who))
        self._mcp: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> _Ways:
        self._mcp = await asyncio.create_subprocess_exec(
            str(self._bench.folder / "run" / "bin" / "anabranch-mcp"),
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()
        await self._aio.close()
        assert self._mcp is not None
        assert self._mcp.stdin is not None
        self._mcp.stdin.close()
        await asyncio.wait_for(self._mcp.wait(), DEADLINE_SECONDS)

    def all(self) -> dict[str, Ask]:
        """Return how to ask for a verb by its example, by way."""
        ways: dict[str, Ask] = {
            "socket": self._by_socket,
            "mcp": self._by_mcp,
            "ab-stream": self._by_command,
            "client": self._by_client,
            "async client": self._by_async_client,
        }
        return ways if self._who == "operator" else {**ways, "spool": self._by_spool}

    async def _by_socket(self, verb: str) -> Reply:
        return await self._bench.ask(self._who, verb, **EXAMPLES[verb][0])

    async def _by_spool(self, verb: str) -> Reply:
        frame = {"verb": verb, "token": self._bench.token(self._who), **EXAMPLES[verb][0]}
        spool = self._bench.spool(self._who)
        (spool / f"{verb}.new").write_text(json.dumps(frame), "utf-8")
        (spool / f"{verb}.new").rename(spool / f"{verb}.request")
        await self._bench.until((spool / f"{verb}.answer").exists)
        return Reply(json.loads((spool / f"{verb}.answer").read_bytes()))

    async def _by_mcp(self, verb: str) -> Reply:
        assert self._mcp is not None
        assert self._mcp.stdin is not None
        assert self._mcp.stdout is not None
        params = {"name": verb, "arguments": EXAMPLES[verb][0]}
        call = {"jsonrpc": "2.0", "id": verb, "method": "tools/call", "params": params}
        self._mcp.stdin.write(json.dumps(call).encode() + b"\n")
        line = await asyncio.wait_for(self._mcp.stdout.readline(), DEADLINE_SECONDS)
        return Reply(json.loads(line)["result"]["structuredContent"])

    async def _by_command(self, verb: str) -> Reply:
        program = str(self._bench.folder / "run" / "bin" / "ab-stream")
        process = await asyncio.create_subprocess_exec(
            program, *EXAMPLES[verb][1], env=self._env, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
        return Reply(json.loads(said))

    async def _by_client(self, verb: str) -> Reply:
        method: Callable[..., Reply] = getattr(self._client, verb)
        return await asyncio.to_thread(method, **EXAMPLES[verb][0])

    async def _by_async_client(self, verb: str) -> Reply:
        method: Callable[..., Awaitable[Reply]] = getattr(self._aio, verb)
        return await method(**EXAMPLES[verb][0])
