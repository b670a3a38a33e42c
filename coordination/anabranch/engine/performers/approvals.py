"""Brings a result to the user's branch: as that was when the run began, or as it is now.

Onto a branch that has moved on the result is merged once more, looked at and verified as at its
convergence point, before anything of the user's is touched. Done again after an interruption it
comes to the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import Base, Result, State
from anabranch.core.sensitive import is_sensitive
from anabranch.core.wording import counted, listing
from anabranch.engine import workspaces as ws
from anabranch.engine.performers.verifier import check_tree
from anabranch.engine.performers.workspaces import WorkspaceEffects
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder

RESULT = StreamId("the result")


class Taken(msgspec.Struct, frozen=True):
    """What is to come to a branch, and what that branch is moved from."""

    onto: Base
    commit: str
    tree: str
    is_merged: bool = False


class NotTaken(Exception):
    """Why the result does not come to a branch."""

    def __init__(self, reason: str, hint: str, kind: str = "") -> None:
        super().__init__(reason)
        reason, hint = utf8_text(reason), utf8_text(hint)
        self.refusal = inputs.ApprovalNotDone(reason=reason, hint=hint, kind=kind)


async def approve_result(
    workspaces: WorkspaceEffects,
    folder: RunFolder,
    state: Callable[[], State],
    effect: fx.ApproveResult,
    environment: Mapping[str, str],
) -> inputs.Input:
    """Bring the result to a branch, or say why not. Raises GitError, OSError."""
    began = state()
    approving = _Approving(workspaces.repository, began)

    try:
        taken = await asyncio.to_thread(approving.what)
        command = began.point_plan(FINAL_POINT).verify
        if taken.is_merged and command:
            ended = await check_tree(
                workspaces.repository, folder, began, command, taken.commit, taken.tree,
                FINAL_POINT, environment, lambda: False,
            )  # fmt: skip
            if ended.exit_code != 0:
                raise NotTaken(
                    f"merged onto {_name(taken.onto)}, the result does not pass `{command}`: "
                    f"{ended.reason}",
                    f"see {folder.verify_log(FINAL_POINT)}; your branch is as it was",
                    "verify",
                )
        return replace(await asyncio.to_thread(approving.take, taken), cause=effect.cause)
    except NotTaken as refused:
        return replace(refused.refusal, cause=effect.cause)


class _Approving:
    """One approval, step by step; for worker threads. Raises NotTaken, GitError."""

    def __init__(self, repo: ws.Repository, state: State) -> None:
        self._repo, self._state = repo, state

    def what(self) -> Taken:
        """Return what is to come where, having looked at what others run or obey."""
        state, final = self._state, self._state.points[FINAL_POINT]
        if state.base is None or final.commit is None or final.tree is None:
            raise NotTaken(
                "the run has no result to approve",
                "streams in the shared workspace change your folder directly",
            )
        base = state.base
        if not ws.has_commits(self._repo, (base.commit, final.commit)):
            raise NotTaken(
                "the result is not in the repository that is here now",
                "it belongs to one that lay here before; anabranch doctor says more",
            )
        self._refuse_sensitive(base.tree, final.tree)
        if state.approval.onto is None:
            return Taken(base, final.commit, final.tree)
        return self._merged_onto(self._tip(base, state.approval.onto), base, final.commit)

    def take(self, taken: Taken) -> inputs.Input:
        """Move the branch, and a checkout of it."""
        outcome = ws.approve(self._repo, self._state.run, taken.onto, taken.commit)
        if isinstance(outcome, Refusal):
            raise NotTaken(outcome.reason, outcome.hint)
        where = (outcome.branch or "").removeprefix("refs/heads/") or str(self._repo.root)
        return inputs.ApprovalDone(
            branch=outcome.branch,
            commit=outcome.commit,
            message=f"{where} has the result: {counted(outcome.files_changed, 'file')} changed"
            + self._what_stays_behind(),
        )

    def _what_stays_behind(self) -> str:
        """Say what was committed to the result's branch since: it was not approved."""
        branch, merged = ws.result_branch(self._state.run), self._state.points[FINAL_POINT].commit
        if ws.read_ref(self._repo, branch) in (None, merged):
            return ""
        name = branch.removeprefix("refs/heads/")
        return f"; what was committed to {name} since the run is not part of it: git merge {name}"

    def _refuse_sensitive(self, before: str, after: str) -> None:
        state = self._state
        if state.approval.allow_sensitive:
            return
        more = list(state.plan.sensitive)
        if state.plan_path is not None:
            more.append(os.path.relpath(state.plan_path, self._repo.root))
        changed = ws.paths_between(self._repo, state.run, before, after)
        found = [path for path in changed if is_sensitive(path, more)]
        if found:
            raise NotTaken(
                f"the result changes what others run or obey: {listing(found, 5)}",
                f"look at it: git diff {before[:10]} {after[:10]}; then: "
                f"anabranch approve {state.run} --allow-sensitive",
                "sensitive",
            )

    def _tip(self, base: Base, name: str) -> Base:
        """Return the branch to merge onto, as it is now."""
        if self._repo.kind == "plain":
            raise NotTaken(
                "a plain folder has no branch to merge onto", "approve it without --onto"
            )
        branch = f"refs/heads/{name.removeprefix('refs/heads/')}" if name else base.branch
        if branch is None:
            raise NotTaken("HEAD was detached when the run began", "name a branch: --onto BRANCH")
        tip = ws.read_commit(self._repo, branch)
        if tip is None:
            raise NotTaken(f"there is no branch {name}", "git branch lists them")
        return Base(*tip, branch, tip[0])

    def _merged_onto(self, tip: Base, base: Base, commit: str) -> Taken:
        state, final = self._state, self._state.points[FINAL_POINT]
        result = (RESULT, Result(commit, final.tree or "", base.commit, base.tree))
        outcome = ws.merge_trees(
            self._repo,
            state.run,
            tip,
            [result],
            message=f"anabranch {state.plan.name}",
            stop_early=True,
            decisions=state.resolutions,
        )
        by_hand = f"git switch {_name(tip)} && git merge anabranch/{state.run}"
        if outcome.conflicts:
            paths = ", ".join(p.path for p in outcome.conflicts[0].paths[:3])
            raise NotTaken(
                f"the result and {_name(tip)} conflict in {paths}",
                f"nothing was changed; merge by hand: {by_hand}",
                "conflict",
            )
        decided = {r.path for r in state.resolutions.values()}
        found = ws.look_at_merge(self._repo, state.run, tip, [result], outcome, decided)
        if found.lost:
            listed = ", ".join(found.lost[:3])
            raise NotTaken(
                f"the merge onto {_name(tip)} lacks what was merged into it: {listed}",
                f"nothing was changed; merge by hand: {by_hand}",
                "conflict",
            )
        return Taken(tip, outcome.commit, outcome.tree, is_merged=True)


def _name(base: Base) -> str:
    return (base.branch or "").removeprefix("refs/heads/")
