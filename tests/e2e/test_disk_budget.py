"""The disk is accounted for: a run that waits for room goes on once there is some."""

from __future__ import annotations

from tests.e2e.program import Program, until


def large(name: str) -> str:
    return f"head -c 3000000 /dev/urandom > {name}.bin"


def test_a_run_waits_for_room_and_goes_on_when_gc_has_given_it_back(program: Program) -> None:
    program.plan(
        {name: large(name) for name in ("one", "two")},
        isolation={"method": "worktree"},
        fusion=False,
    )
    program.expect(0, "run", "--headless")
    (row,) = program.asked(0, "runs", "--sizes", "--json").json()["runs"]
    assert row["bytes"]["workspaces"] > 5_900_000
    assert "MB of workspaces" in program.asked(0, "runs", "--sizes").out
    assert " of this project" in program.run("doctor").out
    program.plan({"small": "true"}, isolation={"max_disk": "5MB"})
    waiting = program.begin("run", "--headless")
    until(lambda: "of 5.0 MB of disk are used up" in waiting.err, "it says why it waits")
    assert program.streams()["small"]["state"] == "queued"
    assert "anabranch gc gives room back" in program.streams()["small"]["reason"]
    (found,) = (
        r for r in program.asked(0, "gc", "--dry-run", "--json").json()["runs"] if r["workspaces"]
    )
    assert sum(w["bytes"] for w in found["workspaces"]) > 5_900_000
    program.expect(0, "gc")
    assert waiting.wait().code == 0
