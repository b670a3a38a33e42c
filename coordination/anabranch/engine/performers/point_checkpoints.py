"""Performs points' checkpoints: merges snapshots of running streams, brings back what comes of it.

Synchronous, for worker threads, like :mod:`anabranch.engine.performers.workspaces`. The caller sees
to it that nothing is captured while files are brought, and nothing brought meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.points.checkpoints import snapshots
from anabranch.core.folds.known_trees import given_tree, in_checkpoint, known_tree, still_stands
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Result, State
from anabranch.engine import workspaces as ws
from anabranch.engine.performers.workspaces import WorkspaceEffects
from anabranch.engine.workspaces.records import read_record
from anabranch.hostile_text import utf8_text

Bringing = Callable[[StreamId, Sequence[str]], AbstractContextManager[None]]


class CheckpointEffects:
    """Performs what points' checkpoints of one run ask for.

    Args:
        workspaces: performs the other effects on the same workspaces.
        bringing: is entered with the files of a stream while the engine writes them.
    """

    def __init__(self, workspaces: WorkspaceEffects, bringing: Bringing) -> None:
        self._workspaces = workspaces
        self._repo = workspaces.repository
        self._bringing = bringing

    def merge(self, state: State, effect: fx.MergeCheckpoint) -> inputs.Input:
        """Merge the snapshots onto the point's last checkpoint; keep what comes of it by a ref."""
        point, reverted = effect.point, dict[StreamId, tuple[str, ...]]()
        results: list[ws.StreamResult] = []
        commits = {s: (commit, tree) for s, commit, tree in snapshots(state, point)}
        for stream in commits:
            found = self._reverted(state, point, stream, commits[stream][1])
            if found:
                reverted[stream] = tuple(r.path for r in found)
            result = self._result(state, point, stream, commits[stream], found)
            results.append((stream, result))
        outcome, conflicts = self._merged(state, point, results)
        ref = ws.point_checkpoint_ref(state.run, point, effect.number)
        ws.keep_ref(self._repo, ref, outcome.commit)
        late = {conflict.late for conflict in conflicts}
        works = tuple(
            ev.Contribution(
                stream=s,
                attempt=state.streams[s].attempt,
                commit=commits[s][0],
                tree=commits[s][1],
                known_tree=r.start_tree if s in late else r.tree,
                is_merged=s not in late,
                withheld=reverted.get(s, ()),
            )
            for s, r in results
        )
        return inputs.CheckpointMerged(
            point=point,
            number=effect.number,
            commit=outcome.commit,
            tree=outcome.tree,
            ref=ref,
            works=in_checkpoint(state, point, works),
            conflicts=tuple(conflicts),
            reverted={s: tuple(map(utf8_text, paths)) for s, paths in reverted.items()},
            cause=effect.cause,
        )

    def _reverted(
        self, state: State, point: PointId, stream: StreamId, tree: str
    ) -> tuple[ws.Reversal, ...]:
        attempt, known = state.streams[stream].attempt, known_tree(state, point, stream)
        return ws.reversals(self._repo, state.run, stream, attempt, known, tree)

    def _result(
        self,
        state: State,
        point: PointId,
        stream: StreamId,
        snapshot: tuple[str, str],
        reverted: Sequence[ws.Reversal],
    ) -> Result:
        """Return a snapshot as what changed since; where lines were taken back, nothing did."""
        known = known_tree(state, point, stream)
        tree = ws.with_paths_of(
            self._repo, state.run, snapshot[1], known, [r.path for r in reverted]
        )
        at = state.streams[stream].workspace
        start = at.start_commit if at else ""
        return Result(snapshot[0], tree, start, known)

    def _merged(
        self, state: State, point: PointId, results: Sequence[ws.StreamResult]
    ) -> tuple[ws.MergeOutcome, list[ev.Conflict]]:
        """Merge what has changed; what conflicts is tried again after the others."""
        made, base = state.points[point].checkpoint, state.base
        assert base is not None
        stand = made if still_stands(state, point) else base
        outcome = ws.MergeOutcome(stand.commit, stand.tree, ())
        left = [(s, r) for s, r in results if r.tree != r.start_tree]
        while left:
            outcome = ws.merge_trees(
                self._repo,
                state.run,
                outcome,
                left,
                message=f"checkpoint of {state.plan.name}",
                stop_early=False,
                decisions=state.resolutions,
            )
            late = {conflict.late for conflict in outcome.conflicts}
            if len(late) in (0, len(left)):
                break
            left = [(s, r) for s, r in left if s in late]
        return outcome, [self._against(state, results, c) for c in outcome.conflicts]

    def _against(
        self, state: State, results: Sequence[ws.StreamResult], conflict: ev.Conflict
    ) -> ev.Conflict:
        """Name who holds the other side, be it in this checkpoint or in an earlier one."""
        if conflict.others:
            return conflict
        all_work = [
            (s, replace(r, start_tree=given_tree(state.streams[s])))
            for s, r in results
            if s != conflict.late
        ]
        others = ws.who_touched(self._repo, state.run, all_work, conflict.paths)
        return ws.conflict_between(others, conflict.late, conflict.paths, conflict.tree)

    # --- bringing back ---------------------------------------------------------------------------

    def why_not_now(self, state: State, effect: fx.OfferCheckpoint) -> str | None:
        """Return why a workspace is not touched right now, or None. Raises GitError."""
        workspace = read_record(self._repo, state.run, effect.stream, effect.attempt)
        return "its folder is not known" if workspace is None else ws.why_busy(workspace)

    def bring(
        self, state: State, effect: fx.OfferCheckpoint, moment: ws.Moment | None = None
    ) -> inputs.Input:
        """Bring the files of a checkpoint; nothing may be captured there meanwhile.

        A ``moment`` keeps the stream still; without one it has to be at rest by itself.
        """
        made, stream = state.points[effect.point].checkpoint, state.streams[effect.stream]
        work = made.works[effect.stream]
        workspace = read_record(self._repo, state.run, effect.stream, effect.attempt)
        is_running = stream.phase is Phase.RUNNING and stream.attempt == effect.attempt
        if workspace is None or not is_running:
            return declined(effect, "the stream has ended")
        wanted = ws.to_bring(self._repo, workspace, work.tree, made.tree, work.withheld)
        with self._bringing(effect.stream, [change.path for change in wanted]):
            done = ws.bring(self._repo, workspace, wanted, work.tree, moment=moment)
        return inputs.SyncDone(
            stream=effect.stream,
            attempt=effect.attempt,
            point=effect.point,
            number=effect.number,
            files=done.files,
            removed=done.removed,
            left_alone=tuple(map(utf8_text, done.left_alone))[:100],
            given_tree=done.given_tree,
            known_tree=done.known_tree,
            was_held=moment is not None,
            cause=effect.cause,
        )


def declined(effect: fx.OfferCheckpoint, reason: str) -> inputs.SyncNotDone:
    """Return that nothing was brought, and why."""
    return inputs.SyncNotDone(
        stream=effect.stream,
        attempt=effect.attempt,
        point=effect.point,
        number=effect.number,
        reason=reason,
        cause=effect.cause,
    )


def delayed(effect: fx.OfferCheckpoint, reason: str) -> inputs.SyncDelayed:
    """Return that nothing could be brought yet, and why."""
    return inputs.SyncDelayed(
        stream=effect.stream,
        attempt=effect.attempt,
        point=effect.point,
        number=effect.number,
        reason=reason,
        cause=effect.cause,
    )
