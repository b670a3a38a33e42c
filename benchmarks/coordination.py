"""What a heartbeat, a lock and a change of shared state cost, beside Redis and PostgreSQL.

Clients in a process of their own ask as fast as they are answered, all over unix sockets and all
with the same code. A run of ours is the real program with streams that have joined it. An answer of
ours has survived the end of the process, and survives a power cut moments later, which is what
Redis promises with ``everysec`` (within a second); with ``always`` each answer has reached the
disk. PostgreSQL's advisory locks are never on the disk at all, and each client costs it a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import servers
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Row, Table, figure, in_turns, timed
from benchmarks.servers import MOST_POSTGRES_CLIENTS, OurRun

CLIENTS = (1, 100, 1000)
SECONDS = {1: 0.3, 100: 0.4, 1000: 0.7}
REPEATS = 3
BUDGET_SECONDS = 5.0
STARTS = 7
START_BUDGET_SECONDS = 5.0
SDK_VARIABLE = "ANABRANCH_MCP_SDK_PYTHON"

_CALLERS = Path(__file__).with_name("callers.py")
_UNLOCK = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end return 0"
_UPDATE = (
    "local v=redis.call('incr','version') redis.call('hset','state',KEYS[1],ARGV[1]) "
    "redis.call('rpush','log',v..':'..KEYS[1]..':'..ARGV[1]) return v"
)
_SDK_SERVER = """
from mcp.server import {name} as Server
server = Server("peer")
@server.tool()
def heartbeat(status: str = "") -> str:
    "Say that this stream lives."
    return status
server.run()
"""

Operation = list[str]


@dataclass
class Measured:
    """What one contestant's turns came to."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Server:
    """Somebody to ask: where, how replies end, and what each client says."""

    name: str
    address: str
    end: str
    operations: Mapping[str, Callable[[int], Operation]]
    opening: Operation = field(default_factory=list)
    most_clients: int = max(CLIENTS)


def tables(machine: Machine) -> Iterator[Table]:
    """Yield operations a second by verb and number of clients, then start-up times."""
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(servers.our_run(machine, max(CLIENTS)))
        contestants = [_ours(run)]
        for sync in ("always", "everysec"):
            address = stack.enter_context(servers.redis(machine, sync))
            if address is not None:
                contestants.append(_redis(address, sync))
        address = stack.enter_context(servers.postgres(machine))
        if address is not None:
            contestants.append(_postgres(address))
        for verb in ("heartbeat", "lock + unlock", "state update"):
            for clients in CLIENTS:
                yield _compared(contestants, verb, clients)
        yield from _starting(machine, run)


# --- what is said -------------------------------------------------------------------------------


def _ours(run: OurRun) -> Server:
    def frame(client: int, verb: str, **given: object) -> str:
        return json.dumps({"verb": verb, "token": run.tokens[client], **given}) + "\n"

    def lock(client: int) -> Operation:
        path = f"src/file{client}.py"
        return [frame(client, "lock", path=path), frame(client, "unlock", path=path)]

    def update(client: int) -> Operation:
        return [frame(client, "state_set", key=f"key{client}", value=_VALUE)]

    operations = {
        "heartbeat": lambda client: [frame(client, "heartbeat")],
        "lock + unlock": lock,
        "state update": update,
    }
    return Server("anabranch", run.address, "line", operations)


_VALUE = {"status": "working on it", "step": 7, "files": ["a.py", "b.py"]}


def _redis(address: str, sync: str) -> Server:
    def lock(client: int) -> Operation:
        path = f"lock:src/file{client}.py"
        taking = _resp("SET", path, f"client{client}", "NX", "PX", "30000")
        return [taking, _resp("EVAL", _UNLOCK, "1", path, f"client{client}")]

    def update(client: int) -> Operation:
        return [_resp("EVAL", _UPDATE, "1", f"key{client}", json.dumps(_VALUE))]

    operations = {
        "heartbeat": lambda client: [_resp("SET", f"alive:client{client}", "1", "EX", "60")],
        "lock + unlock": lock,
        "state update": update,
    }
    return Server(f"Redis, appendfsync {sync}", address, "resp", operations)


def _postgres(address: str) -> Server:
    def query(text: str) -> str:
        content = text.encode() + b"\0"
        return (b"Q" + struct.pack("!i", len(content) + 4) + content).decode("latin-1")

    def lock(client: int) -> Operation:
        taking = query(f"SELECT pg_advisory_lock({client})")
        return [taking, query(f"SELECT pg_advisory_unlock({client})")]

    content = struct.pack("!i", 3 << 16) + b"user\0bench\0database\0postgres\0\0"
    opening = (struct.pack("!i", len(content) + 4) + content).decode("latin-1")
    most = MOST_POSTGRES_CLIENTS
    verbs = {"lock + unlock": lock}
    return Server("PostgreSQL, advisory locks", address, "postgres", verbs, [opening], most)


def _resp(*words: str) -> str:
    """Return a Redis command on the wire."""
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


# --- asking -------------------------------------------------------------------------------------


def _compared(contestants: list[Server], verb: str, clients: int) -> Table:
    """Return the table of one verb asked by so many clients at once."""
    able = [c for c in contestants if verb in c.operations and clients <= c.most_clients]
    measured = {server.name: Measured() for server in able}
    turns = {
        server.name: partial(_rate, server, verb, clients, measured[server.name]) for server in able
    }
    samples = in_turns(turns, REPEATS, BUDGET_SECONDS)
    rows = tuple(
        Row(name, values, statistics.median(measured[name].p50)) for name, values in samples.items()
    )
    tails = (f"{name} {figure(statistics.median(m.p99))}" for name, m in measured.items())
    notes = [f"p99 ms: {'; '.join(tails)}"]
    if clients > MOST_POSTGRES_CLIENTS and verb == "lock + unlock":
        notes.append("PostgreSQL is left out: each client would cost it a process")
    plural = "client" if clients == 1 else "clients"
    title = f"Coordination: {verb}, {clients} {plural} (more is better)"
    return Table(title, "operations/s", rows, "p50 ms", tuple(notes))


def _rate(server: Server, verb: str, clients: int, measured: Measured) -> float:
    """Let clients ask for a while; return the operations a second."""
    job = {
        "address": server.address,
        "end": server.end,
        "seconds": SECONDS[clients],
        "clients": [
            {"opening": server.opening, "operation": server.operations[verb](client)}
            for client in range(clients)
        ],
    }
    argv = [sys.executable, "-I", "-S", str(_CALLERS)]
    done = subprocess.run(
        argv, input=json.dumps(job), capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"{server.name}, {verb}, {clients}: {done.stderr[-400:]}")
    found = json.loads(done.stdout)
    latencies = found["latencies"]
    measured.p50.append(latencies[len(latencies) // 2])
    measured.p99.append(latencies[len(latencies) * 99 // 100])
    return float(found["count"] / found["seconds"])


# --- starting -----------------------------------------------------------------------------------


def _starting(machine: Machine, run: OurRun) -> Iterator[Table]:
    """Yield what a shell waits for a heartbeat, and an agent for a list of tools."""
    folder, environment = machine.folder("starting"), run.environment(machine)
    command = str(run.folder / "bin" / "ab-stream")
    programs: dict[str, list[str]] = {
        "ab-stream heartbeat": [command, "heartbeat"],
        "python -I -S -c pass": [sys.executable, "-I", "-S", "-c", "pass"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "true": [machine.true],
    }
    turns = {
        name: partial(_milliseconds, timed, argv, folder, environment)
        for name, argv in programs.items()
    }
    samples = in_turns(turns, STARTS, START_BUDGET_SECONDS)
    rows = tuple(Row(name, values) for name, values in samples.items())
    yield Table("Start-up: ab-stream, from exec to exit", "ms", rows)
    yield _starting_mcp(machine, run)


def _starting_mcp(machine: Machine, run: OurRun) -> Table:
    folder, environment = machine.folder("starting-mcp"), run.environment(machine)
    programs = {
        "the stream's anabranch-mcp": [str(run.folder / "bin" / "anabranch-mcp")],
        "anabranch mcp": [*machine.anabranch, "mcp"],
    }
    peer = _sdk_server(folder)
    if peer is not None:
        programs["the official SDK's server"] = peer
    turns = {
        name: partial(_milliseconds, _seconds_to_tools, argv, environment)
        for name, argv in programs.items()
    }
    samples = in_turns(turns, STARTS, START_BUDGET_SECONDS)
    rows = tuple(Row(name, values) for name, values in samples.items())
    return Table("Start-up: MCP server, from exec to its list of tools", "ms", rows)


def _milliseconds(work: Callable[..., float], *arguments: object) -> float:
    return work(*arguments) * 1000


def _sdk_server(folder: Path) -> list[str] | None:
    """Return how to start a server of one tool made with the official SDK, if it is there."""
    python = os.environ.get(SDK_VARIABLE, sys.executable)
    for name in ("MCPServer", "FastMCP"):
        look = [python, "-c", f"from mcp.server import {name}"]
        if subprocess.run(look, capture_output=True, check=False).returncode == 0:
            source = folder / "sdk_server.py"
            source.write_text(_SDK_SERVER.format(name=name))
            return [python, str(source)]
    print(f"  the official MCP SDK is missing and left out (pip install mcp; {SDK_VARIABLE})")
    return None


def _seconds_to_tools(argv: list[str], environment: Mapping[str, str]) -> float:
    """Start a server, shake hands, and return how long its list of tools took; then end it."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello |= {"clientInfo": {"name": "bench", "version": "1"}}
    began = time.perf_counter()
    with subprocess.Popen(
        argv, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        for message in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list"},
        ):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            server.stdin.flush()
            if "id" in message and b'"result"' not in server.stdout.readline():
                raise BenchmarkFailed(f"{argv[0]} did not answer {message['method']}")
        took = time.perf_counter() - began
        server.terminate()
    return took
