"""Removing runs: with proof or with a word, and whenever it is killed a second call finishes it."""

from __future__ import annotations

import shutil
import signal
from itertools import islice

import pytest

from anabranch.engine.cleaning import clean_caches
from anabranch.engine.opening import open_project
from anabranch.engine.removing import Agreed, remove_run, steps
from anabranch.engine.runs import read_run, why_removing
from anabranch.engine.workspaces.run_refs import refs_of_run
from anabranch.plugins import load_plugins
from tests.e2e.program import Program, until
from tests.engine.repositories import git

BUILT_IN = load_plugins().strategies
SOCKETS = shutil.ignore_patterns("*.sock", "ctl", "attach")
STEPS = ("noted", "workspaces", "refs", "store", "records")


def left_of(program: Program, run: str) -> list[str]:
    """Everything that names a run still: refs, and paths in the state folder."""
    refs = git(program.project, "for-each-ref", "--format=%(refname)").split()
    paths = [str(path) for path in program.state_home.rglob(f"*{run}*")]
    return [name for name in (*refs, *paths) if run in name]


@pytest.fixture
def ran(program: Program) -> Program:
    """A converged run whose result is not taken over yet."""
    program.plan({"one": "echo 1 > 1.txt", "two": "echo 2 > 2.txt"})
    program.expect(0, "run", "--headless")
    return program


def test_a_run_goes_once_its_work_is_kept_elsewhere(ran: Program) -> None:
    """Before that it stays, and what would be lost is named; nothing of it is touched."""
    run = ran.folder().run
    before = left_of(ran, run)
    answer = ran.run("runs", "rm", run, "--json")
    (told,) = answer.json()["runs"]
    assert (answer.code, told["outcome"]) == (5, "kept")
    assert f"refs/heads/anabranch/{run}" in {item["ref"] for item in told["would_lose"]}
    refs = [name for name in before if name.startswith("refs/")]
    assert [name for name in left_of(ran, run) if name in refs] == [
        name for name in refs if "/start/" not in name and "/tips/" not in name
    ]
    assert "kept, for work would be lost" in ran.asked(5, "runs", "rm", run).err
    ran.expect(0, "approve")
    assert "would be removed" in ran.asked(0, "runs", "rm", "--older-than", "1s", "--dry-run").out
    assert "no run is that old" in ran.asked(0, "runs", "rm", "--older-than", "1d").err
    assert "removed" in ran.asked(0, "runs", "rm", run).out
    assert left_of(ran, run) == []
    assert (ran.project / "1.txt").read_text() == "1\n"


def test_a_run_that_goes_on_or_waits_is_refused_whatever_is_said(program: Program) -> None:
    gate = program.scratch / "gate"
    program.plan({"one": f"until test -e {gate}; do sleep 0.05; done", "two": "true"})
    host = program.begin("run", "--headless")
    until(
        lambda: program.run_folders() and program.streams()["one"]["state"] == "running", "begins"
    )
    run = program.folder().run
    assert "it is hosted" in program.asked(2, "runs", "rm", run, "--lose-work").err
    host.send(signal.SIGKILL)
    host.wait()
    assert "it is not over" in program.asked(2, "runs", "rm", run, "--lose-work").err
    gate.touch()
    program.expect(0, "resume", "--headless")
    git(program.project, "checkout", "-q", f"anabranch/{run}")
    assert "is checked out in" in program.asked(2, "runs", "rm", run, "--lose-work").err
    assert git(program.project, "rev-parse", "--verify", "HEAD")


def test_a_removal_that_was_killed_is_told_of_and_finished(
    ran: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word was given once; it is not asked again, and nothing of the run is left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(ran.state_home))
    ran.expect(0, "gc")  # nothing is mounted in it then
    home, places = ran.folder(), (ran.project, ran.state_home)
    kept = [place.with_name(f"{place.name}.kept") for place in places]
    for place, copy in zip(places, kept, strict=True):
        shutil.copytree(place, copy, symlinks=True, ignore=SOCKETS)
    for last in range(len(STEPS)):
        assert begun(ran, last) == STEPS[: last + 1]
        if last < STEPS.index("records"):
            found = read_run(home)
            assert (found.state, found.fault) == (None, why_removing(home))
            assert remove_run(home, BUILT_IN, is_rehearsal=True).would_lose == ()
            assert remove_run(home, BUILT_IN).outcome == "removed"
        else:
            assert not home.path.exists()
            clean_caches(ran.project)
        assert left_of(ran, home.run) == []
        for place, copy in zip(places, kept, strict=True):
            shutil.rmtree(place)
            shutil.copytree(copy, place, symlinks=True)
    begun(ran, 2)
    assert f"runs rm {home.run} goes on" in ran.asked(2, "resume", home.run, "--headless").err
    (row,) = ran.asked(0, "runs", "--json").json()["runs"]
    assert (row["run"], row["reason"]) == (home.run, why_removing(home))
    ran.expect(0, "runs", "rm", home.run)
    assert left_of(ran, home.run) == []


def test_what_moved_after_the_word_was_given_is_asked_about_anew(
    ran: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has committed on the run's branch meanwhile: that was never agreed to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(ran.state_home))
    home = ran.folder()
    begun(ran, 1)
    git(ran.project, "worktree", "add", "-q", "../beside", f"anabranch/{home.run}")
    beside = ran.project.parent / "beside"
    git(beside, "commit", "-q", "--allow-empty", "-m", "mine")
    (beside / "mine.txt").write_text("m\n")
    git(beside, "add", "-A")
    git(beside, "commit", "-q", "-m", "mine")
    git(ran.project, "worktree", "remove", "--force", "../beside")
    kept = remove_run(home, BUILT_IN)
    assert kept.outcome == "kept"
    assert f"refs/heads/anabranch/{home.run}" in {item.ref for item in kept.would_lose}
    assert git(ran.project, "show", f"anabranch/{home.run}:mine.txt") == "m\n"
    assert remove_run(home, BUILT_IN, may_lose=True).outcome == "removed"


def begun(program: Program, last: int) -> tuple[str, ...]:
    """Do the first steps of a removal that a person has agreed to, and no more; return them."""
    repo, _ = open_project(program.project)
    home = program.folder()
    agreed = Agreed(refs_of_run(repo, home.run))
    return tuple(islice(steps(home, repo, agreed), last + 1))
