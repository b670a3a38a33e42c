"""Leaving a run: its threads are waited for, but no call of git that would take for ever."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from anabranch.engine.git import Git, GitError
from anabranch.engine.git_workers import GitWorkers
from tests.e2e.program import until
from tests.engine.repositories import git, make_repository


def test_who_leaves_does_not_wait_for_a_file_of_a_terabyte(tmp_path: Path) -> None:
    """The call is ended, what follows in the same thread too; others' calls go on."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    with (repository / "huge").open("wb") as huge:
        huge.truncate(1 << 40)
    adding = Git(cwd=repository, work_tree=repository, git_dir=repository / ".git")

    def tries_twice() -> None:
        for _ in range(2):
            with pytest.raises(GitError):
                adding.run("add", "-A")

    async def leave() -> str:
        workers = GitWorkers(2)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(workers, tries_twice)
        alias = (("alias.slow", "!sleep 1; echo done"),)
        other = asyncio.to_thread(Git(cwd=repository).run, "slow", config=alias)
        others = loop.create_task(other)
        await asyncio.to_thread(until, (repository / ".git" / "index.lock").exists, "git adds")
        began = time.monotonic()
        await workers.leave(0.1)
        assert time.monotonic() - began < 60
        await work
        return (await others).text

    assert asyncio.run(leave()) == "done"
    assert not (repository / ".git" / "index.lock").exists()
    assert git(repository, "status", "--porcelain", "--untracked-files=no") == ""


def test_short_work_is_finished(tmp_path: Path) -> None:
    """What is over within the grace is done as if nobody had left; what had not begun is not."""
    repository = make_repository(tmp_path / "repo", {"a": "1"})
    alias = (("alias.slow", "!sleep 0.3; echo done"),)

    async def leave() -> tuple[str, bool]:
        workers = GitWorkers(1)
        slow = workers.submit(Git(cwd=repository).run, "slow", config=alias)
        later = workers.submit(Git(cwd=repository).run, "version")
        await workers.leave(30.0)
        return slow.result().text, later.cancelled()

    assert asyncio.run(leave()) == ("done", True)
