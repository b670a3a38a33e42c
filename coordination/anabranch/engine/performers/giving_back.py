"""Giving back the workspace of an attempt that is over, while its run goes on.

What it held is kept by refs first, and that is proved
(:mod:`anabranch.engine.workspaces.reclaiming`).
A workspace that cannot be proved superfluous, or only by keeping much of what was built in it,
stays until somebody cleans up.
"""

from __future__ import annotations

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_attempts
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.gateway.spool_folder import in_workspace
from anabranch.engine.pool_bounds import bounds_of_recycling
from anabranch.engine.workspaces.records import read_record

MOST_IGNORED_BYTES = 32 * 1024 * 1024


def give_back(
    repo: ws.Repository, state: State, stream: StreamId, attempt: Attempt
) -> inputs.WorkspaceGone | None:
    """Give back what an earlier attempt worked in; None if it is not there, or has to stay."""
    if any((s.id, s.attempt) == (stream, attempt) for s in active_attempts(state)):
        return None  # it is at work still, and a copy of it begins
    run = state.run
    workspace = read_record(repo, run, stream, attempt)
    if workspace is None:
        return None
    if workspace.kind != "shared":
        in_workspace(workspace.path).remove()  # an attempt that never began still has its spool
    recycled = bounds_of_recycling(repo, state)
    outcome = ws.reclaim_workspace(repo, run, workspace, MOST_IGNORED_BYTES, recycled=recycled)
    if isinstance(outcome, ws.Kept):
        return None
    rescue = (outcome.ref,) if isinstance(outcome, ws.Parked) else ()
    return inputs.WorkspaceGone(stream=stream, attempt=attempt, rescue=rescue)
