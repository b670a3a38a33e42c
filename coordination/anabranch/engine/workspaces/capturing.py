"""A stream's work as a commit: its own commits and whatever it has not committed.

Nothing of the stream is touched, and it may be running: the files are read through a private index,
the commit is made beside the stream's own history. The stream's HEAD becomes the parent when it
grew out of the start; work on a rewritten or unrelated history is put onto the start as one step.
The stream's folder is not believed about where its repository lies; the engine remembers that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.checking import Finding, check_changes, files_removed
from anabranch.engine.workspaces.identity import require_unreplaced
from anabranch.engine.workspaces.lost import git_directory_names, lost_commits, lost_tags
from anabranch.engine.workspaces.names import rescue_ref
from anabranch.engine.workspaces.objects import Drafts, changes, commit_content, existing
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.refs import keep_ref, list_refs, read_ref, resolve_head
from anabranch.engine.workspaces.repository import frozen_view, live_view
from anabranch.engine.workspaces.snapshots import renew_index, take_snapshot
from anabranch.engine.workspaces.values import Repository, Result, Workspace
from anabranch.plain_files import read_plain

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
    snapshot = take_snapshot(git, own_paths(repo))
    require_unreplaced(workspace.path, workspace.identity)  # it may have been swapped meanwhile
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
        files_removed(git, workspace.start_tree, snapshot.tree, changed),
    )


def capture_history(
    repo: Repository, run: RunId, workspace: Workspace, message: str, ref: str
) -> Result | None:
    """Keeps by ``ref`` what a stream had committed, when its folder is out of reach.

    Looks where HEAD, branches and reflogs of its git directory lead. None: it had committed
    nothing, or its git directory has gone with the folder. Raises GitError.
    """
    git_dir = workspace.git_dir
    if git_dir is None or git_dir.is_symlink() or not git_dir.is_dir():
        return None
    lost = bring_history(repo, workspace)
    if not lost:
        return None
    git = frozen_view(repo, run)
    tree = git.run("rev-parse", f"{lost[0]}^{{tree}}").text
    parents = tuple(dict.fromkeys((workspace.start_commit, *lost)))
    drafts = Drafts(repo.object_format)
    commit = drafts.add("commit", commit_content(tree, parents, message, int(time.time())))
    drafts.store(git)
    keep_ref(repo, ref, commit)
    start_commit, start_tree = workspace.start_commit, workspace.start_tree
    count = len(changes(git, start_tree, tree))
    return Result(workspace.stream, commit, tree, start_commit, start_tree, count)


def bring_history(repo: Repository, workspace: Workspace) -> list[str]:
    """The tips of all commits that only a workspace's git directory knows, brought over.

    Annotated tags of a clone are kept by refs of their own at once. Raises GitError.
    """
    git_dir = workspace.git_dir
    if git_dir is None or not git_dir.is_dir():
        return []
    frozen = frozen_view(repo, workspace.run)
    refs = list_refs(live_view(repo))
    is_clone = workspace.kind == "clone"
    names = git_directory_names(git_dir, with_objects=is_clone)
    source = frozen.at(alternates=(git_dir / "objects",)) if is_clone else frozen
    lost = lost_commits(source, names, refs.values())
    tags = lost_tags(source, names, refs.values()) if is_clone else []
    if is_clone and (lost or tags):
        bring_objects(repo, workspace.run, git_dir, (*lost, *tags), tuple({*refs.values()}))
    for number, tag in enumerate(tags):
        rescue = rescue_ref(workspace.run, workspace.stream, workspace.attempt)
        keep_ref(repo, f"{rescue}.tag-{number}", tag)
    return lost


def workspace_view(repo: Repository, workspace: Workspace) -> Git:
    """The frozen view over a workspace's files, with the engine's private index for it.

    Raises WorkspaceReplaced when it is not the folder that was prepared.
    """
    require_unreplaced(workspace.path, workspace.identity)
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

    The file is the stream's to write, so nothing but a short plain file of digits is believed.
    """
    try:
        found = _COMMIT_ID.fullmatch(read_plain(git_dir / "HEAD", _LONGEST_HEAD_BYTES))
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
