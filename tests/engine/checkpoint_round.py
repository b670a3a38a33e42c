"""One checkpoint of running workspaces, for the tests of what is brought into them."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.engine.workspaces import (
    Captured,
    Delivery,
    MergeOutcome,
    PreparedWorkspace,
    bring,
    capture_result,
    checkpoint_ref,
    merge_trees,
    to_bring,
)
from tests.engine.repositories import RUN, Project, pairs


class Round:
    """One checkpoint of some workspaces: snapshots, and what they come to together."""

    def __init__(self, project: Project, *workspaces: PreparedWorkspace, number: int = 1) -> None:
        self.project = project
        self.snapshots = {w.stream: self._snapshot(w, number) for w in workspaces}
        self.outcome: MergeOutcome = merge_trees(
            project.repo,
            RUN,
            project.base,
            pairs(*self.snapshots.values()),
            message="checkpoint",
            stop_early=False,
        )

    def _snapshot(self, workspace: PreparedWorkspace, number: int) -> Captured:
        ref = checkpoint_ref(RUN, workspace.stream, number)
        return capture_result(
            self.project.repo, RUN, workspace.stream, 1, workspace, "checkpoint", ref
        )

    def bring_to(
        self,
        workspace: PreparedWorkspace,
        meanwhile: Callable[[], None] = lambda: None,
        quiet_seconds: float = 0.0,
    ) -> Delivery:
        snapshot = self.snapshots[workspace.stream].tree
        wanted = to_bring(self.project.repo, workspace, snapshot, self.outcome.tree, ())
        meanwhile()
        return bring(self.project.repo, workspace, wanted, snapshot, quiet_seconds)
