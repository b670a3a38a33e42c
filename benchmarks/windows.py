"""Timed events, released in order window by window, beside broadcasts that are sent on at once.

The real program with streams that have joined it, asked over its socket. Every sender tells its
share as fast as it is answered. What is measured is how many events a second are taken in, and how
long after the last of them the last one lies in the reader's inbox; all must be there, in order.
"""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Iterator
from functools import partial

from benchmarks import servers
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns
from benchmarks.servers import OurRun

SENDERS, EVENTS = 9, 900
REPEATS, BUDGET_SECONDS = 3, 12.0
WINDOWS_SECONDS = (0.05, 0.2)
DEADLINE_SECONDS = 1.0
"""What nobody has acknowledged by then leaves the inboxes, which hold a thousand."""
PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.005
AT_ONCE = 50


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the events a second with and without windows."""
    with servers.our_run(machine, SENDERS + 1) as run, _connected(run) as line:
        waits: dict[str, list[float]] = {}
        contestants = _contestants(run, line, waits)
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    rows = tuple(
        Row(name, values, statistics.median(waits[name])) for name, values in samples.items()
    )
    title = f"Timed events: {EVENTS} by {SENDERS} streams to {SENDERS + 1} others (more is better)"
    note = "ms: from the last that was told until the last was in an inbox; all came in order"
    yield Table(title, "events/s", rows, "ms until there", (note,))


def _contestants(run: OurRun, line: Line, waits: dict[str, list[float]]) -> dict[str, Contestant]:
    names: dict[str, dict[str, float]] = {
        f"windows of {seconds * 1000:g} ms": {"window_seconds": seconds}
        for seconds in WINDOWS_SECONDS
    }
    names["sent on at once"] = {}
    return {
        name: partial(_turn, run, line, given, waits.setdefault(name, []))
        for name, given in names.items()
    }


class Line:
    """A connection on which calls of several streams are made, some of them under way at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies = connection.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, frames: list[dict[str, object]]) -> list[dict[str, object]]:
        """Say some frames and return the answers, in their order; raises BenchmarkFailed."""
        self._connection.sendall(b"".join(json.dumps(f).encode() + b"\n" for f in frames))
        answers = [json.loads(self._replies.readline()) for _ in frames]
        for answer in answers:
            if answer.get("ok") is False:
                raise BenchmarkFailed(f"a call was refused: {answer}")
        return answers


def _connected(run: OurRun) -> Line:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(run.address)
    return Line(connection)


def _turn(run: OurRun, line: Line, given: dict[str, float], waits: list[float]) -> float:
    """Tell all events and wait until the reader has them; return how many a second were told."""
    reader, *senders = run.tokens
    name = f"{time.perf_counter_ns():x}"
    frames: list[dict[str, object]] = [
        {
            "verb": "broadcast",
            "token": senders[number % SENDERS],
            "body": f"{name} {number}",
            "deadline_seconds": DEADLINE_SECONDS,
            **given,
        }
        for number in range(EVENTS)
    ]
    began = time.perf_counter()
    for start in range(0, EVENTS, AT_ONCE):
        line.call(frames[start : start + AT_ONCE])
    told = time.perf_counter()
    found = _read(line, reader, name, told + PATIENCE_SECONDS)
    waits.append((time.perf_counter() - told) * 1000)
    _check(found, has_stamps=bool(given))
    time.sleep(DEADLINE_SECONDS)  # until the inboxes are empty again
    return EVENTS / (told - began)


def _read(line: Line, reader: str, name: str, ends_at: float) -> list[dict[str, object]]:
    """Read an inbox until all events of a turn have come, and acknowledge them."""
    found: list[dict[str, object]] = []
    while len(found) < EVENTS:
        if time.perf_counter() > ends_at:
            raise BenchmarkFailed(f"{len(found)} of {EVENTS} events came in time")
        (answer,) = line.call([{"verb": "inbox", "token": reader, "limit": 100}])
        messages = answer["messages"]
        assert isinstance(messages, list)
        new = [m for m in messages if m["is_new"] and str(m["body"]).startswith(name)]
        found += new
        line.call([{"verb": "ack", "token": reader, "id": m["id"]} for m in new])
        if not new:
            time.sleep(LOOK_SECONDS)
    return found


def _check(found: list[dict[str, object]], *, has_stamps: bool) -> None:
    """Raise BenchmarkFailed unless timed events came in the order of their stamps."""
    stamps = [m["stamp"] for m in found if has_stamps]
    order = [(s["at"], s["logical"], s["source"]) for s in stamps if isinstance(s, dict)]
    if order != sorted(order) or len(order) != len(stamps):
        raise BenchmarkFailed("timed events came out of order")
