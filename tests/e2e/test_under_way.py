"""A command in a run that nobody hosts lets what is under way come to its end first."""

from __future__ import annotations

from tests.e2e.program import Program, until


def test_what_a_killed_host_was_checking_is_over_before_work_is_handed_back(
    program: Program,
) -> None:
    """Whoever hands back hosts the run for that long, instead of being refused for ever."""
    gate, checks = program.scratch / "gate", program.scratch / "checks"
    verify = f"touch {checks}; until test -e {gate}; do sleep 0.02; done"
    program.plan(
        {
            "a": {"command": "echo a > a.txt", "converge": "mid"},
            "b": {"command": "echo b >> b.txt", "review": True},
        },
        convergence={"mid": {"verify": verify}},
    )
    host = program.begin("run", "--headless")
    until(checks.exists, "the check begins")
    until(lambda: program.asked(0, "review", "--json").json()["reviews"], "b waits for a review")
    host.kill()
    handing = program.begin("review", "b", "--hand-back", "-m", "again")
    until(lambda: "this waits until that is done" in handing.err, "it says what it waits for")
    gate.touch()
    assert handing.wait().code == 0, handing.err
    assert program.streams()["b"]["attempt"] == 2
    resumed = [event for event in program.events() if event["type"] == "run_resumed"]
    assert len(resumed) == 1
