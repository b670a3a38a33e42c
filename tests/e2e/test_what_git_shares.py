"""What git shares inside one repository stays the user's: no stream takes, drops or moves it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.program import PROGRAM, Program, until
from tests.engine.repositories import git, make_repository


@pytest.fixture
def repository(program: Program) -> Path:
    """The project as a repository with one commit."""
    return make_repository(program.project, {"a.txt": "".join(f"{n}\n" for n in range(1, 31))})


def test_a_run_begun_by_a_hook_works_in_its_own_workspaces(
    program: Program, repository: Path
) -> None:
    """Neither the index nor the identity of the user's commit reaches the streams."""
    hook = repository / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    work = "echo w > w.txt; git add w.txt; git -c user.name=S -c user.email=s@s commit -qm w"
    file = program.scratch / "told"
    words = " ".join(f"'{word}'" for word in [*PROGRAM, "run", "--headless", "--", work])
    clean = f"env XDG_STATE_HOME='{program.state_home}' {words} > '{file}' 2>&1 < /dev/null"
    hook.write_text(f"#!/bin/sh\n{clean}\necho \"exit $?\" >> '{file}'\n")
    hook.chmod(0o755)
    index = (repository / ".git" / "index").read_bytes()
    git(repository, "commit", "--allow-empty", "-qm", "by the user")
    assert file.read_text().endswith("exit 0\n"), file.read_text()
    (branch,) = git(repository, "branch", "--list", "anabranch/*", "--format=%(refname)").split()
    assert git(repository, "show", f"{branch}:w.txt") == "w\n"
    assert "S <s@s>" in git(repository, "log", "--format=%an <%ae>", branch)
    assert (repository / ".git" / "index").read_bytes() == index


def test_a_stream_neither_takes_nor_sees_the_users_stash(
    program: Program, repository: Path
) -> None:
    """The user's stash stands; two streams that stash at once get back what is their own."""
    (repository / "a.txt").write_text("stashed by the user\n")
    git(repository, "stash")
    before = git(repository, "stash", "list", "--format=%H %gs")
    swap = "echo {0} > a.txt; git stash; sleep 0.3; git stash pop; echo {0} > {0}.txt; cat a.txt"
    ends = "git stash; git stash pop; git branch mine; git tag v1"
    program.expect(0, "run", "--headless", "--", ends)
    assert git(repository, "stash", "list", "--format=%H %gs") == before
    (stream,) = program.streams().values()
    assert "branch mine, tag v1" in " ".join(stream["warnings"])
    assert git(repository, "branch", "--list", "mine") == git(repository, "tag") == ""
    work = {name: {"command": swap.format(name), "converge": name} for name in ("one", "two")}
    program.plan(work, convergence={"one": {}, "two": {}})
    program.run("run", "--headless")
    assert program.log("one").endswith("one\n")
    assert program.log("two").endswith("two\n")
    assert git(repository, "stash", "list", "--format=%H %gs") == before


def test_a_filter_planted_by_one_run_is_named_by_the_next_and_not_started(
    program: Program, repository: Path
) -> None:
    """Only after a person has accepted it does the engine start it."""
    mark = program.scratch / "ran"
    plant = f"git -C {repository} config filter.e.clean 'touch {mark}; cat'"
    change = "echo '*.txt filter=e' > .gitattributes; echo changed > a.txt"
    program.expect(0, "run", "--headless", "--", plant)
    assert "filter.e.clean" in " ".join(program.streams()["git"]["warnings"])
    answer = program.expect(0, "run", "--headless", "--", change)
    assert "filter.e.clean" in answer.out + answer.err
    assert not mark.exists()
    answer = program.expect(0, "run", "--headless", "--trust", "--", change)
    assert "accepted as they are now: filter.e.clean" in answer.err
    assert mark.exists()


@pytest.mark.parametrize("kind", ["a repository", "a plain folder"])
def test_settings_that_git_does_not_take_spoil_nothing_for_later(
    kind: str, program: Program, repository: Path, tmp_path: Path
) -> None:
    """They are named, not kept; once they are mended the run goes on, and so does the next one."""
    if kind == "a plain folder":
        shutil.rmtree(repository / ".git")
    broken = tmp_path / "broken"
    broken.write_text("[core]\n\tcommentChar = many\n")
    work = ("run", "--headless", "--", "echo new > new.txt")
    answer = program.begin(*work, GIT_CONFIG_GLOBAL=str(broken)).wait()
    assert answer.code != 0
    assert "commentchar" in (answer.out + answer.err).lower()
    answer = program.begin("gc", GIT_CONFIG_GLOBAL=str(broken)).wait()
    assert "should not have happened" not in answer.err
    has_begun = kind == "a plain folder"  # in a repository nothing can be asked of git at all
    program.expect(0, *(("resume", "--headless") if has_begun else work))
    program.expect(0, "approve")
    program.expect(0, "run", "--headless", "--", "echo more > more.txt")
    assert (repository / "new.txt").read_text() == "new\n"


def test_a_checkout_that_is_removed_while_a_run_goes_on_costs_no_result(
    program: Program, repository: Path, tmp_path: Path
) -> None:
    """The project is a linked worktree; the repository is elsewhere, and gets the result."""
    linked, began, gate = tmp_path / "linked", tmp_path / "began", tmp_path / "gate"
    git(repository, "worktree", "add", "-q", str(linked), "-b", "side")
    work = f"touch {began}; until test -e {gate}; do sleep 0.05; done; echo new > new.txt"
    run = program.begin("-C", str(linked), "run", "--headless", "--", work)
    until(began.exists, "the stream has begun")
    git(repository, "worktree", "remove", "--force", str(linked))
    gate.touch()
    answer = run.wait()
    assert answer.code == 0, answer
    (branch,) = git(repository, "branch", "--list", "anabranch/*", "--format=%(refname)").split()
    assert git(repository, "show", f"{branch}:new.txt") == "new\n"


def test_a_run_of_another_repository_that_lay_here_claims_nothing(
    program: Program, repository: Path
) -> None:
    """Removed and cloned again: status, approve, gc and doctor say that it is not of here."""
    program.expect(0, "run", "--headless", "--", "echo new > new.txt")
    assert program.asked(0, "status", "--json").json()["result_missing"] is False
    shutil.move(repository, repository.with_name("before"))
    make_repository(repository, {"a.txt": "another\n"})
    answer = program.asked(0, "status")
    assert "not in the repository that is here now" in answer.err
    answer = program.expect(5, "approve")
    assert "not in" in answer.err
    answer = program.ask("doctor")
    assert "belongs to another repository" in answer.out
    answer = program.expect(0, "gc")
    assert "belongs to another repository" in answer.out + answer.err
    assert git(repository, "for-each-ref", "refs/anabranch/rescue") == ""


def test_a_project_that_was_moved_is_told_of_its_runs(program: Program, repository: Path) -> None:
    """Where they are, and what to do; the list of all runs says where each belongs."""
    program.expect(0, "run", "--headless", "--", "echo new > new.txt")
    there = repository.with_name("there")
    shutil.move(repository, there)
    program.project = there
    answer = program.asked(0, "runs")
    assert "1 run from where it lay before" in answer.err
    answer = program.asked(0, "runs", "--all")
    assert f"{repository} (gone)" in answer.out
    answer = program.ask("doctor")
    assert "git branch --list 'anabranch/*'" in answer.out
    assert str(repository) in answer.out


def test_what_a_failed_attempt_made_of_its_git_is_told_too(
    program: Program, repository: Path
) -> None:
    """A branch and a stash of a stream that failed are kept, and its warnings name them."""
    work = "git branch mine; echo half > a.txt; git stash; exit 3"
    program.expect(1, "run", "--headless", "--", work)
    (stream,) = program.streams().values()
    text = " ".join(stream["warnings"])
    assert "a stash, branch mine" in text
    prefix = text.rpartition(" ")[2]
    assert git(repository, "show", f"{prefix}/stash/0:a.txt") == "half\n"
