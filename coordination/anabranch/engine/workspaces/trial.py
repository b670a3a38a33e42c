"""Merging on trial: snapshots of running workspaces, merged into nothing.

Every object that a trial makes lies in a store of its own, which borrows the repository's objects
and goes away with the trials. Snapshots use indexes of their own too: an index that knew of blobs
which only lie here would make a later capture leave them out.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.core.events import ConflictedPath
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Base, Result, Stream
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.capturing import trusted_git_dir, workspace_view
from anabranch.engine.workspaces.including.keeping_out import keep_out
from anabranch.engine.workspaces.merging import merge_trees
from anabranch.engine.workspaces.names import component
from anabranch.engine.workspaces.objects import changes
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.records import read_record
from anabranch.engine.workspaces.repository import frozen_view, run_folder
from anabranch.engine.workspaces.snapshots import renew_index, take_snapshot
from anabranch.engine.workspaces.stream_history import objects_of
from anabranch.engine.workspaces.values import MergeOutcome, Repository, Standing

KEPT_ANSWERS = 2_000


class Trial(Enum):
    """What a trial can come to beside a conflict."""

    CLEAN = "clean"
    NOT_POSSIBLE = "not possible"


class Side(msgspec.Struct, frozen=True):
    """One stream's work as it is now; ``objects`` is where its own repository keeps some of it."""

    stream: StreamId
    tree: str
    start_commit: str
    start_tree: str
    objects: Path | None = None


class Trials:
    """Trial merges of one run; close them to take their objects away.

    ``place`` is the folder of the run that they lie in: nobody else uses it at the same time.
    """

    def __init__(self, repo: Repository, run: RunId, place: str = "trials") -> None:
        self._repo, self._run = repo, run
        self._folder = run_folder(repo, run) / place
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "objects").mkdir(parents=True)
        self._answers: OrderedDict[tuple[Side, Side], Trial | tuple[ConflictedPath, ...]] = (
            OrderedDict()
        )
        self._paths: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def close(self) -> None:
        """Take away everything that was made."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def paths(self, side: Side) -> tuple[str, ...]:
        """Return the paths that a side has changed; remembered."""
        key = (side.start_tree, side.tree)
        known = self._paths.get(key)
        if known is None:
            listed = changes(self.view_of(side), *key)
            known = self._paths[key] = tuple(change.path for change in listed)
            if len(self._paths) > KEPT_ANSWERS:
                self._paths.popitem(last=False)
        return known

    def side_of(self, stream: Stream) -> Side | None:
        """Return a stream's result, or its files as they are; None if they cannot be read now."""
        if stream.phase is Phase.SUCCEEDED and stream.result is not None:
            result = stream.result
            return Side(stream.id, result.tree, result.start_commit, result.start_tree)
        try:
            return self.snapshot(stream.id, stream.attempt)
        except (GitError, OSError):
            return None

    def snapshot(self, stream: StreamId, attempt: Attempt) -> Side | None:
        """Return the files of an attempt's workspace as they are; None if it has none of its own.

        Raises GitError, OSError if they cannot be read now.
        """
        workspace = read_record(self._repo, self._run, stream, attempt)
        if workspace is None or workspace.kind == "shared":
            return None
        index = self._folder / f"{component(stream)}.{attempt}"
        git = self._apart(workspace_view(self._repo, workspace)).at(index=index)
        renew_index(git, trusted_git_dir(workspace) / "index", workspace.start_tree)
        withheld = (*own_paths(self._repo), *keep_out(git, self._repo, self._run).withheld)
        tree = take_snapshot(git, withheld).tree
        objects = objects_of(self._repo, workspace)
        return Side(stream, tree, workspace.start_commit, workspace.start_tree, objects)

    def view_of(self, side: Side) -> Git:
        """Return a view in which all the objects of a side are to be found."""
        return self._view().at(alternates=(side.objects,) if side.objects else ())

    def merged_onto(self, stand: Standing, side: Side) -> MergeOutcome:
        """Return what becomes of a commit when a side is merged onto it. Raises GitError."""
        return self._outcome(Base(stand.commit, stand.tree), (side,))

    def merge(self, one: Side, other: Side) -> Trial | tuple[ConflictedPath, ...]:
        """Return whether two streams' work merges, or the paths on which it does not."""
        known = self._answers.get((one, other))
        if known is not None:
            self._answers.move_to_end((one, other))
            return known
        try:
            found = self._merged(one, other)
        except (GitError, OSError):
            return Trial.NOT_POSSIBLE
        self._answers[one, other] = found
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return found

    def _merged(self, one: Side, other: Side) -> Trial | tuple[ConflictedPath, ...]:
        """Merge the one onto what the other started from, then the other onto that.

        Where already the one does not merge with that, a third stream may be in its way; then the
        two change places, and if that is no better, nothing can be said of these two.
        """
        for first, second in ((one, other), (other, one)):
            stand = Base(second.start_commit, second.start_tree)
            outcome = self._outcome(stand, (first, second))
            if not outcome.conflicts:
                return Trial.CLEAN
            if outcome.conflicts[0].late == second.stream:
                return outcome.conflicts[0].paths
        return Trial.NOT_POSSIBLE

    def _outcome(self, stand: Base, sides: Sequence[Side]) -> MergeOutcome:
        results = [
            (s.stream, Result(s.start_commit, s.tree, s.start_commit, s.start_tree)) for s in sides
        ]
        clones = tuple(side.objects for side in sides if side.objects is not None)
        view = self._view().at(alternates=clones)
        return merge_trees(
            self._repo, self._run, stand, results, message="trial", stop_early=True, view=view
        )

    def _view(self) -> Git:
        return self._apart(frozen_view(self._repo, self._run))

    def _apart(self, git: Git) -> Git:
        """Return the same view, with every new object written to the trials' own store."""
        own: Path = self._folder / "objects"
        borrowed: Sequence[Path] = (git.objects,) if git.objects else ()
        return replace(git, objects=own, alternates=(*git.alternates, *borrowed))
