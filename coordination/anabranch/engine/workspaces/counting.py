"""How many files a capture would find changed, without capturing: no object is written."""

from __future__ import annotations

import os

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.capturing import trusted_git_dir, workspace_view
from anabranch.engine.workspaces.converting import untouched_paths
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.records import index_path, read_record
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.snapshots import copy_index, renew_index
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository


def count_changes(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> int | None:
    """Return how many files a capture would find changed now; None without a workspace.

    Nothing is written but indexes of this process's own. Raises GitError, OSError.
    """
    workspace = read_record(repo, run, stream, attempt)
    if workspace is None or workspace.kind == "shared":
        return None
    place = index_path(repo, run, stream, attempt)
    git = workspace_view(repo, workspace)
    known = git.at(index=place.with_name(f"{place.name}.count-{os.getpid()}"))
    renew_index(known, trusted_git_dir(workspace) / "index", workspace.start_tree)
    withheld = tuple(f"{path}/" for path in own_paths(repo))
    included = included_in(repo, run)
    passed_over = included.files if included else {}
    found = (p for p in _changed(known, workspace) if not p.startswith(withheld))
    return sum(encode(path) not in passed_over for path in found)


def forget_counts(repo: Repository, run: RunId) -> None:
    """Take away the indexes that `count_changes` keeps for this process."""
    for index in (run_folder(repo, run) / "index").glob(f"*.count-{os.getpid()}*"):
        index.unlink(missing_ok=True)


def _changed(known: Git, workspace: PreparedWorkspace) -> set[str]:
    """Return the paths that differ from the start, by what the stream's own index says.

    That says which ignored files it has added by force, and which ignored ones it has taken out.
    """
    start, root = workspace.start_tree, workspace.path
    asked = ("diff-index", "--cached", "--name-only", "--no-renames", "-z")
    forced = known.run(*asked, "--diff-filter=A", start).fields
    taken_out = known.run(*asked, "--diff-filter=D", start).fields
    assert known.index is not None
    against_start = known.at(index=known.index.with_name(f"{known.index.name}.start"))
    assert against_start.index is not None
    copy_index(known.index, against_start.index)
    against_start.run("read-tree", start)
    against_start.run("update-index", "-q", "--refresh", accept=(0, 1))
    changed = set(against_start.run("diff-files", "--name-only", "--no-renames", "-z").fields)
    changed -= untouched_paths(against_start, start, sorted(changed))
    added = against_start.run("ls-files", "-o", "--exclude-standard", "-z").fields
    return {
        *(path for path in forced if os.path.lexists(root / path)),
        *_ignored(against_start, taken_out),
        *changed,
        *added,
    }


def _ignored(git: Git, paths: tuple[str, ...]) -> tuple[str, ...]:
    if not paths:
        return ()
    stdin = b"".join(encode(path) + b"\0" for path in paths)
    return git.run("check-ignore", "--no-index", "-z", "--stdin", stdin=stdin, accept=(0, 1)).fields
