"""Load balancers in real runs: each of them, switching while a run goes on, and kill -9."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.e2e.program import Program, until

BALANCERS = (
    *("longest-first", "plan-order"),
    *("round-robin", "least-loaded", "two-choices", "affinity", "work-stealing"),
)


def admitted(program: Program) -> list[dict[str, Any]]:
    return [event for event in program.events() if event["type"] == "stream_admitted"]


def assert_leases_are_true(program: Program, width: int) -> None:
    """Each lease is one stream's, leases of a slot are counted, and no two overlap in a slot."""
    leases: Counter[int] = Counter()
    held: dict[str, int] = {}
    for event in program.events():
        if event["type"] == "stream_admitted":
            slot = event["slot"]
            leases[slot] += 1
            assert 1 <= slot <= width
            assert event["incarnation"] == leases[slot]
            assert event["placed_because"]
            assert slot not in held.values(), event
            held[event["stream"]] = slot
        elif event["type"] in ("stream_succeeded", "stream_failed", "retry_scheduled"):
            held.pop(event["stream"], None)
    assert not held


@pytest.mark.parametrize("balancer", BALANCERS)
def test_each_of_them_runs_a_real_plan(program: Program, balancer: str) -> None:
    """One stream fails once and is tried again: it holds no slot meanwhile."""
    once = f"test -e {program.scratch}/tried || {{ touch {program.scratch}/tried; exit 1; }}"
    streams: dict[str, Any] = {
        "base": {"command": "true", "capabilities": ["web"]},
        "again": {"command": once, "retries": 1},
        **{f"leaf-{n}": {"command": "sleep 0.05", "depends_on": ["base"]} for n in range(4)},
    }
    program.plan(streams, max_parallel=2, balancer=balancer)
    program.expect(0, "run", "--headless")
    assert program.status()["state"] == "converged"
    assert len(admitted(program)) == 7
    assert_leases_are_true(program, 2)


def test_slots_are_told_and_stay_true_through_switching_and_a_kill(program: Program) -> None:
    """Another one is chosen, the console is killed with -9, and a new one goes on."""
    gate = program.scratch / "gate"
    waits = f"echo began; until test -e {gate}; do sleep 0.02; done"
    first = {"command": waits, "priority": 1}
    streams: dict[str, Any] = {"one": first, "two": first}
    streams |= {f"later-{n}": "sleep 0.05" for n in range(4)}
    program.plan(
        streams, max_parallel=2, balancer="affinity", balancer_options={"price_seconds": 5}
    )
    host = program.begin("run", "--headless")
    program.await_log("one", "began")
    program.await_log("two", "began")
    before = slots_of(program)
    assert sorted(slot["number"] for slot in before.values()) == [1, 2]
    assert {slot["because"] for slot in before.values()} == {"the most urgent"}
    program.asked(0, "choose", "balancer", "round-robin")
    host.kill()
    until(lambda: program.status()["state"] == "interrupted", "the console is gone")
    again = program.begin("resume", "--headless")
    until(lambda: program.status()["state"] == "running", "a new one goes on")
    until(lambda: slots_of(program) == before, "slots and leases are as they were")
    program.asked(0, "choose", "balancer", "two-choices")
    gate.touch()
    assert again.wait().code == 0
    assert_leases_are_true(program, 2)
    reasons = {e["stream"]: e["placed_because"] for e in admitted(program)}
    assert {why for name, why in reasons.items() if name not in before} == {
        "the less busy of two slots"
    }
    assert slots_of(program) == {}


def slots_of(program: Program) -> dict[str, dict[str, Any]]:
    """Return the slot of each stream that holds one, as ``status --json`` tells it."""
    streams = program.asked(0, "status", "--json").json()["streams"]
    return {s["stream"]: s["slot"] for s in streams if s["slot"]}


def test_a_mistake_in_the_options_is_told_with_its_place(program: Program) -> None:
    program.plan({"a": "true"}, balancer="affinity", balancer_options={"prize_seconds": 5})
    answer = program.expect(2, "check")
    told = answer.out + answer.err
    assert "coordination.balancer_options.prize_seconds" in told
    assert "did you mean" in told
    assert "price_seconds" in told


def test_queues_of_slots_are_told_by_every_command(program: Program) -> None:
    """By name, also to whoever asks for the events of one stream that is listed there."""
    near = {"capabilities": ["web"]}
    streams = {f"s{n}": near | {"command": f"sleep 0.{3 + n % 2}"} for n in range(6)}
    program.plan(streams, balancer="work-stealing", max_parallel=2)
    program.expect(0, "run", "--headless")  # teaches: nobody waits behind a guess
    program.expect(0, "run", "--headless")
    told = [e for e in program.events() if e["type"] == "streams_assigned"]
    assert told
    names = [queued["stream"] for queued in told[0]["queued"]]
    listed = program.asked(0, "events").out
    assert f"for slot {told[0]['slot']}: {names[0]}" in listed
    assert "streams_assigned" in program.asked(0, "events", "--stream", names[0]).out
    for command in ("status", "streams", "report"):
        program.asked(0, command)
