"""Which run a command means where none is named: the one that goes on, not the newest."""

from __future__ import annotations

from tests.e2e.program import Program


def test_commands_mean_the_run_that_goes_on_and_not_a_newer_one(program: Program) -> None:
    """Also where nobody hosts it; what is wanted of a stream is wanted where that waits for it."""
    program.expect(0, "add", "--name", "kept", "--review", "--", "echo kept > kept; cat kept")
    goes_on = program.folder().run
    program.expect(0, "run", "--headless", "--", "echo x > x")
    assert program.folder().run != goes_on
    needs = program.asked(0, "attention", "--json").json()
    assert needs["run"] == goes_on
    assert needs["streams"][0]["then"] == "anabranch review kept"
    assert program.asked(0, "status", "--json").json()["run"] == goes_on
    assert [r["stream"] for r in program.asked(0, "review", "--json").json()["reviews"]] == ["kept"]
    assert program.asked(0, "review", "kept", "--json").json()["run"] == goes_on
    assert "too long for one line" in program.asked(1, "send", "kept", "x" * 100_000).err
    assert "kept is over: it has succeeded" in program.expect(1, "send", "kept", "x").err
    assert "kept asks nothing" in program.asked(0, "answer", "kept").err
