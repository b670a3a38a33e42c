"""Old runs go by themselves where the plan says so, and only if all their work is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, until
from tests.e2e.test_removing import STEPS, begun, left_of
from tests.engine.repositories import git

AT_ONCE = {"converged": 0.001, "at_least": 0}
FOLDERS = {"method": "worktree"}


def a_run(program: Program, name: str, *options: str, code: int = 0, **coordination: Any) -> str:
    """Have a run of one stream that writes a file of this name; return the run."""
    program.plan({name: f"echo {name} > {name}.txt"}, isolation=FOLDERS, **coordination)
    program.expect(code, "run", "--headless", *options)
    return program.folder().run


def told(program: Program) -> list[dict[str, Any]]:
    return [e for e in program.events() if e["type"] == "old_runs_removed"]


def test_a_merged_run_goes_and_one_with_work_of_its_own_stays(program: Program) -> None:
    """What stays is named with the reason, and nothing of it is touched."""
    merged = a_run(program, "one", "--approve")
    unmerged = a_run(program, "two")
    worked_in = a_run(program, "three", "--approve")
    (own,) = (Path(s["workspace"]) for s in program.streams().values())
    (own / "mine.txt").write_text("work\n")
    before = left_of(program, unmerged)
    program.plan({"last": "true"}, isolation=FOLDERS, keep_runs=AT_ONCE)
    answer = program.expect(0, "run", "--headless")
    (event,) = told(program)
    assert (event["removed"], set(event["kept"])) == ([merged], {unmerged, worked_in})
    assert "only it keeps" in event["kept"][unmerged]
    assert "holds what nothing else keeps" in event["kept"][worked_in]
    assert f"removed {merged}" in answer.err
    assert f"{unmerged} stays: only it keeps" in answer.err
    assert left_of(program, merged) == []
    assert left_of(program, unmerged) == before
    assert (own / "mine.txt").read_text() == "work\n"
    assert "rescue" not in git(program.project, "for-each-ref")
    assert (program.project / "one.txt").read_text() == "one\n"


def test_nothing_goes_unless_it_is_asked_for_and_the_newest_stay(program: Program) -> None:
    first = a_run(program, "one", "--approve")
    second = a_run(program, "two", "--approve")
    assert told(program) == []
    third = a_run(program, "three", keep_runs={"converged": "30d", "at_least": 0})
    fourth = a_run(program, "four", keep_runs={"failed": 0.001, "at_least": 0})
    assert (told(program), len(program.run_folders())) == ([], 4)
    last = a_run(program, "five", keep_runs={**AT_ONCE, "at_least": 4})
    assert [home.run for home in program.run_folders()] == [second, third, fourth, last]
    assert told(program)[0]["removed"] == [first]


@pytest.mark.parametrize("last", ["noted", "refs"])
def test_a_removal_that_was_killed_is_finished_by_the_next_run(
    program: Program, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(program.state_home))
    merged = a_run(program, "one", "--approve")
    program.expect(0, "gc")
    begun(program, STEPS.index(last))
    a_run(program, "two", keep_runs={"converged": "30d"})
    assert told(program)[0]["removed"] == [merged]
    assert left_of(program, merged) == []


def test_work_that_nobody_has_reviewed_keeps_its_run(program: Program) -> None:
    """Even if the same files came to a branch in another way."""
    one = {"command": "echo 1 > 1.txt", "review": True}
    program.plan({"one": one, "two": "sleep 60"}, isolation=FOLDERS, max_parallel=2)
    host = program.begin("run", "--headless")
    until(lambda: program.run_folders() and program.streams()["one"]["state"] == "succeeded", "1")
    program.expect(0, "stop")
    host.wait()
    (program.project / "1.txt").write_text("1\n")
    git(program.project, "add", "1.txt")
    git(program.project, "commit", "-qm", "by hand")
    unreviewed = program.folder().run
    a_run(program, "two", keep_runs={"stopped": 0.001, "at_least": 0})
    assert told(program)[0]["kept"] == {unreviewed: "one is not reviewed"}
    git(program.project, "rev-parse", f"refs/anabranch/{unreviewed}/one")


def test_ignored_files_that_a_stream_has_changed_keep_a_run_too(program: Program) -> None:
    """They are in no commit, so no branch can have them; a person is asked about them as well."""
    (program.project / ".gitignore").write_text(".env\n")
    (program.project / ".env").write_text("A=1\n")
    git(program.project, "add", ".gitignore")
    git(program.project, "commit", "-qm", "ignored")
    isolation = {**FOLDERS, "include": [".env"]}
    program.plan({"one": "echo B=2 >> .env; echo 1 > 1.txt"}, isolation=isolation)
    program.expect(0, "run", "--headless", "--approve")
    run = program.folder().run
    a_run(program, "two", keep_runs=AT_ONCE)
    assert "ignored files that one.1 had changed" in told(program)[0]["kept"][run]
    said = program.asked(5, "runs", "rm", run).err
    assert "ignored files that one.1 had changed" in said
    aside = next(program.state_home.rglob("aside"))
    assert [p.read_text() for p in aside.rglob(".env")] == ["A=1\nB=2\n"]
    program.expect(0, "runs", "rm", run, "--lose-work")
    assert not list(program.state_home.rglob("aside"))
