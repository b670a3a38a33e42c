"""Many processes, every transport, kills at random: one holder at a time, and no update lost.

Sixty-four streams of a real run count in the shared state under write locks. A test cannot trust
the engine's own word on whether that went well, so each client notes what it does in a file of its
own, and the notes are judged by a checker that knows nothing of the product. The variables
ANABRANCH_TEST_ROUNDS, ANABRANCH_TEST_KILLS and ANABRANCH_TEST_SEED ask for more, or for another
run of the dice.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.linearizability import (
    NEVER,
    Hold,
    Operation,
    fences_that_fell,
    overlaps,
    unexplained,
)
from tests.e2e.program import Program, until

CLIENTS = 64
ROUNDS = int(os.environ.get("ANABRANCH_TEST_ROUNDS", "2"))
KILLS = int(os.environ.get("ANABRANCH_TEST_KILLS", "16"))
SEED = int(os.environ.get("ANABRANCH_TEST_SEED", "1"))
MOST_KILLS_OF_ONE = 2
TRANSPORTS = ("raw", "python", "spool", "mcp", "raw", "python", "spool", "shell")
SECONDS = 150.0
CLIENT = Path(__file__).with_name("counting_client.py")

Entry = dict[str, Any]


@dataclass
class Notes:
    """What the clients noted, and when they were killed."""

    folder: Path
    killed: dict[tuple[str, int], int]

    @cached_property
    def streams(self) -> dict[str, list[Entry]]:
        """Return the notes of each stream, in the order in which it made them."""
        return {path.stem: entries(path) for path in sorted(self.folder.glob("*.jsonl"))}

    def all(self, what: str) -> Iterator[Entry]:
        """Yield the notes of one kind."""
        return (e for found in self.streams.values() for e in found if e["what"] == what)

    def holds(self) -> list[Hold]:
        """Return every stay under a lock; one that was cut short lasted until the kill."""
        found = []
        for stream, noted in self.streams.items():
            left = {(e["attempt"], e["fence"]): e["at"] for e in noted if e["what"] == "leave"}
            for entry in (e for e in noted if e["what"] == "enter"):
                key = (entry["attempt"], entry["fence"])
                last = max(e["at"] for e in noted if e["attempt"] == entry["attempt"])
                end = left.get(key) or self.killed.get((stream, entry["attempt"]), last)
                who = f"{stream}.{entry['attempt']}"
                found.append(Hold(who, entry["path"], entry["fence"], entry["at"], end))
        return found

    def history(self) -> list[Operation]:
        """Return every read, write and swap with the times of its call and answer."""
        answers = {entry["name"]: entry for entry in self.all("answer")}
        return [operation(call, answers.get(call["name"])) for call in self.all("call")]


def entries(path: Path) -> list[Entry]:
    """Return the notes in a file; the last line may be on its way."""
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def operation(call: Entry, answer: Entry | None) -> Operation:
    """Return what a call and its answer say."""
    given = answer["value"] if answer and call["kind"] == "read" else call.get("value")
    return Operation(
        kind=call["kind"],
        key=call["key"],
        value=frozen(given),
        called=call["at"],
        answered=answer["at"] if answer else NEVER,
        expected=frozen(call.get("expected")),
        is_refused=answer is not None and not answer["ok"],
    )


def frozen(value: Any) -> str | None:
    """Return a JSON value as something that can be compared and kept in sets."""
    return None if value is None else json.dumps(value, sort_keys=True)


class Killer:
    """Kills clients at random, half of the time one that holds a lock."""

    def __init__(self, program: Program, notes: Notes) -> None:
        self._program = program
        self._notes = notes
        self._dice = random.Random(SEED)
        self._counts: Counter[str] = Counter()

    def work(self, kills: int, is_over: Callable[[], bool]) -> int:
        """Kill that many, spread over the run, and return how many died."""
        done = 0
        last_at = CLIENTS * ROUNDS * 3 // 4
        for number in range(kills):
            due = number * last_at // kills
            until(partial(self._is_due, due, is_over), "work goes on", SECONDS)
            if is_over():
                break
            done += self._kill_one()
        return done

    def _is_due(self, entered: int, is_over: Callable[[], bool]) -> bool:
        """Say whether locks were taken more often than that, or nothing is left to do."""
        files = self._notes.folder.glob("*.jsonl")
        found = sum(path.read_bytes().count(b'"what": "enter"') for path in files)
        return found > entered or is_over()

    def _kill_one(self) -> bool:
        found = {path.stem: entries(path) for path in sorted(self._notes.folder.glob("*.jsonl"))}
        living = [
            name
            for name, noted in found.items()
            if self._counts[name] < MOST_KILLS_OF_ONE
            and is_at_work(noted)
            and (name, attempt_of(noted)) not in self._notes.killed
        ]
        holding = [name for name in living if found[name][-1]["what"] in ("enter", "call")]
        chosen = holding if holding and self._dice.random() < 0.5 else living
        if not chosen:
            return False
        name = self._dice.choice(chosen)
        begun = [entry for entry in found[name] if entry["what"] == "begin"][-1]
        self._counts[name] += 1
        self._notes.killed[name, attempt_of(found[name])] = time.monotonic_ns()
        self._program.kill(begun["pid"])
        return True


def is_at_work(noted: list[Entry]) -> bool:
    """Say whether a client has begun and not ended, as far as its notes go."""
    return bool(noted) and noted[-1]["what"] != "done"


def attempt_of(noted: list[Entry]) -> int:
    """Return the attempt that made the newest note."""
    return int(noted[-1]["attempt"])


@pytest.fixture
def notes(program: Program) -> Notes:
    """Let the streams of a run count, kill some, and give what they noted."""
    folder = program.scratch / "notes"
    folder.mkdir()
    notes = Notes(folder, {})
    streams: dict[str, Any] = {}
    for number in range(CLIENTS):
        transport = TRANSPORTS[number % len(TRANSPORTS)]
        bare = [] if transport == "python" else ["-I", "-S"]
        argv = [sys.executable, *bare, str(CLIENT), transport, str(folder), str(ROUNDS)]
        streams[f"{transport}{number}"] = {"command": shlex.join(argv)}
    recovery = {"max_retries": 4}
    program.plan(streams, max_parallel=CLIENTS, recovery=recovery)
    running = program.begin("run", "--headless")
    Killer(program, notes).work(KILLS, lambda: running.has_ended)
    answer = running.wait(SECONDS)
    assert answer.code == 0, answer
    return notes


def test_one_holder_at_a_time_and_no_update_lost(program: Program, notes: Notes) -> None:
    """What 64 clients did under locks happened one after the other, whoever was killed."""
    holds, history = notes.holds(), notes.history()
    assert len(notes.streams) == CLIENTS
    assert len(notes.killed) >= KILLS // 2
    assert len(holds) >= CLIENTS * ROUNDS
    assert overlaps(holds) == []
    assert fences_that_fell(holds) == []
    assert unexplained(history) == []
    assert [entry for entry in notes.all("unlocked") if not entry["ok"]] == []
    assert lost_updates(history) == []
    stale = list(notes.all("stale"))
    assert {entry["how"] for entry in stale} >= {"unlocked twice", "state_set by a dead attempt"}
    assert [entry for entry in stale if entry["ok"]] == []
    assert "poison" not in program.state().shared.values


def write(value: int, called: float, answered: float = NEVER) -> Operation:
    """Return a write of a history made by hand."""
    return Operation("write", "k", value, called, answered)


def read(value: int | None, called: float, answered: float) -> Operation:
    """Return a read of a history made by hand."""
    return Operation("read", "k", value, called, answered)


def swap(old: int, new: int, called: float, answered: float, *, refused: bool = False) -> Operation:
    """Return a compare-and-set of a history made by hand."""
    return Operation("swap", "k", new, called, answered, old, refused)


EXPLAINED = {
    "one after the other": [read(None, 0, 1), write(1, 2, 3), read(1, 4, 5)],
    "a read during a write sees either": [write(1, 0, 9), read(None, 1, 2), read(1, 3, 4)],
    "a write without an answer happened late": [write(1, 0), read(None, 1, 2), read(1, 3, 4)],
    "a write without an answer never happened": [write(1, 0), read(None, 1, 2)],
    "writes at once in either order": [write(1, 0, 9), write(2, 0, 9), read(2, 10, 11)],
    "the slower of two swaps": [
        write(1, 0, 1), swap(1, 2, 2, 9), swap(1, 3, 2, 9, refused=True), read(2, 10, 11)
    ],
}  # fmt: skip
UNEXPLAINED = {
    "a stale read": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "reads that go back": [write(1, 0, 9), read(1, 1, 2), read(None, 3, 4)],
    "a lost write": [write(1, 0, 1), read(None, 2, 3)],
    "a value from nowhere": [read(7, 0, 1)],
    "two swaps from one value": [write(1, 0, 1), swap(1, 2, 2, 9), swap(1, 3, 2, 9)],
    "a swap refused for nothing": [write(1, 0, 1), swap(1, 2, 2, 3, refused=True)],
    "a write without an answer undone": [write(1, 0), read(1, 1, 2), read(None, 3, 4)],
}


@pytest.mark.parametrize("history", EXPLAINED.values(), ids=EXPLAINED)
def test_the_checker_accepts(history: list[Operation]) -> None:
    """What one variable could have answered is accepted."""
    assert unexplained(history) == []


@pytest.mark.parametrize("history", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_the_checker_rejects(history: list[Operation]) -> None:
    """What no variable can have answered is found."""
    assert unexplained(history) == ["k"]


def test_the_checker_sees_two_holders_and_old_fences() -> None:
    """Stays that overlap, also behind a long one, and fences that do not grow are found."""
    long, inside, late = Hold("a", "p", 1, 0, 9), Hold("b", "p", 2, 1, 2), Hold("c", "p", 3, 8, 10)
    assert overlaps([long, inside, late]) == [(long, inside), (long, late)]
    assert overlaps([long, Hold("b", "q", 2, 1, 2), Hold("c", "p", 3, 9, 10)]) == []
    assert fences_that_fell([long, Hold("b", "p", 1, 10, 11)]) != []
    assert fences_that_fell([long, inside, late]) == []


def lost_updates(history: list[Operation]) -> list[str]:
    """Return the numbers that were counted twice: each adds one to what is there."""
    taken: Counter[tuple[str, int]] = Counter()
    for done in history:
        if done.kind != "read" and done.answered < NEVER and not done.is_refused:
            taken[done.key, json.loads(str(done.value))["n"]] += 1
    return [f"{key} {number}" for (key, number), count in sorted(taken.items()) if count > 1]
