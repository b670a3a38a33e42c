"""A workspace that a stream has left becomes the next one's, without a checkout.

Only one that was captured directly, and that nobody has touched since: unless that was a moment
ago, its folder is looked through once more. The folder and its repository get the next one's name,
so that for everybody else it is a workspace like any other. What the one before has done is kept by
a ref already. A crash in the middle leaves a folder without a note, as one that was being made.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from msgspec.structs import replace

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.workspaces.direct.capture import captured_index, changes_in
from anabranch.engine.workspaces.direct.folder_changes import NotDirect
from anabranch.engine.workspaces.direct.index_file import read_entries
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.layers.laying import lay_elsewhere
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.names import start_ref
from anabranch.engine.workspaces.records import (
    git_path,
    index_path,
    layers_path,
    read_record,
    record_path,
    write_record,
)
from anabranch.engine.workspaces.refs import keep_new_ref
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.snapshots import forget_index, is_as_taken_over, take_over_own
from anabranch.engine.workspaces.stream_repository import is_as_made, stand_at
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository, Standing
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_plain

A_MOMENT_NS = 1_000_000_000


def take_over_workspace(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    folder: Path,
    start: Standing,
    left_by: tuple[StreamId, Attempt, str],
) -> PreparedWorkspace | None:
    """Make a stream's workspace of the one that another has left.

    Args:
        repo: the project.
        run: the run of both.
        stream: who gets it.
        attempt: for which attempt.
        folder: where it is to be; nothing may stand there.
        start: what it is to hold.
        left_by: who has left it, in which attempt, and the tree of its result.

    None: it cannot be, and was left as it is. Raises GitError, OSError if it went wrong in the
    middle; then there is no workspace, and another one can be made.
    """
    left = read_record(repo, run, *left_by[:2])
    if left is None or left.kind != "isolated" or left.git_dir is None:
        return None
    git_dir = git_path(repo, run, stream, attempt)
    if os.path.lexists(folder) or os.path.lexists(git_dir):
        return None
    if start.tree not in (left_by[2], left.start_tree) or not _is_untouched(repo, left):
        return None
    keep_new_ref(repo, start_ref(run, stream, attempt), start.commit)
    index = captured_index(repo, left)
    layers = left.layers
    if layers is None:
        left.path.rename(folder)
    else:
        layers = lay_elsewhere(layers, left.path, folder, layers_path(repo, run, stream, attempt))
        if layers is None:
            return None
    left.git_dir.rename(git_dir)
    _forget(repo, left)
    index.rename(git_dir / "index")
    replace_whole(folder / ".git", b"gitdir: " + os.fsencode(git_dir) + b"\n")
    stand_at(git_dir, start.commit)
    if start.tree != left_by[2]:
        git = frozen_view(repo, run).at(work_tree=folder, index=git_dir / "index")
        git.run("read-tree", "--reset", "-u", start.tree)
    take_over_own(git_dir / "index", index_path(repo, run, stream, attempt))
    workspace = replace(
        left,
        stream=stream,
        attempt=attempt,
        path=folder,
        start_commit=start.commit,
        start_tree=start.tree,
        git_dir=git_dir,
        layers=layers,
    )
    write_record(repo, workspace)
    return workspace


def _is_untouched(repo: Repository, left: PreparedWorkspace) -> bool:
    """Say whether a workspace is as it was captured, with all that belongs to it."""
    assert left.git_dir is not None
    index = captured_index(repo, left)
    private = index_path(repo, left.run, left.stream, left.attempt)
    try:
        require_standing(left)
        entries = read_entries(read_plain(index, LARGE_FILE_BYTES), repo.object_format)
        if entries is None or not is_as_taken_over(left.git_dir / "index", private):
            return False
        if not is_as_made(repo, left.run, left.git_dir, left.start_commit):
            return False
        before = {entry.path: entry for entry in entries}
        written_ns = index.stat().st_mtime_ns
        if 0 <= time.time_ns() - written_ns < A_MOMENT_NS:
            return True  # what is written meanwhile is found by the next capture
        found = changes_in(repo, left, before, written_ns)
    except (NotDirect, NotPlain, FileNotFoundError, WorkspaceReplaced):
        return False
    return not (found.now or found.gone or found.odd)


def _forget(repo: Repository, left: PreparedWorkspace) -> None:
    """Forget the workspace of the one before: what is kept of it is its result."""
    record_path(repo, left.run, left.stream, left.attempt).unlink(missing_ok=True)
    forget_index(index_path(repo, left.run, left.stream, left.attempt))
