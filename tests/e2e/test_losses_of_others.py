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
* 3744 (a file that vanished while it was copied ended the copying, and its target was gone):
  :func:`test_what_vanishes_while_it_is_taken_along_takes_nothing_with_it`,
  ``tests/engine/test_including.py::test_a_file_that_changes_while_it_is_copied_is_said``.

And of those before:

* 3650, 3647 (a worktree that was away, locked or not, lost its registration when another one was
  removed): :func:`test_a_checkout_of_ones_own_that_is_away_is_left_registered`.
* 3662, 3533 (a branch was deleted that somebody had just checked out, or had in a second worktree):
  :func:`test_a_branch_that_is_checked_out_while_its_run_is_removed_stays`.
* 3658 (to plan a removal was to remove something):
  :func:`test_saying_what_would_be_removed_removes_nothing`.
* 3633 (told was what was to be removed, not what was): the same test, and ``test_removing.py``.
* 2809 (what was clean before the hooks ran was not looked at again behind them):
  :func:`test_what_a_teardown_leaves_behind_is_seen_before_its_workspace_goes`.
* 3614 (an ignored file was overwritten by one that the merge brought), 3558 (a merge came into a
  checkout in the middle of another operation):
  ``tests/engine/test_approving.py::test_refused_approval_changes_nothing``.
* 2501 (files were copied through a link to outside the worktree):
  ``tests/engine/test_including.py::test_a_link_in_the_workspace_is_never_followed``.
* 2463 (the backups of two branches had one name):
  ``tests/core/test_written_names.py::test_two_attempts_share_nothing_on_any_file_system``.
* 2849 (a backup was overwritten by the next one):
  :func:`test_what_is_moved_aside_takes_nobodys_place`.
* 3549 (what was upstream already was squashed into a branch): nothing of ours rewrites commits.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.opening import open_project
from anabranch.engine.removing import Agreed, steps
from anabranch.engine.workspaces.run_refs import refs_of_run
from anabranch.engine.workspaces.setting_aside import free_name
from tests.e2e.program import Program
from tests.engine.repositories import git

FOLDERS = {"method": "worktree"}
NOTED = frozenset({"engine.lock", "journal.db-shm", "journal.db-wal"})
"""What whoever reads leaves behind: who held the lock, and what the journal is read by."""


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


def test_a_checkout_of_ones_own_that_is_away_is_left_registered(program: Program) -> None:
    """Its folder may lie on a disk that is not mounted now; a rebase in it would be lost."""
    beside, away, locked = (program.scratch / name for name in ("beside", "away", "locked"))
    for place, branch in ((beside, "mine"), (locked, "other")):
        git(program.project, "worktree", "add", "-q", "-b", branch, str(place))
    (beside / "staged").write_text("staged\n")
    git(beside, "add", "staged")
    git(program.project, "worktree", "lock", str(locked))
    beside.rename(away)
    shutil.rmtree(locked)
    before = git(program.project, "worktree", "list", "--porcelain")
    program.plan({"one": "echo 1 > 1", "two": "echo 2 > 2"}, isolation=FOLDERS, fusion=False)
    program.expect(0, "run", "--headless", "--approve")
    program.expect(0, "gc")
    program.expect(0, "runs", "rm", program.folder().run)
    head = git(program.project, "rev-parse", "HEAD").strip()
    after = git(program.project, "worktree", "list", "--porcelain")
    assert after.split("\n\n")[1:] == before.split("\n\n")[1:]
    assert head in after.split("\n\n")[0]
    away.rename(beside)
    assert git(beside, "status", "--porcelain") == "A  staged\n"


def test_a_branch_that_is_checked_out_while_its_run_is_removed_stays(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands on it would stand on nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(program.state_home))
    program.plan({"one": "echo 1 > 1"}, isolation=FOLDERS)
    program.expect(0, "run", "--headless", "--approve")
    program.expect(0, "gc")
    home = program.folder()
    repo, _ = open_project(program.project)
    going = steps(home, repo, Agreed(refs_of_run(repo, home.run)))
    assert [next(going), next(going)] == ["noted", "workspaces"]
    beside, branch = program.scratch / "beside", f"anabranch/{home.run}"
    git(program.project, "worktree", "add", "-q", str(beside), branch)
    with pytest.raises(GitError, match="checked out in"):
        next(going)
    assert git(beside, "status", "-sb") == f"## {branch}\n"
    assert f"is checked out in {beside}" in program.asked(2, "runs", "rm", home.run).err
    git(program.project, "worktree", "remove", str(beside))
    program.expect(0, "runs", "rm", home.run)


def test_saying_what_would_be_removed_removes_nothing(program: Program) -> None:
    """Neither notes, nor refs, nor what git keeps of worktrees that are away."""
    program.plan({"one": "echo 1 > 1; echo built > built.o"}, isolation=FOLDERS)
    program.expect(0, "run", "--headless", "--approve")
    away = program.scratch / "away"
    git(program.project, "worktree", "add", "-q", "--detach", str(away))
    shutil.rmtree(away)
    run = program.folder().run
    places = (program.project / ".git", program.state_home)

    def standing() -> dict[str, bytes]:
        files = (path for place in places for path in place.rglob("*"))
        return {str(p): p.read_bytes() for p in files if p.is_file() and p.name not in NOTED}

    before = standing()
    program.expect(0, "gc", "--dry-run")
    program.expect(0, "gc", "--dry-run", "--caches")
    program.expect(0, "runs", "rm", "--dry-run", run)
    program.expect(0, "runs", "rm", "--dry-run", "--older-than", "1s")
    assert standing() == before


def test_what_vanishes_while_it_is_taken_along_takes_nothing_with_it(program: Program) -> None:
    """A build rewrites what git ignores all the time, here as fast as it can."""
    built = program.project / "built"
    (program.project / ".gitignore").write_text("built/\n")
    git(program.project, "add", ".gitignore")
    git(program.project, "commit", "-qm", "ignored")
    built.mkdir()
    (built / "stays").write_text("stays\n")
    for number in range(200):
        (built / f"o{number}").write_text("object\n")
    script = "import os, sys\nn = 0\nwhile True:\n" + "".join(
        f" {line}\n"
        for line in (
            "n = (n + 1) % 200",
            "name = f'{sys.argv[1]}/o{n}'",
            "os.unlink(name)",
            "open(name, 'w').write('object\\n')",
        )
    )
    build = subprocess.Popen([sys.executable, "-c", script, str(built)])
    try:
        for method in ("worktree", "auto"):
            isolation = {"method": method, "include": ["built/"]}
            program.plan({"one": "cat built/stays > 1; ls built | wc -l"}, isolation=isolation)
            program.expect(0, "run", "--headless")
            assert program.streams()["one"]["state"] == "succeeded"
            assert (built / "stays").read_text() == "stays\n"
    finally:
        build.kill()
        build.wait()


def test_what_a_teardown_leaves_behind_is_seen_before_its_workspace_goes(program: Program) -> None:
    """What was clean when its work was kept may not be clean any more."""
    one = {
        "command": "echo 1 > 1",
        "teardown": "echo late > late; git commit -q --allow-empty -m x",
    }
    program.plan({"one": one}, isolation=FOLDERS)
    program.expect(0, "run", "--headless", "--approve")
    (row,) = program.asked(0, "gc", "--json").json()["runs"][0]["workspaces"]
    assert row["outcome"] == "parked"
    assert git(program.project, "show", f"{row['ref']}:late") == "late\n"
    assert row["ref"] in program.asked(5, "runs", "rm", program.folder().run).err


def test_what_is_moved_aside_takes_nobodys_place(tmp_path: Path) -> None:
    """Also not that of a link to nowhere, which exists for nobody who follows it."""
    (tmp_path / "one@leftover-1").mkdir()
    (tmp_path / "one@leftover-2").symlink_to("nowhere")
    assert free_name(tmp_path / "one") == tmp_path / "one@leftover-3"
