"""The git wrapper: a clean environment, answers, errors fit for people, one lock."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from anabranch.engine import git as git_module
from anabranch.engine.git import Git, GitError, decode, encode, repository_lock
from anabranch.engine.git_patience import SETTING, limit_seconds
from tests.engine.repositories import git, make_repository


def test_callers_git_variables_do_not_get_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GIT_DIR or GIT_INDEX_FILE of the surrounding process changes nothing."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare=true'")
    assert Git(cwd=repository).run("rev-parse", "--is-bare-repository").text == "false"


def test_errors_carry_gits_words_and_no_traceback(tmp_path: Path) -> None:
    """A failing command becomes a reason, the command, the exit code and its stderr."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    with pytest.raises(GitError) as caught:
        Git(cwd=repository).run("cat-file", "-p", "HEAD:nothing")
    assert "nothing" in caught.value.reason
    assert caught.value.git_exit_code == 128
    assert caught.value.command.startswith("git cat-file")
    assert "fatal:" not in caught.value.reason


def test_other_exit_codes_can_be_answers(tmp_path: Path) -> None:
    """A caller that knows what exit code 1 means gets the answer."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    assert Git(cwd=repository).run("symbolic-ref", "-q", "X", accept=(0, 1, 128)).exit_code


def test_a_call_ends_by_its_deadline(tmp_path: Path) -> None:
    """A git that waits for ever is ended and reported."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    alias = (("alias.wait", "!exec sleep 60"),)
    with pytest.raises(GitError, match="longer than"):
        Git(cwd=repository).run("wait", timeout_seconds=0.2, config=alias)


def test_a_call_that_gets_on_is_waited_for(tmp_path: Path) -> None:
    """What counts is work: a call may take longer than its limit as long as it does something."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    busy = "end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done; echo done"
    alias = (("alias.busy", f"!{busy}"),)
    assert Git(cwd=repository).run("busy", timeout_seconds=1.0, config=alias).text == "done"


def test_a_call_that_takes_long_is_given_all_of_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fits into a pipe, to one that begins to read when it is called late already."""
    monkeypatch.setattr(git_module, "_USUALLY_SECONDS", 0.01)
    make_repository(tmp_path, {})
    reading = ("alias.reads", "!sleep 0.2; wc -c")
    answer = Git(cwd=tmp_path).run(
        "reads", stdin=b"x" * 1_000_000, config=(reading,), timeout_seconds=20.0
    )
    assert answer.text == "1000000"


@pytest.mark.parametrize(("text", "seconds"), [("", 120.0), ("600", 600.0), (" 5 ", 5.0)])
def test_the_limit_of_a_call_is_a_setting(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, text)
    assert limit_seconds() == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-5", "nan", "1e9"])
def test_a_limit_that_is_none_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, text)
    with pytest.raises(GitError, match=SETTING):
        Git(cwd=make_repository(tmp_path / "repo", {"a": "1"})).run("status")


def test_a_folder_that_is_gone_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    """The missing folder is named."""
    with pytest.raises(GitError, match="gone"):
        Git(cwd=tmp_path / "gone").run("status")


def test_the_folder_of_who_started_us_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on though the shell's folder was deleted meanwhile."""
    repository = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Git(git_dir=repository / ".git").run("rev-parse", "HEAD").text


def test_hooks_and_monitors_do_not_run(tmp_path: Path) -> None:
    """Even a live view of a repository with hooks and a monitor starts neither."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    mark = tmp_path / "ran"
    hook = tmp_path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.hooksPath", str(hook.parent))
    git(repository, "config", "core.fsmonitor", str(hook))
    live = Git(git_dir=repository / ".git", work_tree=repository, cwd=repository)
    live.run("update-ref", "refs/anabranch/x", "HEAD")
    live.run("status")
    assert not mark.exists()


def test_paths_that_are_no_utf8_survive() -> None:
    """Bytes of a path come back as they were."""
    assert encode(decode(b"caf\xe9/\xff")) == b"caf\xe9/\xff"


def test_the_repository_lock_excludes_threads(tmp_path: Path) -> None:
    """Only one holder at a time, and a waiter gives up by its deadline."""
    path = tmp_path / "git.lock"
    inside = 0
    most = 0

    def hold() -> None:
        nonlocal inside, most
        for _ in range(20):
            with repository_lock(path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    with repository_lock(path), pytest.raises(GitError, match="lock"), repository_lock(path, 0.02):
        pass
