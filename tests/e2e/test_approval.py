"""Approval brings the result to the user's branch, or refuses and changes nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.checkouts import likeness
from tests.e2e.program import Program, until
from tests.engine.repositories import git, write

Spoil = Callable[[Program], None]


def plan(program: Program, then: str = "true") -> None:
    """Write a plan that changes a file, adds one, removes one, and makes one executable."""
    work = "echo changed > src/a.txt; echo new > new.txt; git rm -q gone.txt; chmod +x tool.sh"
    write(program.project, {"gone.txt": "gone\n", "tool.sh": "#!/bin/sh\n", "same.txt": "abc\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-q", "-m", "more")
    program.plan({"work": f"{work}; {then}"})
    git(program.project, "add", "anabranch.toml")
    git(program.project, "commit", "-q", "-m", "plan")


def test_what_was_committed_to_the_results_branch_is_not_said_to_be_approved(
    program: Program,
) -> None:
    """The approval brings what the run has merged and checked, and names what it does not."""
    program.plan({"one": "echo 1 > one.txt"})
    program.expect(0, "run", "--headless")
    branch = program.status()["branch"]
    git(program.project, "switch", "-q", branch)
    git(program.project, "commit", "-q", "--allow-empty", "-m", "by hand")
    git(program.project, "switch", "-q", "main")
    answer = program.expect(0, "approve")
    assert f"git merge {branch}" in answer.out + answer.err
    git(program.project, "merge", "-q", "--ff-only", branch)


def test_what_is_approved_is_the_run_that_began_last(program: Program) -> None:
    """Not the one whose name says a later hour, because it was somewhere further east."""
    for zone, text in (("Asia/Tokyo", "old"), ("UTC", "new")):
        answer = program.begin("run", "--headless", "--", f"echo {text} > r", TZ=zone).wait()
        assert answer.code == 0, answer
    answer = program.begin("approve", TZ="UTC").wait()
    assert answer.code == 0, answer
    assert (program.project / "r").read_text() == "new\n"


def test_a_clean_checkout_is_brought_along(program: Program) -> None:
    """The branch stands on the result, the files are there, and the checkout is clean."""
    plan(program)
    answer = program.expect(0, "run", "--headless", "--approve")
    assert "main has the result" in answer.err
    project, status = program.project, program.status()
    assert status["approved"]
    assert git(project, "rev-parse", "main").strip() == status["commit"]
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current").strip() == "main"
    assert (project / "src/a.txt").read_text() == "changed\n"
    assert (project / "new.txt").read_text() == "new\n"
    assert not (project / "gone.txt").exists()
    assert (project / "tool.sh").stat().st_mode & 0o111


def test_a_folder_in_place_of_a_workspace_never_reaches_the_checkout(program: Program) -> None:
    """Renamed away and a link put there: the stream has failed, and nobody's files are touched."""
    write(program.project.parent / "secret", {"key": "secret\n"})
    link = f"ln -s {program.project.parent / 'secret'} $W"
    folders = {"method": "worktree"}  # nobody can move a mount
    program.plan({"work": f"W=$PWD; cd /; mv $W $W.x; {link}"}, isolation=folders)
    before = likeness(program.project)
    program.expect(1, "run", "--headless", "--approve")
    assert likeness(program.project) == before
    (stream,) = program.status()["streams"]
    assert stream["state"] == "failed"
    assert "the workspace was replaced" in stream["reason"]


def change_a_file(program: Program) -> None:
    """The user has changed a file that the result changes too."""
    write(program.project, {"src/a.txt": "mine\n"})


def stage_a_file(program: Program) -> None:
    """The user has staged a change."""
    write(program.project, {"src/a.txt": "mine\n"})
    git(program.project, "add", "-A")


def leave_a_file_in_the_way(program: Program) -> None:
    """The user has an untracked file where the result has a new one."""
    write(program.project, {"new.txt": "mine, and nowhere else\n"})


def leave_an_ignored_file_in_the_way(program: Program) -> None:
    """The file in the way is ignored, so ``git status`` does not show it."""
    write(program.project, {".git/info/exclude": "new.txt\n", "new.txt": "mine\n"})


def move_the_branch(program: Program) -> None:
    """The user has committed meanwhile."""
    git(program.project, "commit", "-q", "--allow-empty", "-m", "meanwhile")


def check_the_branch_out_elsewhere(program: Program) -> None:
    """The user has the branch in another work tree, which would not be brought along."""
    git(program.project, "checkout", "-q", "--detach")
    git(program.project, "worktree", "add", "-q", str(program.scratch / "elsewhere"), "main")


def begin_a_merge(program: Program) -> None:
    """The user is in the middle of a merge with a conflict."""
    project = program.project
    for branch, text in (("left", "left\n"), ("right", "right\n")):
        git(project, "checkout", "-q", "-b", branch, "main")
        write(project, {"same.txt": text})
        git(project, "commit", "-q", "-a", "-m", branch)
    git(project, "checkout", "-q", "main")
    git(project, "merge", "-q", "--no-commit", "--no-ff", "left")
    git(project, "merge", "right", check=False)


SPOILERS = (
    change_a_file,
    stage_a_file,
    leave_a_file_in_the_way,
    leave_an_ignored_file_in_the_way,
    move_the_branch,
    check_the_branch_out_elsewhere,
    begin_a_merge,
)


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_what_would_lose_work_is_refused(program: Program, spoil: Spoil) -> None:
    """Done while the stream runs: exit 5, words and a next step, and nothing is changed."""
    gate = program.scratch / "gate"
    plan(program, f"echo ready; until test -e {gate}; do sleep 0.05; done")
    host = program.begin("run", "--headless", "--approve")
    program.await_log("work", "ready")
    spoil(program)
    before = likeness(program.project)
    gate.touch()
    answer = host.wait()
    assert answer.code == 5, answer
    assert "not approved:" in answer.err
    assert "Traceback" not in answer.err
    assert likeness(program.project) == before
    status = program.status()
    assert status["state"] == "converged"
    assert not status["approved"]
    assert git(program.project, "show", f"{status['commit']}:new.txt") == "new\n"


def test_a_run_that_began_on_no_branch_is_not_approved(program: Program) -> None:
    """With a detached HEAD there is no branch to move: exit 5, and the result stays."""
    plan(program)
    git(program.project, "checkout", "-q", "--detach")
    before = likeness(program.project)
    answer = program.run("run", "--headless", "--approve")
    assert answer.code == 5, answer
    assert "not approved:" in answer.err
    assert likeness(program.project) == before
    assert program.status()["commit"]


def test_a_change_in_the_second_of_the_commit_is_seen(program: Program) -> None:
    """git compares whole seconds; the user's change of the same size and second is not lost."""
    plan(program, "echo '# ' > same.txt; sleep 1.1")
    path = program.project / "same.txt"

    def changed_at_once() -> bool:
        git(program.project, "rm", "-q", "--cached", "same.txt")
        path.write_text("abc\n")
        git(program.project, "add", "same.txt")
        with open(path, "r+b") as file:
            file.write(b"xyz\n")
        index = program.project / ".git" / "index"
        return int(path.stat().st_mtime) == int(index.stat().st_mtime)

    until(changed_at_once, "file and index are changed within one second")
    answer = program.run("run", "--headless", "--approve")
    assert answer.code == 5, answer
    assert path.read_text() == "xyz\n"


def test_a_refused_result_is_approved_after_tidying_up(program: Program) -> None:
    """``approve`` is refused as long as something is in the way, then brings the branch along."""
    plan(program)
    write(program.project, {"new.txt": "in the way\n"})
    assert program.run("run", "--headless", "--approve").code == 5
    refused = program.expect(5, "approve")
    assert "new.txt" in refused.err
    assert (program.project / "new.txt").read_text() == "in the way\n"
    (program.project / "new.txt").unlink()
    answer = program.expect(0, "approve")
    assert "main has the result" in answer.err
    assert (program.project / "new.txt").read_text() == "new\n"
    assert git(program.project, "status", "--porcelain") == ""
    again = program.expect(2, "approve")
    assert "was brought to your branch before" in again.err


@pytest.fixture
def plain(tmp_path: Path) -> Program:
    """Give the program in a folder that is no repository."""
    project = tmp_path / "plain"
    write_plain = {"a.txt": "a\n", "sub/b.txt": "b\n", "ünï.txt": "non-ASCII\n"}
    project.mkdir()
    write(project, write_plain)
    (project / "link").symlink_to("a.txt")
    return Program(project, tmp_path / "state", tmp_path / "scratch")


def test_a_plain_folder_gets_its_result_beside_it(plain: Program) -> None:
    """Without approval the folder stays as it is; the result lies in the run's folder."""
    plain.plan({"s": "echo more >> a.txt; echo new > new.txt; rm sub/b.txt"})
    before = likeness(plain.project)
    plain.expect(0, "run", "--headless")
    assert likeness(plain.project) == before
    result = plain.folder().path / "result"
    assert (result / "a.txt").read_text() == "a\nmore\n"
    assert (result / "new.txt").read_text() == "new\n"
    assert not (result / "sub/b.txt").exists()
    assert (result / "link").is_symlink()
    for command in ("status", "report"):
        answer = plain.asked(0, command).out
        assert str(result) in " ".join(answer.split())
        assert "branch anabranch/" not in answer
        assert plain.asked(0, command, "--json").json()["result_folder"] == str(result)


def test_a_plain_folder_can_be_approved(plain: Program) -> None:
    """File by file: changed, new and removed ones; what nobody touched keeps its time."""
    plain.plan({"s": "echo more >> a.txt; echo new > new.txt; rm sub/b.txt"})
    untouched = (plain.project / "ünï.txt").stat().st_mtime_ns
    answer = plain.expect(0, "run", "--headless", "--approve")
    assert "has the result" in answer.err
    assert (plain.project / "a.txt").read_text() == "a\nmore\n"
    assert (plain.project / "new.txt").read_text() == "new\n"
    assert not (plain.project / "sub/b.txt").exists()
    assert (plain.project / "ünï.txt").stat().st_mtime_ns == untouched
    assert not (plain.project / ".git").exists()


def test_a_plain_folder_changed_meanwhile_is_refused(plain: Program) -> None:
    """The user has edited the same file while the run went: exit 5, and the edit stays."""
    gate = plain.scratch / "gate"
    plain.plan({"s": f"echo ready; until test -e {gate}; do sleep 0.05; done; echo s >> a.txt"})
    host = plain.begin("run", "--headless", "--approve")
    plain.await_log("s", "ready")
    write(plain.project, {"a.txt": "mine\n"})
    gate.touch()
    answer = host.wait()
    assert answer.code == 5, answer
    assert (plain.project / "a.txt").read_text() == "mine\n"


def test_a_result_comes_onto_a_branch_that_has_moved_on(program: Program) -> None:
    """Refused as long as nobody says so; then merged once more, verified again, and there."""
    plan(program)
    program.plan(
        {"work": "echo changed > src/a.txt; echo new > new.txt"},
        convergence={"final": {"verify": "test -e new.txt && test ! -e forbidden.txt"}},
    )
    git(program.project, "commit", "-qam", "verify")
    program.expect(0, "run", "--headless")
    write(program.project, {"meanwhile.txt": "meanwhile\n", "forbidden.txt": "x\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "meanwhile")
    before = likeness(program.project)
    assert "--onto" in program.expect(5, "approve").err
    failed = program.expect(4, "approve", "--onto")
    assert "does not pass" in failed.err
    assert likeness(program.project) == before
    git(program.project, "rm", "-q", "forbidden.txt")
    git(program.project, "commit", "-qm", "mended")
    assert "main has the result" in program.expect(0, "approve", "--onto", "main").err
    assert git(program.project, "status", "--porcelain") == ""
    assert (program.project / "src/a.txt").read_text() == "changed\n"
    assert (program.project / "meanwhile.txt").read_text() == "meanwhile\n"
    parents = git(program.project, "rev-list", "--parents", "-1", "main").split()
    assert len(parents) == 3, "both histories are there"


def test_a_result_that_does_not_merge_onto_a_branch_changes_nothing(program: Program) -> None:
    """A conflict is told with its paths (exit 4); another branch takes what this one does not."""
    plan(program)
    program.expect(0, "run", "--headless")
    git(program.project, "branch", "other")
    write(program.project, {"src/a.txt": "mine\n"})
    git(program.project, "commit", "-qam", "mine")
    before = likeness(program.project)
    assert "conflict in src/a.txt" in program.expect(4, "approve", "--onto").err
    assert "no branch nowhere" in program.expect(5, "approve", "--onto", "nowhere").err
    assert likeness(program.project) == before
    program.expect(0, "approve", "--onto", "other")
    assert git(program.project, "show", "other:src/a.txt") == "changed\n"
    assert (program.project / "src/a.txt").read_text() == "mine\n"


def test_what_others_run_or_obey_is_named_before_it_is_taken_over(program: Program) -> None:
    """Exit 4, with the paths and the two ways on; a plan names more, and what builds is told."""
    files = ".github/workflows/ci.yml deploy/run.sh package.json"
    work = f"mkdir -p .github/workflows deploy; for f in {files}; do echo x > $f; done"
    program.plan({"work": work}, isolation={"sensitive": ["deploy/**"]})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "plan")
    before = likeness(program.project)
    answer = program.expect(4, "run", "--headless", "--approve").err
    assert "changes what others run or obey: .github/workflows/ci.yml, deploy/run.sh" in answer
    assert "work changed what others run or obey: .github/workflows/ci.yml, package.json" in answer
    assert "--allow-sensitive" in answer
    assert likeness(program.project) == before
    program.expect(4, "approve")
    program.expect(0, "approve", "--allow-sensitive")
    assert (program.project / ".github/workflows/ci.yml").exists()


def test_what_an_approval_would_fail_of_stops_a_run_that_has_not_begun(program: Program) -> None:
    """Nothing is run in vain, and no run is left behind."""
    plan(program, "touch ../ran")
    git(program.project, "branch", "anabranch")
    assert "git branch -m anabranch" in program.expect(2, "run", "--headless").err
    git(program.project, "branch", "-m", "anabranch", "mine")
    write(program.project, {"src/a.txt": "not committed\n"})
    assert (
        "uncommitted changes: src/a.txt" in program.expect(5, "run", "--headless", "--approve").err
    )
    assert program.run_folders() == []
