"""Checkpoints in a simulated world: snapshots of running workspaces, merged and brought back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.points.checkpoints import snapshots
from anabranch.core.events import Contribution
from anabranch.core.folds.known_trees import given_tree, in_checkpoint, known_tree, still_stands
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Result, State
from anabranch.testing.git import FakeGit
from anabranch.testing.processes import Key

Workspaces = dict[Key, dict[str, str]]


class SimulatedCheckpoints:
    """Performs what points' checkpoints ask for, on the workspaces of a world."""

    def __init__(
        self,
        git: FakeGit,
        workspaces: Workspaces,
        rng: Random,
        sometimes: Callable[[str], None],
    ) -> None:
        self._git, self._workspaces, self._rng = git, workspaces, rng
        self._sometimes = sometimes
        self._brought: dict[Key, dict[str, tuple[str | None, str | None]]] = {}

    def take(self, state: State, effect: fx.TakeCheckpoint) -> inputs.Input:
        """Snapshot one workspace."""
        key = (effect.stream, effect.attempt)
        message = f"{effect.stream}, checkpoint {effect.number}"
        commit, tree = self._git.commit(self._workspaces[key], message)
        ref = f"refs/checkpoint/{effect.stream}.{effect.number}"
        self._git.refs[ref] = commit
        return inputs.CheckpointReady(
            stream=effect.stream,
            attempt=effect.attempt,
            number=effect.number,
            commit=commit,
            tree=tree,
            ref=ref,
            files_changed=1,
            start_tree=given_tree(state.streams[effect.stream]),
            cause=effect.cause,
        )

    def write_back(self, key: Key) -> None:
        """Let a process write a file from the copy that it had read before it was brought."""
        for path, (before, after) in self._brought.get(key, {}).items():
            if before is not None and self._workspaces[key].get(path) == after:
                self._workspaces[key][path] = before
                self._sometimes("a process wrote a file from an old copy")
                return

    def taken_back(self, key: Key, tree: str) -> tuple[str, ...]:
        """Return the files that are as they were before they were brought."""
        files = self._git.tree(tree)
        brought = self._brought.get(key, {}).items()
        return tuple(p for p, (before, after) in brought if files.get(p) == before != after)

    def merge(self, state: State, effect: fx.MergeCheckpoint) -> inputs.Input:
        """Merge the snapshots onto the last checkpoint, each against what is known of it."""
        point = effect.point
        assert state.base is not None
        start = state.base.commit
        if still_stands(state, point):
            start = state.points[point].checkpoint.commit
            self._sometimes("a checkpoint went on from the last one")
        taken = [
            (s, Result(commit, tree, "", known_tree(state, point, s), 1, ""))
            for s, commit, tree in snapshots(state, point)
        ]
        merge = self._git.merge(start, taken)
        if merge.conflicts:
            self._sometimes("snapshots conflicted")
        works = tuple(
            Contribution(
                stream=s,
                attempt=state.streams[s].attempt,
                commit=r.commit,
                tree=r.tree,
                known_tree=r.tree if s in merge.merged else r.start_tree,
                is_merged=s in merge.merged,
            )
            for s, r in taken
        )
        return inputs.CheckpointMerged(
            point=point,
            number=effect.number,
            commit=merge.commit,
            tree=merge.tree,
            ref=f"refs/checkpoint/@{point}.{effect.number}",
            works=in_checkpoint(state, point, works),
            conflicts=merge.conflicts,
            reverted={
                s: back
                for s, r in taken
                if (back := self.taken_back((s, state.streams[s].attempt), r.tree))
            },
            cause=effect.cause,
        )

    def waits(self, effect: fx.OfferCheckpoint) -> inputs.SyncDelayed | None:
        """Now and then there is no quiet moment yet."""
        if self._rng.random() >= 0.2:
            return None
        self._sometimes("an offer waited for a quiet moment")
        return inputs.SyncDelayed(
            stream=effect.stream,
            attempt=effect.attempt,
            point=effect.point,
            number=effect.number,
            reason="never at rest",
            cause=effect.cause,
        )

    def offer(self, state: State, effect: fx.OfferCheckpoint, is_running: bool) -> inputs.Input:
        """Bring what the others did, where the stream has not changed it since its snapshot."""
        stream = state.streams[effect.stream]
        if not is_running or stream.phase is not Phase.RUNNING or self._rng.random() < 0.2:
            self._sometimes("an offer found no quiet moment")
            return inputs.SyncNotDone(
                stream=effect.stream,
                attempt=effect.attempt,
                point=effect.point,
                number=effect.number,
                reason="it never was quiet",
                cause=effect.cause,
            )
        made = state.points[effect.point].checkpoint
        workspace = self._workspaces[effect.stream, effect.attempt]
        work = made.works[effect.stream]
        before, after = self._git.tree(work.tree), self._git.tree(made.tree)
        brought: dict[str, str | None] = {}
        for path in sorted({*before, *after}):
            if before.get(path) == after.get(path):
                continue
            if workspace.get(path) not in (before.get(path), after.get(path)):
                self._sometimes("a file that was changed since was left alone")
                continue
            brought[path] = after.get(path)
            key = (effect.stream, effect.attempt)
            self._brought.setdefault(key, {})[path] = (workspace.get(path), after.get(path))
        _put(workspace, brought)
        self._sometimes("a stream was brought the others' work")
        return self._synced(state, effect, work.tree, brought)

    def _synced(
        self,
        state: State,
        effect: fx.OfferCheckpoint,
        known: str,
        brought: Mapping[str, str | None],
    ) -> inputs.Input:
        trees = []
        for name in (given_tree(state.streams[effect.stream]), known):
            tree = dict(self._git.tree(name))
            _put(tree, brought)
            trees.append(self._git.write_tree(tree))
        return inputs.SyncDone(
            stream=effect.stream,
            attempt=effect.attempt,
            point=effect.point,
            number=effect.number,
            files=sum(content is not None for content in brought.values()),
            removed=sum(content is None for content in brought.values()),
            left_alone=(),
            given_tree=trees[0],
            known_tree=trees[1],
            cause=effect.cause,
        )


def _put(files: dict[str, str], brought: Mapping[str, str | None]) -> None:
    for path, content in brought.items():
        if content is None:
            files.pop(path, None)
        else:
            files[path] = content
