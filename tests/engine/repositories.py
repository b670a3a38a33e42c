"""Real repositories in temporary folders, for the tests of git and workspaces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anabranch.core.events import Conflict
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Base
from anabranch.core.plans.plan import WorkspaceKind, WorkspaceMethod
from anabranch.engine.workspaces import (
    Captured,
    MergeOutcome,
    PreparedWorkspace,
    Repository,
    Standing,
    StreamResult,
    capture_base,
    capture_result,
    merge_trees,
    move_ref,
    open_repository,
    prepare_workspace,
    result_ref,
)
from anabranch.engine.workspaces.pool.filling import make_ahead

RUN = RunId("20260101-000000-abc")
METHOD: WorkspaceMethod = "worktree"
"""How workspaces are made; the suite of workspaces runs with each method of this machine."""

FAR_LINES = "".join(f"line {number}\n" for number in range(40))


def git(folder: Path, *arguments: str, check: bool = True, stdin: str = "") -> str:
    """git as the user or a stream would run it."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "Someone", f"GIT_{role}_EMAIL": "someone@example.org"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=env,
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    out = done.stdout.decode("utf-8", "surrogateescape")
    assert done.returncode == 0 or not check, (arguments, out, done.stderr)
    return out


def write(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Writes files into a folder; None removes one."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repository(folder: Path, files: Mapping[str, str | bytes | None], *options: str) -> Path:
    """A repository with one commit of these files, on branch main."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *options)
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@dataclass
class Project:
    """An opened project, its base, and folders for its workspaces."""

    user: Path
    outside: Path
    repo: Repository
    base: Base

    def workspace(
        self,
        stream: str,
        *dependencies: Captured,
        kind: WorkspaceKind = "isolated",
        attempt: int = 1,
    ) -> PreparedWorkspace:
        """Prepares a workspace that is expected to be prepared."""
        made = self.prepare(stream, *dependencies, kind=kind, attempt=attempt)
        assert isinstance(made, PreparedWorkspace)
        return made

    def prepare(
        self,
        stream: str,
        *dependencies: Captured,
        kind: WorkspaceKind = "isolated",
        attempt: int = 1,
    ) -> PreparedWorkspace | Conflict:
        """Prepares a workspace, or finds that it cannot be; one of a pool that is never empty."""
        if METHOD == "pool":
            assert make_ahead(self.repo, RUN, self.base.tree) is not None
        folder = self.outside / "workspaces" / f"{stream}.{attempt}"
        return prepare_workspace(
            self.repo,
            RUN,
            StreamId(stream),
            attempt,
            kind,
            folder,
            self.base,
            pairs(*dependencies),
            method=METHOD,
        )

    def capture(self, workspace: PreparedWorkspace) -> Captured:
        """Captures a workspace as the stream's result."""
        return capture_result(
            self.repo,
            RUN,
            workspace.stream,
            workspace.attempt,
            workspace,
            f"Work of {workspace.stream}",
            result_ref(RUN, workspace.stream),
        )

    def result(
        self,
        stream: str,
        files: Mapping[str, str | bytes | None],
        *dependencies: Captured,
        kind: WorkspaceKind = "isolated",
    ) -> Captured:
        """A stream that wrote these files and ended."""
        workspace = self.workspace(stream, *dependencies, kind=kind)
        write(workspace.path, files)
        return self.capture(workspace)

    def files_of(self, commit: str) -> dict[str, str]:
        """Each path of a commit with its mode and blob."""
        lines = git(self.repo.git_dir, "ls-tree", "-r", "-z", commit).split("\0")[:-1]
        return {line.split("\t", 1)[1]: line.split("\t", 1)[0] for line in lines}

    def content(self, commit: str, path: str) -> str:
        """A file of a commit."""
        return git(self.repo.git_dir, "show", f"{commit}:{path}")


def open_project(user: Path, outside: Path, *, include_uncommitted: bool = False) -> Project:
    """Opens a folder as a project and captures its base."""
    repo = open_repository(user, outside / "store", outside / "store" / "git.lock")
    return Project(user, outside, repo, capture_base(repo, RUN, include_uncommitted))


def pairs(*results: Captured) -> list[StreamResult]:
    """Results as merges take them."""
    return [(result.stream, result) for result in results]


def merge_results(
    repo: Repository,
    run: RunId,
    start: Standing,
    results: Sequence[Captured],
    *,
    message: str,
    ref: str,
    expected: str | None,
    leave_out_conflicts: bool = False,
) -> MergeOutcome:
    """Merges results as a convergence point does, and moves ``ref`` there if that went well."""
    stop_early = not leave_out_conflicts
    outcome = merge_trees(repo, run, start, pairs(*results), message=message, stop_early=stop_early)
    if leave_out_conflicts or not outcome.conflicts:
        move_ref(repo, ref, outcome.commit, expected)
    return outcome
