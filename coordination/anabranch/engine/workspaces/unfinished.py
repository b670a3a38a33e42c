"""What an attempt had done when it failed, for the one that goes on from there."""

from __future__ import annotations

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.model.state import Result
from anabranch.engine.workspaces.names import partial_ref, start_ref
from anabranch.engine.workspaces.refs import read_commit
from anabranch.engine.workspaces.values import Repository


def partial_work(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Result | None:
    """Return the work of an attempt that did not succeed, None if none is kept."""
    kept = read_commit(repo, partial_ref(run, stream, attempt))
    start = read_commit(repo, start_ref(run, stream, attempt))
    if kept is None or start is None:
        return None
    return Result(kept[0], kept[1], start[0], start[1])


def work_kept(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Result | None:
    """Return the kept work of an attempt whose workspace may be gone, None if none is kept.

    Where nothing says any more what it started from, that is what its last commit was made on.
    """
    kept = read_commit(repo, partial_ref(run, stream, attempt))
    if kept is None:
        return None
    start = read_commit(repo, start_ref(run, stream, attempt))
    if start is None:
        start = read_commit(repo, f"{kept[0]}^1") or kept
    return Result(kept[0], kept[1], start[0], start[1])
