"""Rehearsals with real faults: each is mended, nothing is lost, the project never knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program
from tests.engine.repositories import git

WORK = "for i in 1 2 3; do echo $i > $ANABRANCH_STREAM.$i; echo $i; sleep 0.4; done"


SHORT = "echo done > $ANABRANCH_STREAM.txt"


def drilled(program: Program, code: int, *options: str) -> dict[str, Any]:
    record: dict[str, Any] = program.expect(code, "drill", "--json", *options).json()
    return record


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {found["fault"]: found["outcome"] for found in report["faults"]}


@pytest.fixture
def scratches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which drills make their scratch copies."""
    place = tmp_path / "scratches"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@pytest.fixture
def small_disk(program: Program) -> tuple[str, ...]:
    """Return what makes a drill fill a disk; nothing where the machine gives none of one's own."""
    program.plan({"s": "true"})
    asked = program.run("drill", "--full-disk", "s", "--limit", "0.1s")
    return () if asked.code == 2 else ("--full-disk", "filling")


def test_every_fault_is_mended_and_the_project_never_knows(
    program: Program, scratches: Path, small_disk: tuple[str, ...]
) -> None:
    names = ("killed", "frozen", "late", "one", "other", "filling")
    program.plan(dict.fromkeys(names, WORK), recovery={"max_retries": 2}, max_parallel=6)
    before = git(program.project, "for-each-ref"), git(program.project, "status", "--porcelain")
    report = drilled(
        program,
        0,
        *("--kill", "killed", "--stall", "frozen", "--slow-start", "late"),
        *("--conflict", "one,other", "--clock-jump", "3600", "--heartbeat", "4s"),
        *small_disk,
    )
    assert report["passed"], report
    assert report["converged"]
    assert outcomes(report) == {
        "kill killed": "recovered",
        "stall frozen": "recovered",
        "slow-start late": "left_alone",
        "conflict one,other": "recovered",
        "clock-jump 3600 s": "left_alone",
        **({"full-disk filling": "recovered"} if small_disk else {}),
    }
    by_fault = {found["fault"]: found for found in report["faults"]}
    assert by_fault["kill killed"]["files"] >= 2, "the mark of the drill, and the stream's own"
    # The clock's jump, which may come right after, counts for three seconds of the four.
    assert by_fault["stall frozen"]["noticed_seconds"] >= 1
    assert "hard recovery" in by_fault["stall frozen"]["did"]
    assert report["files_lost"] == []
    assert any("frozen may be silent for 4 s" in c for c in report["changed_for_the_drill"])
    assert before == (
        git(program.project, "for-each-ref"),
        git(program.project, "status", "--porcelain"),
    )
    assert list(scratches.iterdir()) == []
    assert not program.run("runs", "--json").json()["runs"]


def test_a_plan_without_retries_shows_what_it_lacks(program: Program, scratches: Path) -> None:
    program.plan({"only": {"command": WORK, "retries": 0}})
    report = drilled(program, 1, "--kill", "only")
    (found,) = report["faults"]
    assert (found["outcome"], found["lost"]) == ("not_recovered", [])
    assert "SIGKILL" in found["reason"]


def test_a_folder_that_is_no_repository_is_drilled_too(scratches: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    program = Program(folder, tmp_path / "state", tmp_path / "commands")
    try:
        program.plan({"s": WORK}, recovery={"max_retries": 2})
        report = drilled(program, 0, "--kill", "s")
        assert report["files_at_risk"] >= 2
        assert report["files_lost"] == []
        assert os.listdir(folder) == ["anabranch.toml"]
    finally:
        program.end_everything()


def test_no_stream_is_too_short_for_a_fault(program: Program, scratches: Path) -> None:
    """Each fault comes before the end of the work that it disturbs, by construction."""
    program.plan(dict.fromkeys(("one", "other"), SHORT), recovery={"max_retries": 2})
    report = drilled(program, 0, "--clock-jump", "3600", "--conflict", "one,other")
    assert "not_injected" not in outcomes(report).values(), report
    assert report["passed"], report


def test_a_full_disk_is_told_and_waited_out(
    program: Program, scratches: Path, small_disk: tuple[str, ...]
) -> None:
    if not small_disk:
        pytest.skip("this machine gives no small disk of one's own")
    program.plan({"filling": SHORT, "t": WORK}, recovery={"max_retries": 2})
    (found,) = drilled(program, 0, *small_disk, "--limit", "60s")["faults"]
    assert found["outcome"] == "recovered"
    assert found["noticed_seconds"] is not None
    assert any("disk is full" in act for act in found["did"])
    assert list(scratches.iterdir()) == []


def test_what_cannot_be_drilled_is_refused_and_leaves_nothing(
    program: Program, scratches: Path
) -> None:
    program.plan({"alpha": "true", "beta": "true"})
    for options, answer in (
        (("--kill", "alpa"), "did you mean 'alpha'?"),
        (("--conflict", "alpha"), "A,B"),
        (("--full-disk", "alpha", "--keep"), "--keep"),
    ):
        assert answer in program.expect(2, "drill", *options).err
    assert os.listdir(scratches) == []
