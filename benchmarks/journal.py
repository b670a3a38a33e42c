"""The journal beside a bare file, and the core without any disk.

An append survives the end of the process; the host makes it survive a power cut within moments, for
many turns at once. Both are measured: appending alone, and with every append forced to the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.events import Recorded
from anabranch.core.ids import FINAL_POINT, RunId, StreamId
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.engine.engine import Engine
from anabranch.engine.journal import Journal
from anabranch.plugins import load_plugins
from benchmarks.machine import Machine
from benchmarks.measuring import Row, Table, clocked, in_turns

BATCHES = (1, 10, 100, 1000)
MOST_EVENTS = 20_000
MOST_COMMITS = 300
REPEATS = 5
BUDGET_SECONDS = 5.0
STREAMS = 1000
SLOTS_IN_CORE = 8


class _NoDisk:
    """Keeps events in memory only."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []

    def append(self, records: Sequence[Recorded]) -> None:
        self.records += records


def tables(machine: Machine) -> Iterator[Table]:
    """Yield events a second by batch, then of the core alone."""
    records = _records()
    for batch in BATCHES:
        yield from _appending(machine, records, batch)
    yield _deciding()


def _appending(machine: Machine, records: Sequence[Recorded], batch: int) -> Iterator[Table]:
    folder = machine.folder("journal")
    count = min(MOST_EVENTS, batch * MOST_COMMITS)
    batches = [_numbered(records, at, batch) for at in range(0, count, batch)]
    lines = [[msgspec.json.encode(r.event) + b"\n" for r in batch] for batch in batches]

    def ours(is_synced: bool) -> float:
        for file in folder.glob("journal.db*"):
            file.unlink()
        journal = Journal.create(folder / "journal.db", {})
        try:
            return count / clocked(lambda: _append(journal, batches, is_synced))
        finally:
            journal.close()

    def bare(is_synced: bool) -> float:
        return count / clocked(lambda: _write(folder / "bare.jsonl", lines, is_synced))

    contestants = {
        "journal, append": lambda: ours(False),
        "file, write": lambda: bare(False),
        "journal, append + sync each": lambda: ours(True),
        "file, write + fdatasync each": lambda: bare(True),
    }
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    rows = [Row(name, values) for name, values in samples.items()]
    for ours_row, peer in (rows[:2], rows[2:]):
        yield Table(
            f"Journal, {batch} events a commit (more is better)", "events/s", (ours_row, peer)
        )


def _append(journal: Journal, batches: Sequence[Sequence[Recorded]], is_synced: bool) -> None:
    for records in batches:
        journal.append(records)
        if is_synced:
            journal.sync()


def _write(path: Path, batches: Sequence[Sequence[bytes]], is_synced: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for lines in batches:
            os.write(descriptor, b"".join(lines))
            if is_synced:
                os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _numbered(records: Sequence[Recorded], start: int, count: int) -> list[Recorded]:
    """Return events of a real run, numbered on from ``start``."""
    return [
        msgspec.structs.replace(records[(start + n) % len(records)], seq=start + n + 1)
        for n in range(count)
    ]


def _records() -> list[Recorded]:
    store = _NoDisk()
    _drive(store, 200)
    return [r for r in store.records if len(msgspec.json.encode(r.event)) < 1000]


def _deciding() -> Table:
    def rate() -> float:
        store = _NoDisk()
        seconds = clocked(lambda: _drive(store, STREAMS))
        return len(store.records) / seconds

    samples = in_turns({"decide + evolve": rate}, REPEATS, BUDGET_SECONDS)
    rows = tuple(
        Row(name, values, 1e6 / Row(name, values).median) for name, values in samples.items()
    )
    title = f"The core alone: a run of {STREAMS} streams, {SLOTS_IN_CORE} slots (more is better)"
    return Table(title, "events/s", rows, "µs an event")


def _drive(store: _NoDisk, streams: int) -> None:
    """Take a run from its start to its end, answering every effect with success."""
    strategies = load_plugins().strategies
    ticks = iter(range(10_000_000))
    engine = Engine(store, strategies, lambda: next(ticks) * 1e-3)
    start = inputs.StartRun(
        run=RunId("20260101-000000-abc"),
        project="/project",
        plan_path=None,
        plan=_plan(streams),
        approve=False,
        wall=0.0,
    )
    waiting: list[inputs.Input] = [start]
    while waiting:
        turn = engine.turn(waiting)
        waiting = [answer for effect in turn.effects for answer in _answers(effect)]
    assert engine.state.has_ended


def _plan(streams: int) -> Plan:
    names = [StreamId(f"t{n}") for n in range(streams)]
    plans = tuple(StreamPlan(name, ("true",), "true", max_retries=2) for name in names)
    return Plan("core", plans, (PointPlan(FINAL_POINT, streams=tuple(names)),), SLOTS_IN_CORE)


def _answers(effect: fx.Effect) -> Iterator[inputs.Input]:
    sha = "0" * 40
    match effect:
        case fx.CaptureBase():
            yield inputs.BaseFound(commit=sha, tree=sha, branch=None, head=sha)
        case fx.PrepareWorkspace(stream=stream, attempt=attempt):
            yield inputs.WorkspaceReady(
                stream=stream, attempt=attempt, path="/w", start_commit=sha, start_tree=sha
            )
        case fx.StartProcess(stream=stream, attempt=attempt):
            yield inputs.ProcessStarted(
                stream=stream, attempt=attempt, pid=2, holder_pid=3, log="/l", happened_at=0.0
            )
            yield inputs.ProcessExited(
                stream=stream,
                attempt=attempt,
                exit_code=0,
                signal=None,
                error=None,
                happened_at=0.0,
            )
        case fx.CaptureResult(stream=stream, attempt=attempt):
            yield inputs.ResultReady(
                stream=stream, attempt=attempt, commit=sha, tree=sha, files_changed=1, ref="refs/x"
            )
        case fx.MergeResults(point=point):
            yield inputs.MergeFinished(point=point, commit=sha, tree=sha, branch=None, merged=())
