"""How another tool for worktrees has lost work, by its changelog, tried on ours.

Worktrunk 0.72 to 0.74, https://github.com/max-sixty/worktrunk/blob/main/CHANGELOG.md. By number:

* 3808, 3785 (another worktree, or a clone, stood where one was registered and was deleted for it):
  :func:`test_what_was_put_in_a_workspaces_place_is_never_removed_for_it`.
* 3785 (a folder that was removed and made again ended in a failure of git's): the same test.
* 3692 (removals at the same time tore at each other's registry):
  :func:`test_removals_at_the_same_time_do_each_run_once`.
* 3759 (a merge landed in the middle of a stopped cherry-pick and was committed with it):
  :func:`test_a_result_does_not_land_in_a_stopped_cherry_pick`.
* 3703 (uncommitted changes were set aside for a merge and came back otherwise):
  ``test_approval.py``, ``tests/engine/test_approving.py::test_refused_approval_changes_nothing``.
* 3820 (what could not be copied was deleted all the same; a file changed meanwhile):
  ``tests/engine/test_reclaiming.py::test_read_only_folders_and_special_files_go_too``,
  ``::test_what_cannot_be_proved_keeps_the_workspace``.
* 3710 (a branch that is checked out, or has moved, is kept and said to be):
  ``test_removing.py::test_what_moved_after_the_word_was_given_is_asked_about_anew``.
* 3744 (a file that vanished while it was copied took its target along): nothing of ours copies over
  something that is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.engine.repositories import git

FOLDERS = {"method": "worktree"}


def test_what_was_put_in_a_workspaces_place_is_never_removed_for_it(program: Program) -> None:
    """No word helps against it: whoever gave it may not know whose the folder is."""
    program.plan({"one": "echo 1 > 1", "two": "echo 2 > 2"}, isolation=FOLDERS, fusion=False)
    program.expect(0, "run", "--headless")
    program.expect(0, "approve")
    run, streams = program.folder().run, program.streams()
    one, two = (Path(streams[name]["workspace"]) for name in ("one", "two"))
    kept = program.scratch / "kept"
    one.rename(kept)
    for put_there in ("sibling", "clone"):
        if put_there == "sibling":
            two.rename(one)
        else:
            git(program.project, "clone", "-q", str(program.project), str(one))
        (one / "only-here").write_text("work\n")
        answer = program.run("gc", run)
        assert (answer.code, "the workspace was replaced" in answer.out) == (5, True)
        said = program.asked(2, "runs", "rm", run, "--lose-work").err
        assert "is not what was made for it" in said
        assert (one / "only-here").read_text() == "work\n"
        if put_there == "sibling":
            one.rename(two)
        else:
            shutil.rmtree(one)
    one.mkdir()
    assert "the workspace was replaced" in program.asked(5, "gc", run).out
    assert "one.1: the workspace was replaced" in program.asked(5, "runs", "rm", run).err
    program.expect(0, "runs", "rm", run, "--lose-work")
    assert (kept / "1").read_text() == "1\n"


def test_removals_at_the_same_time_do_each_run_once(program: Program) -> None:
    for number in range(2):
        program.plan({"one": f"echo {number} > {number}.txt"})
        program.expect(0, "run", "--headless", "--approve")
    runs = [home.run for home in program.run_folders()]
    at_once = [program.begin("runs", "rm", *order) for order in (runs, runs[::-1])]
    at_once.append(program.begin("gc"))
    for each in at_once:
        answer = each.wait()
        assert answer.code in (0, 2, 3), answer
        assert "Traceback" not in answer.err
        assert "should not have happened" not in answer.err
    program.run("runs", "rm", "--older-than", "1s")
    assert program.asked(0, "runs", "--json").json()["runs"] == []
    assert not [ref for ref in git(program.project, "for-each-ref").split() if "anabranch" in ref]
    assert git(program.project, "fsck", "--connectivity-only") == ""


def test_a_result_does_not_land_in_a_stopped_cherry_pick(program: Program) -> None:
    """Its conflict is settled and staged; nothing shows that it has stopped but git's own note."""
    program.plan({"one": "echo 1 > 1"}, isolation=FOLDERS)
    readme = program.project / "README.md"
    branch = git(program.project, "symbolic-ref", "--short", "HEAD").strip()
    git(program.project, "checkout", "-q", "-b", "side")
    git(program.project, "add", "-A")
    readme.write_text("side\n")
    git(program.project, "commit", "-qam", "side")
    git(program.project, "checkout", "-q", branch)
    program.plan({"one": "echo 1 > 1"}, isolation=FOLDERS)
    readme.write_text("main\n")
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "main")
    program.expect(0, "run", "--headless")
    with pytest.raises(Exception, match="cherry-pick"):
        git(program.project, "cherry-pick", "side")
    git(program.project, "checkout", "-q", "HEAD", "--", ".")
    before = git(program.project, "rev-parse", "HEAD")
    for onto in ((), ("--onto", branch)):
        answer = program.run("approve", *onto)
        assert answer.code != 0
        assert "a cherry-pick" in answer.err
        assert git(program.project, "rev-parse", "HEAD") == before
        assert not (program.project / "1").exists()
