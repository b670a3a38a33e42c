"""Performs what concerns git and folders: bases, workspaces, merges, approval.

Everything here is synchronous and runs in a worker thread; each function takes an effect's facts
and returns the observation to post.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.streams.restoring import to_go_on_from, to_restore
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.folds.inheritance import Inheritance, held_by, inherited_by, inherited_from
from anabranch.core.folds.resolutions import resolver_is_due
from anabranch.core.folds.verifying import needs_check
from anabranch.core.ids import FINAL_POINT, Attempt, PointId, StreamId
from anabranch.core.model.checkpoints import Taken
from anabranch.core.model.state import Base, Result, State
from anabranch.core.plans.plan import StreamPlan
from anabranch.core.wording import listing
from anabranch.core.written_names import in_ref
from anabranch.engine import workspaces as ws
from anabranch.engine.masking import note_masks
from anabranch.engine.performers.captures import nothing_captured
from anabranch.engine.performers.going_on import captured, has_done_handlers, note_going_on
from anabranch.engine.performers.making_ready import setup_of
from anabranch.engine.performers.screening import Screened, screen
from anabranch.engine.preflight import works_apart
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder

T = TypeVar("T")


class WorkspaceEffects:
    """Performs git effects of one run."""

    def __init__(self, repository: ws.Repository, folder: RunFolder) -> None:
        self._repo = repository
        self._folder = folder

    @property
    def repository(self) -> ws.Repository:
        """The user's project as git sees it."""
        return self._repo

    @property
    def places(self) -> tuple[Path, ...]:
        """Where effects write: a full disk under one of these makes them fail."""
        return (self._repo.git_dir, self._repo.store, self._folder.path)

    @property
    def prefix(self) -> str:
        """The plan's sub-folder inside the repository."""
        return self._repo.prefix

    def immediate_result(self, state: State, effect: fx.Effect) -> inputs.Input | None:
        """Return what comes of an effect that asks nothing of git or the disk.

        A stream that works in the user's own folder has its workspace already, and its work too;
        and the queues of this machine's slots are where they are decided about.
        """
        if isinstance(effect, fx.AskVictim):
            return let_go(effect)
        if not isinstance(effect, fx.PrepareWorkspace | fx.CaptureResult):
            return None
        if state.stream_plan(effect.stream).workspace != "shared":
            return None
        if isinstance(effect, fx.CaptureResult):
            return nothing_captured(effect)
        if state.stream_plan(effect.stream).ports:
            return None
        inheritance = inherited_by(state, effect.stream)
        if inheritance.start or inheritance.then:
            return None
        base = _base(state)
        return inputs.WorkspaceReady(
            path=str(self._repo.root),
            start_commit=base.commit,
            start_tree=base.tree,
            stream=effect.stream,
            attempt=effect.attempt,
            cause=effect.cause,
        )

    def capture_base(self, state: State, effect: fx.CaptureBase) -> inputs.Input:
        """Find the commit that streams start from."""
        leaves_out = not state.plan.include_uncommitted
        base = ws.capture_base(self._repo, state.run, not leaves_out)
        included, warnings = self._include(state)
        if works_apart(state.plan):
            empty = ws.submodules_in(self._repo, state.run, base.tree)
            warnings = (*warnings, *ws.empty_in_words(empty))
        return inputs.BaseFound(
            commit=base.commit,
            tree=base.tree,
            branch=base.branch,
            head=base.head,
            left_out=ws.uncommitted_files(self._repo, state.run, base.head) if leaves_out else 0,
            warnings=tuple(map(utf8_text, (*ws.not_followed(self._repo, state.run), *warnings))),
            included=included,
            cause=effect.cause,
        )

    def _include(self, state: State) -> tuple[ev.Included, tuple[str, ...]]:
        """Have what git ignores and workspaces need frozen, if any stream has one of its own."""
        if not works_apart(state.plan):
            return ev.Included(), ()
        methods = {s.method for s in state.plan.streams if s.workspace != "shared"} or {"auto"}
        by_layers = all(ws.method_here(self._repo, method) == "overlay" for method in methods)
        patterns = state.plan.include
        included = ws.include_ignored(self._repo, state.run, patterns, by_layers=by_layers)
        note_masks(self._folder, ws.masks_of_included(self._repo, state.run))
        return included

    @staticmethod
    def left_by(state: State, effect: fx.PrepareWorkspace) -> StreamId:
        """Return whose workspace an attempt goes on in; its own stream's if it gets a new one."""
        return state.at_attempt(effect.stream, effect.attempt).goes_on_from or effect.stream

    def prepare(self, state: State, effect: fx.PrepareWorkspace) -> inputs.Input:
        """Make a stream's workspace from what it inherits, or of one that another has left."""
        taken_over = self._take_over(state, effect)
        if taken_over is not None:
            return taken_over
        plan = state.stream_plan(effect.stream)
        inheritance = inherited_by(state, effect.stream)
        taken = to_restore(state, effect.stream)
        sent_back = to_go_on_from(state, effect.stream)
        checkpoint = _checkpoint(taken) if taken else sent_back
        before = Attempt(effect.attempt - 1)
        has_done = before > 0 and has_done_handlers(plan, self._folder)
        left = captured(self._folder, effect.stream, before) if has_done else None
        if left == "work":
            checkpoint = ws.partial_work(self._repo, state.run, effect.stream, before)
        outcome = ws.prepare_workspace(
            self._repo,
            state.run,
            effect.stream,
            effect.attempt,
            plan.workspace,
            self._folder.workspace(effect.stream, effect.attempt),
            _start(state, inheritance),
            inheritance.then,
            state.resolutions,
            checkpoint,
            ws.method_here(self._repo, plan.method),
            _base(state).tree,
            paths_in_project(plan, self._repo.prefix),
            setup_of(self._repo, state, effect.stream, effect.attempt),
        )
        if isinstance(outcome, ev.Conflict):
            return inputs.WorkspaceConflicted(
                conflict=self._with_other_side(state, inheritance, outcome),
                stream=effect.stream,
                attempt=effect.attempt,
                cause=effect.cause,
            )
        if left == "nothing" or (left == "work" and outcome.is_restored):
            note_going_on(self._folder, effect.stream, effect.attempt)
        return inputs.WorkspaceReady(
            path=str(outcome.path),
            start_commit=outcome.start_commit,
            start_tree=outcome.start_tree,
            method=outcome.method,
            in_namespace=outcome.layers is not None and ws.in_a_namespace(),
            warnings=(*outcome.warnings, *_not_gone_on_from(sent_back, outcome)),
            kept=self._keep_earlier_work(state, effect.stream),
            restored=taken.number if taken and outcome.is_restored else 0,
            stream=effect.stream,
            attempt=effect.attempt,
            cause=effect.cause,
        )

    def _take_over(self, state: State, effect: fx.PrepareWorkspace) -> inputs.Input | None:
        """Have a stream go on in the workspace of another, if that is to be and can be."""
        stream = state.at_attempt(effect.stream, effect.attempt)
        left, inheritance = state.streams.get(stream.goes_on_from), inherited_by(state, stream.id)
        if left is None or left.result is None or inheritance.then:
            return None
        taken = ws.take_over_workspace(
            self._repo,
            state.run,
            effect.stream,
            effect.attempt,
            self._folder.workspace(effect.stream, effect.attempt),
            _start(state, inheritance),
            (left.id, left.attempt, left.result.tree),
        )
        if taken is None:
            return None
        return inputs.WorkspaceReady(
            path=str(taken.path),
            start_commit=taken.start_commit,
            start_tree=taken.start_tree,
            method=taken.method,
            in_namespace=taken.layers is not None and ws.in_a_namespace(),
            warnings=taken.warnings,
            taken_from=left.id,
            stream=effect.stream,
            attempt=effect.attempt,
            cause=effect.cause,
        )

    def _keep_earlier_work(self, state: State, stream: StreamId) -> tuple[str, ...]:
        """Keep the result of a stream that does its work again, as the next one takes its ref."""
        given = state.streams[stream].handed_back
        if given is None or not given.commit:
            return ()
        ref = ws.partial_ref(state.run, stream, given.attempt)
        ws.keep_ref(self._repo, ref, given.commit)
        return (ref,)

    def merge(self, state: State, effect: fx.MergeResults) -> inputs.Input:
        """Merge what met at a point, leaving conflicting streams and their dependents out."""
        point, left_out = effect.point, dict[StreamId, None]()
        conflicts: list[ev.Conflict] = []
        screened = self._screened(state, state.points[point].merging)
        for conflict in screened.conflicts:
            conflicts.append(conflict)
            left_out[conflict.late] = None
            left_out |= dict.fromkeys(state.topology.descendants(conflict.late))
        while True:
            streams = [s for s in state.points[point].merging if s not in left_out]
            inheritance = inherited_from(state, streams)
            outcome = ws.merge_trees(
                self._repo,
                state.run,
                _start(state, inheritance),
                screened.settled(inheritance.then),
                message=f"anabranch {state.plan.name}",
                stop_early=False,
                decisions=state.resolutions,
                below=state.topology.descendants,
            )
            conflicts += [self._with_other_side(state, inheritance, c) for c in outcome.conflicts]
            if not outcome.conflicts:
                findings = self._findings(state, inheritance, outcome)
                if findings.lost:
                    return _lost_in_the_merge(effect, findings.lost)
                return self._merged(state, effect, streams, outcome, conflicts, findings.warnings)
            for conflict in outcome.conflicts:
                left_out[conflict.late] = None
                left_out |= dict.fromkeys(state.topology.descendants(conflict.late))

    def _screened(self, state: State, streams: Sequence[StreamId]) -> Screened:
        """Find the results that take back others' lines, which no merge would notice."""
        known = [(s, r) for s in streams if (r := state.streams[s].result) is not None]
        mixed = {s: state.streams[s].attempt for s, r in known if r.is_mixed}
        return screen(self._repo, state.run, known, mixed, state.resolutions)

    def merge_for_verify(self, state: State, streams: Sequence[StreamId]) -> Base | str:
        """Merge some streams' work without letting it count; or say why it does not merge."""
        inheritance = inherited_from(state, streams)
        outcome = ws.merge_trees(
            self._repo,
            state.run,
            _start(state, inheritance),
            inheritance.then,
            message=f"anabranch {state.plan.name}, to be verified",
            stop_early=True,
            decisions=state.resolutions,
        )
        if outcome.conflicts:
            return f"{outcome.conflicts[0].late} does not merge with less than the others"
        return Base(outcome.commit, outcome.tree)

    def _findings(
        self, state: State, inheritance: Inheritance, outcome: ws.MergeOutcome
    ) -> ws.Findings:
        """Look at a clean merge before it is called one."""
        return ws.look_at_merge(
            self._repo,
            state.run,
            _start(state, inheritance),
            inheritance.then,
            outcome,
            {r.path for r in state.resolutions.values()},
            held_by(state, inheritance),
        )

    def _with_other_side(
        self, state: State, inheritance: Inheritance, conflict: ev.Conflict
    ) -> ev.Conflict:
        """Name who holds the other side when it was in what the merge started from."""
        if conflict.others:
            return conflict
        held = held_by(state, inheritance)
        others = ws.who_touched(self._repo, state.run, held, conflict.paths)
        return ws.conflict_between(others, conflict.late, conflict.paths, conflict.tree)

    def _merged(
        self,
        state: State,
        effect: fx.MergeResults,
        streams: list[StreamId],
        outcome: ws.MergeOutcome,
        conflicts: list[ev.Conflict],
        warnings: tuple[str, ...],
    ) -> inputs.Input:
        branch = None
        policy = state.point_plan(effect.point).on_conflict
        is_last = state.points[effect.point].is_last_merge
        is_final_word = not any(resolver_is_due(state, effect.point, c) for c in conflicts)
        waits_for_check = needs_check(state, effect.point, outcome.tree) and bool(streams)
        if waits_for_check:
            ref = ws.candidate_ref(state.run, effect.point)
            ws.move_ref(self._repo, ref, outcome.commit, ws.read_ref(self._repo, ref))
        elif not conflicts or not is_last or (policy == "quarantine" and is_final_word):
            ref = point_ref(state, effect.point)
            self._publish(ref, outcome.commit, state.points[effect.point].commit)
            if effect.point == FINAL_POINT:
                branch = ref.removeprefix("refs/heads/")
                if self._repo.kind == "plain" and is_last:
                    ws.publish_result_folder(
                        self._repo, state.run, outcome.commit, self._folder.result
                    )
        return inputs.MergeFinished(
            point=effect.point,
            commit=outcome.commit,
            tree=outcome.tree,
            branch=branch,
            merged=tuple(streams),
            conflicts=tuple(conflicts),
            warnings=tuple(map(utf8_text, warnings)),
            cause=effect.cause,
        )

    def _publish(self, ref: str, commit: str, before: str | None) -> None:
        """Move a point's ref from its last merge, or from wherever else it stands."""
        try:
            ws.move_ref(self._repo, ref, commit, before)
        except ws.RefMoved:
            ws.move_ref(self._repo, ref, commit, ws.read_ref(self._repo, ref))


def point_ref(state: State, point: PointId) -> str:
    """Return the ref that holds what a point merged; the final one is a branch people see."""
    if point == FINAL_POINT:
        return ws.result_branch(state.run)
    return f"refs/anabranch/point/{state.run}/{in_ref(point)}"


class NoWorkingFolder(OSError):
    """A stream cannot be run where its plan wants it; another attempt would find the same."""


def working_directory(workspace: Path, prefix: str, working_dir: str) -> Path:
    """Return where a command runs. Raises NoWorkingFolder if that is not a folder inside it.

    The workspace may hold links that a stream (or a repository) made, so the real path counts.
    """
    if os.path.islink(workspace):
        raise NoWorkingFolder(f"the workspace was replaced: {workspace} is a symbolic link")
    root = os.path.realpath(workspace)
    found = os.path.realpath(os.path.join(root, prefix, working_dir))
    if found != root and not found.startswith(root + os.sep):
        raise NoWorkingFolder(f"working_dir {working_dir!r} leads out of the workspace")
    if not os.path.isdir(found):
        raise NoWorkingFolder(
            f"working_dir {working_dir!r} is not a folder in the workspace: nothing that this "
            "stream starts from has it"
        )
    return Path(found)


def in_words(error: Exception) -> str:
    """Return an error in words for people: what happened, and the next step if there is one."""
    if isinstance(error, ws.GitError):
        return f"{error.reason} ({error.hint})" if error.hint else error.reason
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}" if error.strerror else str(error)
    return f"{type(error).__name__}: {error}"


def _base(state: State) -> Base:
    assert state.base is not None
    return state.base


def paths_in_project(plan: StreamPlan, prefix: str) -> tuple[str, ...]:
    """Return the folders of the repository that a stream works on; none if on all of it."""
    return tuple(posixpath.normpath(posixpath.join(prefix, path)) for path in plan.paths)


def _start(state: State, inheritance: Inheritance) -> ws.Standing:
    return inheritance.start or _base(state)


def _checkpoint(taken: Taken) -> Result:
    return Result(taken.commit, taken.tree, "", taken.start_tree, taken.files_changed)


def _not_gone_on_from(sent_back: Result | None, made: ws.PreparedWorkspace) -> tuple[str, ...]:
    """Say that a workspace does not hold what was handed back, where that would not merge."""
    if sent_back is None or made.is_restored:
        return ()
    commit = sent_back.commit[:12]
    return (f"what was handed back does not merge with what it starts from now: it is in {commit}",)


def _lost_in_the_merge(effect: fx.MergeResults, lost: tuple[str, ...]) -> inputs.Input:
    """Return that a merge which git called clean lacks something, and so does not count."""
    some = utf8_text(listing(lost, 3))
    reason = f"the merge lacks what was merged into it: {some}; every result is kept"
    return inputs.MergeFailed(point=effect.point, reason=reason, cause=effect.cause)
