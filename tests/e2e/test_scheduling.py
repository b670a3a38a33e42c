"""What is learned, expected and chosen about who runs when, in real runs."""

from __future__ import annotations

from typing import Any

from tests.e2e.program import Program, until


def test_a_second_run_knows_how_long_streams_take_and_what_is_left(program: Program) -> None:
    """Guesses are called so; what waits is told when it should start; an order can be chosen."""
    gate = program.scratch / "gate"
    gate.touch()
    first = f"echo began; until test -e {gate}; do sleep 0.02; done"
    fourth = {"command": "true", "depends_on": ["first"], "priority": 1}
    short, long = {"command": "sleep 0.1"}, {"command": "sleep 0.6"}
    goes_first = {"command": first, "priority": 1}
    streams = {"first": goes_first, "second": short, "third": long, "fourth": fourth}
    program.plan(streams, max_parallel=1)
    guessed = program.expect(0, "check", "--json").json()["estimates"]
    assert {e["basis"] for e in guessed} == {"guessed"}
    assert "nothing of it has run here yet" in program.asked(0, "check").out
    program.expect(0, "run", "--headless")
    learned = {e["stream"]: e for e in program.expect(0, "check", "--json").json()["estimates"]}
    assert {e["basis"] for e in learned.values()} == {"learned"}
    assert 0.6 <= learned["third"]["seconds"] < 5.0

    gate.unlink()
    host = program.begin("run", "--headless")
    until(lambda: program.status()["state"] == "running", "the second run goes on")
    program.await_log("first", "began")
    assert [s["stream"] for s in in_queue(program)] == ["third", "second"]
    program.asked(0, "choose", "balancer", "plan-order")
    assert [s["stream"] for s in in_queue(program)] == ["second", "third"]
    status = program.asked(0, "status", "--json").json()
    known = {s["stream"]: s for s in status["streams"]}
    assert status["expected_rest_seconds"] > 0.5
    assert known["fourth"]["urgency"] is None
    assert known["fourth"]["expected"]["basis"] == "learned"
    assert all(w["expected"] for s in in_queue(program) for w in s["waits_for"])
    gate.touch()
    assert host.wait().code == 0
    report = program.expect(0, "report", "--format", "json").json()
    assert report["estimates"]["learned"] == 4
    assert report["predicted_seconds"] > 0.5
    third = next(s for s in report["estimates"]["streams"] if s["stream"] == "third")
    assert third["actual_seconds"] >= 0.6
    assert (third["runs"], third["p95_seconds"]) == (1, None)
    text = program.asked(0, "report").out
    for words in ("% of all time spent", "on 1 slots (efficiency", "% of their time used"):
        assert words in text
    assert "state         ok: every promise holds" in text
    assert "no gain can be told: plan-order does not go by how long streams take" in text


def in_queue(program: Program) -> list[dict[str, Any]]:
    """Return the streams that are ready and wait for the slot, the next one first."""
    streams = program.asked(0, "status", "--json").json()["streams"]
    return sorted((s for s in streams if s["urgency"]), key=lambda s: int(s["urgency"]["place"]))


def test_what_cannot_be_chosen_is_refused_with_what_there_is(program: Program) -> None:
    program.plan({"a": "true"})
    program.expect(0, "run", "--headless")
    assert "the run has ended" in program.asked(2, "choose", "balancer", "plan-order").err
    assert "convergence types" in program.asked(2, "choose", "balancer", "x", "--point", "p").err
    assert "is not one of" in program.asked(2, "choose", "balancers", "plan-order").err


def test_a_second_run_starts_the_handlers_first_that_took_longest(program: Program) -> None:
    program.plan(
        {
            "fan": {
                "command": "sleep 0.{item}; echo {item} >> order",
                "each": ["1", "5", "2", "6"],
                "max_parallel": 1,
            }
        }
    )
    program.expect(0, "run", "--headless")
    began = [e for e in program.events() if e["type"] == "handler_finished"]
    assert [e["item"] for e in sorted(began, key=lambda e: e["began_at"])] == ["1", "5", "2", "6"]
    program.expect(0, "run", "--headless")
    began = [e for e in program.events() if e["type"] == "handler_finished"]
    assert [e["item"] for e in sorted(began, key=lambda e: e["began_at"])] == ["6", "5", "2", "1"]
