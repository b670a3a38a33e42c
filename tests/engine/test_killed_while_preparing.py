"""An engine that is killed at any moment while it makes a workspace, or gives one back.

Whatever it leaves, the next one makes the workspace, and no work is lost. ``ANABRANCH_KILL_STEP``
is how many changes lie between two of these moments; 1 tries each of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import pytest

from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.workspaces import PreparedWorkspace, reclaim_workspace, result_ref
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from tests.engine import repositories
from tests.engine.conftest import methods_here
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", "d/e/c.txt": "c\n"}
MOMENTS = range(1, 400, int(os.environ.get("ANABRANCH_KILL_STEP", "7")))
CHANGES = frozenset({
    "mkdir", "rename", "replace", "link", "unlink", "rmdir", "symlink", "write", "mount", "umount2",
    "utime", "fork_exec",
})  # fmt: skip
"""Calls after which the disk, or what is mounted, is another."""


@pytest.fixture(params=methods_here())
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    method: WorkspaceMethod = request.param
    monkeypatch.setattr(repositories, "METHOD", method)
    yield open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")
    hide_all_below(tmp_path)


def killed_after(calls: int, work: Callable[[], object]) -> bool:
    """Do work in a child that is gone after so many changes; say whether it came to the end."""
    child = os.fork()
    if child == 0:
        left = calls

        def count(_: FrameType, event: str, called: object) -> None:
            nonlocal left
            if event == "c_return" and getattr(called, "__name__", "") in CHANGES:
                left -= 1
                if not left:
                    os._exit(9)

        try:
            sys.setprofile(count)
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_next_engine_makes_the_workspace(project: Project) -> None:
    """Each time some changes later, until there is none left."""
    dependency = project.result("before", {"d/b.txt": "changed\n", "new.txt": "n\n"})
    for calls in MOMENTS:
        is_whole = killed_after(calls, partial(project.prepare, f"s{calls}", dependency))
        made = project.workspace(f"s{calls}", dependency)
        assert git(made.path, "status", "--porcelain") == ""
        assert (made.path / "d/b.txt").read_text() == "changed\n"
        write(made.path, {"work.txt": "w\n"})
        assert set(project.files_of(project.capture(made).commit)) == {
            *FILES,
            "new.txt",
            "work.txt",
        }
        if is_whole:
            return
    raise AssertionError("there is no end to it")


def test_what_is_being_given_back_is_kept(project: Project) -> None:
    """Nothing of it is anywhere else but in a ref, before it is gone."""
    for calls in MOMENTS:
        made = project.workspace(f"s{calls}")
        write(made.path, {"d/b.txt": f"changed {calls}\n", "x/y.txt": "y\n"})
        project.capture(made)
        is_whole = killed_after(calls, partial(reclaim_workspace, project.repo, RUN, made))
        _require_kept(project, made)
        if is_whole:
            assert not os.path.lexists(made.path)
            return
        reclaim_workspace(project.repo, RUN, made)
        assert not os.path.lexists(made.path)
        _require_kept(project, made)
    raise AssertionError("there is no end to it")


def _require_kept(project: Project, made: PreparedWorkspace) -> None:
    ref = result_ref(RUN, made.stream)
    number = made.stream.removeprefix("s")
    assert project.content(ref, "d/b.txt") == f"changed {number}\n"
    assert project.content(ref, "x/y.txt") == "y\n"
