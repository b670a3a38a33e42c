"""A stream's work as a commit: its own commits and whatever it has not committed.

Nothing of the stream is touched, and it may be running: the files are read through a private index,
the commit is made beside the stream's own history. The stream's HEAD becomes the parent when it
grew out of the start; work on a rewritten or unrelated history is put onto the start as one step.
The stream's folder is not believed about where its repository lies; the engine remembers that.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.checking import Finding, check_changes
from anabranch.engine.workspaces.objects import Drafts, changes, commit_content, existing
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.refs import keep_ref, read_ref, resolve_head
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.snapshots import renew_index, take_snapshot
from anabranch.engine.workspaces.values import Repository, Result, Workspace

_COMMIT_ID = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\n?")
_LONGEST_HEAD_BYTES = 80


def capture_result(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    workspace: Workspace,
    message: str,
    ref: str,
) -> Result:
    """Captures all work in a workspace and keeps it by ``ref`` at once.

    The result's warnings name what git takes without a word but people would want to know. Raises
    GitError when a file cannot be captured; the workspace stays as it is.
    """
    if workspace.kind == "shared":
        warning = "this stream works in your own folder: its changes are already there"
        commit, tree = workspace.start_commit, workspace.start_tree
        return Result(stream, commit, tree, commit, tree, warnings=(warning,))
    git = workspace_view(repo, workspace)
    git_dir = trusted_git_dir(workspace)
    renew_index(git, git_dir / "index", workspace.start_tree)
    snapshot = take_snapshot(git)
    changed = changes(git, workspace.start_tree, snapshot.tree)
    head, finding = _parent(git, git_dir, workspace)
    kept = _already_kept(git, repo, ref, snapshot.tree, head)
    commit = kept or _commit(git, repo, workspace, head, snapshot.tree, message)
    if workspace.kind == "clone":
        bring_objects(repo, run, git_dir, (commit,), (workspace.start_commit,))
    keep_ref(repo, ref, commit)
    findings = [*finding, *check_changes(git, snapshot, changed)]
    return Result(
        stream,
        commit,
        snapshot.tree,
        workspace.start_commit,
        workspace.start_tree,
        len(changed),
        tuple(findings),
    )


def workspace_view(repo: Repository, workspace: Workspace) -> Git:
    """The frozen view over a workspace's files, with the engine's private index for it."""
    index = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    git = frozen_view(repo, workspace.run).at(work_tree=workspace.path, index=index)
    if workspace.kind == "clone":
        git = git.at(alternates=(trusted_git_dir(workspace) / "objects",))
    return git


def trusted_git_dir(workspace: Workspace) -> Path:
    """The git directory the engine made for a workspace; raises GitError if it was replaced."""
    git_dir = workspace.git_dir
    if git_dir is None or git_dir.is_symlink() or not git_dir.is_dir():
        raise GitError(
            f"the git directory of {workspace.path} is gone or was replaced",
            hint="the files are still in the folder; copy what you need from there",
        )
    return git_dir


def bring_objects(
    repo: Repository, run: RunId, git_dir: Path, wanted: Sequence[str], known: Sequence[str]
) -> None:
    """Copies the objects of ``wanted`` commits from a clone's store into the repository's."""
    source = frozen_view(repo, run).at(alternates=(git_dir / "objects",))
    revisions = "".join(f"{name}\n" for name in wanted) + "".join(f"^{name}\n" for name in known)
    pack = source.run("pack-objects", "--revs", "--stdout", "-q", stdin=revisions.encode())
    frozen_view(repo, run).run("unpack-objects", "-q", "--strict", stdin=pack.out)


def _parent(git: Git, git_dir: Path, workspace: Workspace) -> tuple[str, tuple[Finding, ...]]:
    start = workspace.start_commit
    head = _detached_head(git_dir) or resolve_head(Git(git_dir=git_dir, cwd=git_dir))
    if head is None or head == start or head not in existing(git, (head,)):
        return start, ()
    grown = git.run("merge-base", "--is-ancestor", start, head, accept=(0, 1, 128))
    if grown.exit_code == 0:
        return head, ()
    return start, ("its history was rewritten; the work was put onto its start as one commit",)


def _detached_head(git_dir: Path) -> str | None:
    """The commit that HEAD names by itself, without asking git; None if it names a branch.

    The file is the stream's to write, so nothing but a short regular file of digits is believed.
    """
    try:
        descriptor = os.open(git_dir / "HEAD", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = _COMMIT_ID.fullmatch(file.read(_LONGEST_HEAD_BYTES) or b"")
    except OSError:
        return None
    return found[1].decode() if found else None


def _already_kept(git: Git, repo: Repository, ref: str, tree: str, parent: str) -> str | None:
    """The commit an earlier capture made of the same work, so that it keeps its name."""
    kept = read_ref(repo, ref)
    if kept is None:
        return None
    found = git.run("rev-parse", f"{kept}^{{tree}}", f"{kept}^1", accept=(0, 128))
    same = found.exit_code == 0 and found.text.split("\n") == [tree, parent]
    return kept if same else None


def _commit(
    git: Git, repo: Repository, workspace: Workspace, parent: str, tree: str, message: str
) -> str:
    if parent == workspace.start_commit:
        before = workspace.start_tree
    else:
        before = git.run("rev-parse", f"{parent}^{{tree}}").text
    if before == tree:
        return parent
    drafts = Drafts(repo.object_format)
    content = commit_content(tree, (parent,), message, int(time.time()))
    commit = drafts.add("commit", content)
    drafts.store(git)
    return commit
