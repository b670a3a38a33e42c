"""A workspace that a stream has left becomes the next one's, without a checkout.

Only one that was captured directly, and that nobody has touched since: unless that was a moment
ago, its folder is looked through once more. The folder and its repository get the next one's name,
so that for everybody else it is a workspace like any other. What the one before has done is kept by
a ref already. A crash in the middle leaves a folder without a note, as one that was being made.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.workspaces.direct.as_captured import is_as_captured
from anabranch.engine.workspaces.direct.capture import captured_index
from anabranch.engine.workspaces.layers.laying import lay_elsewhere
from anabranch.engine.workspaces.names import start_ref
from anabranch.engine.workspaces.records import (
    git_path,
    index_path,
    layers_path,
    made_path,
    read_record,
    record_path,
    write_record,
)
from anabranch.engine.workspaces.refs import keep_new_ref
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.snapshots import forget_index, take_over_own
from anabranch.engine.workspaces.stream_repository import stand_at
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository, Standing
from anabranch.files import replace_whole

A_MOMENT_NS = 1_000_000_000
"""What is written so shortly after a capture is found by the next one, which is the stream's that
goes on there."""


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
    if start.tree not in (left_by[2], left.start_tree) or not is_as_captured(
        repo, left, A_MOMENT_NS
    ):
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
    made = made_path(repo, run, left.stream, left.attempt)
    if made.exists():
        made.rename(made_path(repo, run, stream, attempt))
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


def _forget(repo: Repository, left: PreparedWorkspace) -> None:
    """Forget the workspace of the one before: what is kept of it is its result."""
    record_path(repo, left.run, left.stream, left.attempt).unlink(missing_ok=True)
    forget_index(index_path(repo, left.run, left.stream, left.attempt))
