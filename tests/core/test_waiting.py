"""What a stream waits for: the same wherever it is told, and in accord with the wait-for graph."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.deciding.guardian.by_hand import evidence_of, forecast
from anabranch.core.deciding.waiting.reasons import Wait, keeps_waiting, standing, waits_of
from anabranch.core.deciding.waiting.sources import SOURCES
from anabranch.core.deciding.waiting.waits import edges_from
from anabranch.core.deciding.waiting.wording import in_short, in_words, reason_for, waiting_for
from anabranch.core.ids import FINAL_POINT, LockMode, StreamId
from anabranch.core.model.guardian import Care
from anabranch.core.model.locks import asks_of, blockers
from anabranch.core.model.state import State
from anabranch.core.views.forecasts import granted_by_revoking, skipped_without
from anabranch.core.views.locks import locks_status
from anabranch.core.views.projections import status, stream_status
from anabranch.testing.plans import plan_of, stream
from tests.core.locking import Run, running, started

NAMES = ["one", "two", "three"]
PATHS = ("a", "b", "c", "d/", "d/x", "*")


def waits(run: Run, name: str) -> list[tuple[str, str, str | None]]:
    """Return what a stream waits for, and for whom."""
    return [(w.kind, w.name, w.holder) for w in waits_of(run.state, StreamId(name))]


def test_a_folder_over_a_file_is_told_everywhere() -> None:
    """Row and details, ``status``, ``locks``, the guardian and the holder's side say the same."""
    run = Run(running(3))
    run.lock("s0", "src/")
    run.now = 5.0
    run.lock("s1", "src/m1.py")
    run.now = 30.0
    s1 = run.state.streams[StreamId("s1")]
    assert waits_of(run.state, s1.id) == [Wait("lock", "src/m1.py", "s0", 5.0, None, "src/")]
    text = "waits for the lock of src/m1.py, which s0 (src/) holds"
    assert reason_for(run.state, s1) == text
    assert standing(run.state, s1) == "waits"
    assert forecast(run.state, s1.id, "soft").evidence == text
    assert forecast(run.state, s1.id, "soft").diagnosis == "waits"
    row = stream_status(run.state, s1)
    assert row["reason"] == text
    (wait,) = row["waits_for"]
    assert (wait["kind"], wait["name"], wait["holder"]) == ("lock", "src/m1.py", "s0")
    assert wait["since"] == "1970-01-01T00:00:05.000Z"
    assert status(run.state, True, None)["streams"][1]["waits_for"] == [wait]
    ((who, seen),) = keeps_waiting(run.state, StreamId("s0"))
    assert (who, seen.name) == ("s1", "src/m1.py")
    file, folder = sorted(locks_status(run.state)["locks"], key=lambda row: -len(row["path"]))
    assert [h["stream"] for h in file["held_over"]] == ["s0"]
    assert [w["stream"] for w in folder["waiting_elsewhere"]] == ["s1"]
    assert standing(run.state, run.state.streams[StreamId("s0")]) == "well"


def test_resources_points_and_what_comes_before_a_start() -> None:
    """Each sort of wait has its kind, its name and who can end it."""
    members = [stream("one"), stream("two"), stream("late", "one"), stream("queued")]
    plan = plan_of(*members, max_parallel=2, resources={"db": 1.0})
    run = Run(started(plan, ["one", "two"]))
    run.call(calls.RequestResources, "one", amounts={"db": 1.0})
    run.call(calls.RequestResources, "two", amounts={"db": 1.0})
    assert waits(run, "two") == [("resource", "db", "one")]
    assert waiting_for(run.state, StreamId("two")) == "db, held by one"
    assert waits(run, "late") == [("dependency", "one", "one")]
    assert waits(run, "queued") == [("slot", "a slot", "one"), ("slot", "a slot", "two")]
    assert waits(run, "one") == []
    apart = Run(running(3))
    apart.call(calls.Arrive, "s1", point=FINAL_POINT)
    assert waits(apart, "s1") == [("point", "final", "s0"), ("point", "final", "s2")]


def test_who_has_it_is_told_apart_from_who_has_only_asked_before() -> None:
    """Nobody is said to hold what it waits for itself, nor to wait for what it holds."""
    run = Run(started(plan_of(*map(stream, NAMES), max_parallel=4, resources={"db": 1.0}), NAMES))
    for name in NAMES:
        run.call(calls.RequestResources, name, amounts={"db": 1.0})
        run.now += 60.0
    assert waiting_for(run.state, StreamId("two")) == "db, held by one"
    text = "db, held by one, for which two has waited longer"
    assert waiting_for(run.state, StreamId("three")) == text
    for name in NAMES:
        run.lock(name, "src/")
    assert waiting_for(run.state, StreamId("two")).startswith("the lock of src/, which one holds;")
    locks = [w for w in waits_of(run.state, StreamId("three")) if w.kind == "lock"]
    assert {w.holder for w in locks} == {"one", "two"}
    assert in_words(locks) == "the lock of src/, which one holds and two asked for before"


def test_what_nobody_holds_is_waited_for_all_the_same() -> None:
    """By the accounts there is enough, but the machine has no memory left to give."""
    run = Run(started(plan_of(stream("one"), stream("two")), ["one", "two"]))
    run.give(inputs.MachineSeen(capacity={"cpu_cores": 2.0, "memory_mb": 8000.0}))
    run.call(calls.RequestResources, "one", amounts={"memory_mb": 100.0})
    run.give(inputs.MachineLoad(memory_available_mb=200.0, memory_pressure=0.0))
    run.call(calls.RequestResources, "two", amounts={"memory_mb": 1000.0})
    assert waits(run, "two") == [("resource", "memory_mb", None)]
    assert waiting_for(run.state, StreamId("two")) == "memory_mb"


def test_what_a_machine_that_shrank_has_not_is_waited_for() -> None:
    """Nobody holds it, and yet there is not enough."""
    run = Run(started(plan_of(stream("one"), stream("two")), ["one", "two"]))
    for cores in (4.0, 1.0):
        run.give(inputs.MachineSeen(capacity={"cpu_cores": cores, "memory_mb": 8000.0}))
        if cores == 4.0:
            run.call(calls.RequestResources, "two", amounts={"cpu_cores": 4.0})
            run.call(calls.RequestResources, "one", amounts={"cpu_cores": 2.0})
    run.call(calls.ReleaseResources, "two", amounts={"cpu_cores": 4.0})
    assert waits(run, "one") == [("resource", "cpu_cores", None)]


def _wait(name: str, holder: str | None) -> Wait:
    return Wait("lock", name, None if holder is None else StreamId(holder), 0.0)


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        ([("a", "one")], "one: a"),
        ([("a", "one"), ("b", "one")], "one: a, b"),
        ([("a", "one"), ("a", "two")], "one, two: a"),
        ([("a", "one"), ("a", "two"), ("a", "three")], "one, two and 1 more: a"),
        ([("a", None)], "a"),
        ([("a", None), ("b", "one")], "one: a, b"),
    ],
)
def test_in_a_row_there_is_room_for_few_words(
    waits: list[tuple[str, str | None]], words: str
) -> None:
    assert in_short([_wait(name, holder) for name, holder in waits]) == words


@pytest.mark.parametrize(
    ("holders", "words"), [(3, "s0, s1, s2 hold"), (4, "s0, s1, s2 and 1 more hold")]
)
def test_of_many_holders_the_first_are_named_and_the_rest_is_counted(
    holders: int, words: str
) -> None:
    run = Run(running(holders + 1))
    for number in range(holders):
        run.lock(f"s{number}", "a", "read")
    run.lock(f"s{holders}", "a")
    assert waiting_for(run.state, StreamId(f"s{holders}")) == f"the lock of a, which {words}"


def test_the_operator_has_a_name_as_a_holder() -> None:
    """A lock that the operator took is held by somebody, not by nobody."""
    run = Run(running(2))
    run.call(calls.Lock, "", path="a")
    run.lock("s0", "a")
    assert waits(run, "s0") == [("lock", "a", "operator")]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
@example(73421)
def test_what_is_told_agrees_with_the_graph(seed: int) -> None:
    """Whoever the graph waits for is told; and who is told really keeps the stream waiting."""
    rng = Random(seed)
    run = Run(running(5))
    for number in range(30):
        run.now = float(number) / 10
        name, path = f"s{rng.randrange(5)}", rng.choice(PATHS)
        mode: LockMode = rng.choice(("read", "write"))
        if rng.random() < 0.7:
            run.lock(name, path, mode)
        else:
            run.unlock(name, path)
        for stream_id in run.state.streams:
            _check(run.state, stream_id)
        _check_locks(run.state)


def _check(state: State, stream_id: StreamId) -> None:
    found = {w.holder for w in waits_of(state, stream_id) if w.kind == "lock"}
    drawn = {e.holder for e in edges_from(state, stream_id, SOURCES) if e.kind == "lock"}
    really = {b.stream for a in asks_of(state.locks, stream_id) for b in blockers(state.locks, a)}
    assert drawn <= found <= really
    assert bool(found) == bool(list(asks_of(state.locks, stream_id)))
    assert bool(waiting_for(state, stream_id)) == bool(found)


def _check_locks(state: State) -> None:
    """The pane's two sides are the same waits: nobody is told to be free while somebody waits."""
    for lock in locks_status(state)["locks"]:
        for ask in lock["waiting"]:
            of_ask = [w for w in waits_of(state, StreamId(ask["stream"])) if w.name == lock["path"]]
            holders = {w.holder for w in of_ask if not w.is_before}
            shown = {h["stream"] for h in (*lock["holders"], *lock["held_over"])}
            assert holders <= shown


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_taking_a_lock_away_would_give_is_what_it_gives(seed: int) -> None:
    """Foretold and done are the same, on overlapping paths and in queues."""
    rng = Random(seed)
    run = Run(running(4))
    for number in range(14):
        run.now = float(number) / 10
        run.lock(f"s{rng.randrange(4)}", rng.choice(PATHS), rng.choice(("read", "write")))
    held = [path for path, entry in run.state.locks.entries.items() if entry.grants]
    path = rng.choice(sorted(held))
    foretold = granted_by_revoking(run.state, path, run.now)
    run.records.clear()
    run.give(calls.Unlock(calls.OPERATOR, "really", path=path))
    done = run.events(ev.LockGranted)
    assert [(e.stream, e.path) for e in foretold] == [(e.stream, e.path) for e in done]


@pytest.mark.parametrize(("condition", "skipped"), [("succeeded", ["b", "c"]), ("completed", [])])
def test_who_is_skipped_when_a_stream_is_stopped(condition: str, skipped: list[str]) -> None:
    """Only who needs that it succeeds; and whoever needs those in turn."""
    members = [stream("a"), stream("b", f"a:{condition}"), stream("c", "b"), stream("d")]
    run = Run(started(plan_of(*members, max_parallel=2), ["a"]))
    assert skipped_without(run.state, [StreamId("a")]) == skipped


def test_a_remedy_that_is_over_is_no_evidence_for_the_attempt_after_it() -> None:
    """What was seen of the attempt before stands in the history, not beside the new one."""
    run = Run(running(1))
    stream_id = StreamId("s0")
    care = Care(diagnosis="silent", evidence="silent for 12 min", outcome="recovered")
    found = replace(run.state.streams[stream_id], care=care)
    assert evidence_of(run.state, found) == "process 1 runs"
    under_way = replace(found, care=replace(care, remedy="soft"))
    assert evidence_of(run.state, under_way) == "silent for 12 min"
