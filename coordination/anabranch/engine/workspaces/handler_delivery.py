"""Writing what handlers have done into their stream's own workspace, and standing there.

Usually nobody else works in that workspace, so git writes the difference to what was written last.
After a crash nobody knows how far that came; then the workspace is looked at first, what somebody
else has written is left alone, and what of it is in the way is kept by the ref for rescued work
before it is overwritten. Done again, it comes to the same.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.capturing import trusted_git_dir, workspace_view
from anabranch.engine.workspaces.checking import prefixes
from anabranch.engine.workspaces.delivering import overlaid
from anabranch.engine.workspaces.handler_chain import Chain, begin_chain, read_chain
from anabranch.engine.workspaces.including.keeping_out import add_all_but_included, keep_out
from anabranch.engine.workspaces.merging import by_path
from anabranch.engine.workspaces.names import rescue_ref
from anabranch.engine.workspaces.objects import Change, Drafts, changes, commit_content
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.refs import keep_ref, read_ref
from anabranch.engine.workspaces.snapshots import copy_index, renew_index, take_snapshot
from anabranch.engine.workspaces.stream_history import head_of
from anabranch.engine.workspaces.union import leaves_of
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.files import replace_whole


def begin_from(repo: Repository, workspace: PreparedWorkspace) -> Chain:
    """Return the chain of a stream's attempt; it begins with what its workspace holds now.

    Raises GitError, OSError.
    """
    run, stream, attempt = workspace.run, workspace.stream, workspace.attempt
    known = read_chain(repo, run, stream, attempt)
    if known is not None:
        return known
    tree = _looked_at(repo, workspace)[1]
    return begin_chain(repo, run, stream, attempt, tree, workspace.start_commit)


def deliver(
    repo: Repository, workspace: PreparedWorkspace, chain: Chain, since: str | None
) -> str | None:
    """Write what the chain has into the stream's workspace; return the ref of what was in the way.

    ``since`` is the tree that was written last; None if that is not known for certain.
    Raises GitError, OSError; done again, it goes on from there.
    """
    if chain.is_empty:
        return None
    if since is None or not _deliver_at_once(repo, workspace, chain, since):
        return _deliver_with_care(repo, workspace, chain)
    return None


def _deliver_at_once(
    repo: Repository, workspace: PreparedWorkspace, chain: Chain, since: str
) -> bool:
    """Write what has changed since; False, with nothing done, if something is in the way."""
    git = _own_view(repo, workspace)
    if _taken_places(workspace, changes(git, since, chain.tree)):
        return False
    try:
        git.run("read-tree", "-m", "-u", since, chain.tree)
    except GitError:
        return False
    _stand_at(repo, workspace, git, chain)
    return True


def _deliver_with_care(repo: Repository, workspace: PreparedWorkspace, chain: Chain) -> str | None:
    git, there = _looked_at(repo, workspace)
    before = _written_last(repo, workspace, git, chain)
    wanted = changes(git, before, chain.tree)
    target = overlaid(repo, workspace.run, there, list(leaves_of(wanted)))
    kept = _keep(repo, workspace, git, there) if _overwritten(git, before, there, wanted) else None
    if _taken_places(workspace, changes(git, there, target)):  # git ignores what stands there
        add_all_but_included(git, repo, workspace.run, (*own_paths(repo), ".anabranch"))
        kept = _keep(repo, workspace, git, git.run("write-tree").text)
    git.run("read-tree", "--reset", "-u", target)
    _stand_at(repo, workspace, git, chain)
    return kept


def _taken_places(workspace: PreparedWorkspace, wanted: Sequence[Change]) -> bool:
    """Say whether something stands where a file is to be added."""
    return any(_is_taken(workspace.path, c.path) for c in wanted if c.before is None)


def _is_taken(root: Path, path: str) -> bool:
    for prefix in prefixes(path):
        try:
            found = os.lstat(root / prefix)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            return True
    return True


def _written_last(repo: Repository, workspace: PreparedWorkspace, git: Git, chain: Chain) -> str:
    head = head_of(repo, workspace)
    if head not in chain.commits[:-1]:
        return chain.start_tree
    return git.run("rev-parse", f"{head}^{{tree}}").text


def _overwritten(git: Git, before: str, there: str, wanted: Sequence[Change]) -> bool:
    """Say whether somebody else has changed a file that is to be written."""
    found = by_path(changes(git, before, there))
    return any(
        (found[change.path].after_mode, found[change.path].after)
        != (change.after_mode, change.after)
        for change in wanted
        if change.path in found
    )


def _keep(repo: Repository, workspace: PreparedWorkspace, git: Git, tree: str) -> str:
    ref = rescue_ref(workspace.run, workspace.stream, workspace.attempt)
    before = read_ref(repo, ref)
    parents = [workspace.start_commit, *([before] if before else [])]
    message = "What stood in the way of what handlers have done"
    drafts = Drafts(repo.object_format)
    commit = drafts.add("commit", commit_content(tree, parents, message, int(time.time())))
    drafts.store(git)
    keep_ref(repo, ref, commit)
    return ref


def _looked_at(repo: Repository, workspace: PreparedWorkspace) -> tuple[Git, str]:
    """Return a view with an index that is as the workspace is now, and that as a tree."""
    git = _own_view(repo, workspace)
    assert git.index is not None
    for end in ("", ".lock", ".source"):
        git.index.with_name(git.index.name + end).unlink(missing_ok=True)
    renew_index(git, trusted_git_dir(workspace) / "index", workspace.start_tree)
    withheld = (*own_paths(repo), *keep_out(git, repo, workspace.run).withheld)
    return git, take_snapshot(git, withheld).tree


def _own_view(repo: Repository, workspace: PreparedWorkspace) -> Git:
    """Return a view of the stream's workspace with an index that no capture uses."""
    path = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    return workspace_view(repo, workspace).at(index=path.with_name(f"{path.name}.handlers"))


def _stand_at(repo: Repository, workspace: PreparedWorkspace, git: Git, chain: Chain) -> None:
    """Have the stream's own repository stand at the chain's end, unless somebody moved it away."""
    git_dir = trusted_git_dir(workspace)
    if head_of(repo, workspace) not in (workspace.start_commit, *chain.commits):
        return
    assert git.index is not None
    beside = git_dir / "index.handlers"
    beside.unlink(missing_ok=True)
    copy_index(git.index, beside)
    beside.rename(git_dir / "index")
    replace_whole(git_dir / "HEAD", f"{chain.commit}\n".encode())
