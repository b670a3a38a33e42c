"""Who needs a person, from a shell: listed, waited for, and struck off by looking or answering."""

from __future__ import annotations

from tests.e2e.program import Program, until


def test_a_script_waits_for_whoever_needs_a_person_and_answers(program: Program) -> None:
    """Questions, messages and what is over are told with what to type, beside whoever hosts it."""
    gate = program.scratch / "gate"
    asks = "until test -e $GATE; do sleep 0.05; done; ab-stream ask 'Go on?' --wait 60"
    program.plan(
        {
            "asks": {"command": asks, "env": {"GATE": str(gate)}},
            "writes": "ab-stream send operator 'look here'; sleep 60",
            "over": "true",
        }
    )
    host = program.begin("run", "--headless")
    program.await_log("writes", "id")
    until(lambda: program.streams()["over"]["state"] == "succeeded", "it is over")
    assert _listed(program) == {"writes": ("blocked", True), "over": ("done", False)}
    number = program.asked(0, "attention", "--json").json()["streams"][0]["then"].split()[-1]
    program.expect(0, "messages", "--ack", number)
    program.expect(0, "attention", "--seen", "over")
    assert _listed(program) == {}
    waiting = program.begin("attention", "--wait", "--json")
    gate.touch()
    answer = waiting.wait()
    assert answer.code == 0
    assert answer.json()["streams"][0]["why"] == "asks: `Go on?`"
    assert answer.json()["streams"][0]["then"] == "anabranch answer asks TEXT"
    assert program.streams()["asks"]["attention"]["state"] == "blocked"
    program.expect(0, "answer", "asks", "--yes")
    until(lambda: program.streams()["asks"]["state"] == "succeeded", "it went on")
    waiting = program.begin("attention", "--wait", "--json")
    program.expect(0, "stop")
    assert waiting.wait().code == 1, "the run is over, and nobody needs anybody"
    host.wait()


def _listed(program: Program) -> dict[str, tuple[str, bool]]:
    listed = program.asked(0, "attention", "--json").json()["streams"]
    return {one["stream"]: (one["state"], one["needs_you"]) for one in listed}
