"""Performs captures: a stream's work, partial work and checkpoints become commits that refs keep.

Synchronous and for worker threads, like :mod:`anabranch.engine.performers.workspaces`. Captures of
one workspace share an index: the caller sees to it that they come one after the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.locks.violations import against_locks, outside
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.gateway.spool_folder import in_workspace
from anabranch.engine.handler_results import shared_results
from anabranch.engine.masking import masked_tail
from anabranch.engine.performers.going_on import handlers_folder, has_done_handlers, note_captured
from anabranch.engine.workspaces.records import read_record
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder

LOG_TAIL_LINES = 20
LONGEST_LINE = 400
SETTLING_PATIENCE_SECONDS = 10.0


class CaptureEffects:
    """Performs the captures of one run; ``now`` is the run clock, in seconds."""

    def __init__(
        self, repository: ws.Repository, folder: RunFolder, now: Callable[[], float]
    ) -> None:
        self._repo, self._folder, self._now = repository, folder, now

    def capture(self, state: State, effect: fx.CaptureResult) -> inputs.Input:
        """Keep a stream's work: a result, or partial work of an attempt that did not succeed."""
        kept = self._capture(state, effect)
        if isinstance(kept, inputs.ResultReady) and not effect.is_partial:
            return replace(kept, handler_results=shared_results(self._folder, effect.stream))
        return kept

    def _capture(self, state: State, effect: fx.CaptureResult) -> inputs.Input:
        stream, run = state.at_attempt(effect.stream, effect.attempt), state.run
        plan = state.stream_plan(effect.stream)
        settled: tuple[str, ...] = ()
        at = stream.workspace
        if plan.workspace == "shared" or at is None:
            return nothing_captured(effect)
        workspace = read_record(self._repo, run, effect.stream, effect.attempt)
        if workspace is None:
            reason = f"the engine's note about {at.path} is gone; the folder itself is untouched"
            return inputs.EffectFailed(
                reason=reason, stream=effect.stream, attempt=effect.attempt, cause=effect.cause
            )
        if effect.is_partial:
            ref = ws.partial_ref(run, effect.stream, effect.attempt)
            message = f"{effect.stream}: partial work of attempt {effect.attempt}"
            tail = self._log_tail(state, effect)
        else:
            ref = ws.result_ref(run, effect.stream)
            message, tail = f"{effect.stream}: {plan.command_text}", ()
        text = "\n".join((message[:200], *(("", *tail) if tail else ())))
        try:
            ws.require_standing(workspace)
            in_workspace(workspace.path).remove()
            if plan.fan is not None and plan.fan.workspace == "each":
                settled = self._settled(workspace)
            direct = ws.capture_directly(self._repo, workspace, text, ref)
            result = direct or ws.capture_result(
                self._repo, run, effect.stream, effect.attempt, workspace, text, ref
            )
        except ws.WorkspaceReplaced as error:
            return self._history_only(effect, workspace, error.reason, tail)
        own = () if direct else ws.keep_own_refs(self._repo, workspace)
        has_nothing = result.commit == at.start_commit and not own
        if effect.is_partial and has_done_handlers(plan, self._folder):
            note_captured(self._folder, effect.stream, effect.attempt, has_nothing=has_nothing)
        if effect.is_partial and has_nothing:
            ws.drop_ref(self._repo, ref)
            warnings = tuple(map(utf8_text, settled))
            return replace(nothing_captured(effect), log_tail=tail, warnings=warnings)
        return inputs.ResultReady(
            commit=result.commit,
            tree=result.tree,
            files_changed=result.files_changed,
            ref=ref,
            start_tree=workspace.start_tree,
            reverted=self._taken_back(state, effect, result),
            warnings=tuple(
                map(utf8_text, (*result.warnings, *own, *settled, *self._meddled_settings(state)))
            ),
            strays=self._violations(state, result, workspace.path),
            log_tail=tail,
            files_removed=result.removal.removed,
            files_before=result.removal.before,
            files_left=result.removal.left,
            ignored=tuple(map(utf8_text, result.ignored)),
            stream=effect.stream,
            attempt=effect.attempt,
            cause=effect.cause,
        )

    def capture_what_can_be(
        self, state: State, effect: fx.CaptureResult, reason: str
    ) -> inputs.Input:
        """Keep what can be kept of work that cannot be captured whole, for the ``reason`` given."""
        workspace = read_record(self._repo, state.run, effect.stream, effect.attempt)
        failed = replace(
            nothing_captured(effect),
            fault=f"its work could not be captured: {reason}",
            log_tail=self._log_tail(state, effect),
            may_be_captured_again=True,
        )
        if workspace is None:
            return failed
        ref = ws.partial_ref(state.run, effect.stream, effect.attempt)
        message = f"{effect.stream}: what of attempt {effect.attempt} could be captured"
        try:
            kept, without = ws.capture_what_can_be(self._repo, state.run, workspace, message, ref)
        except ws.WorkspaceReplaced as error:
            return self._history_only(effect, workspace, error.reason, failed.log_tail)
        except (ws.GitError, OSError):
            fault = f"{failed.fault}; all of it is in {workspace.path}, untouched"
            return replace(failed, fault=fault)
        listed = f"all but {utf8_text(', '.join(without[:3]))}" if without else "all of it"
        return replace(
            failed,
            commit=kept.commit,
            tree=kept.tree,
            files_changed=kept.files_changed,
            ref=ref,
            fault=f"{failed.fault}; {listed} is kept by {ref}, and all is in "
            f"{workspace.path}: mend the cause, then anabranch resume captures it again",
        )

    def _settled(self, workspace: ws.PreparedWorkspace) -> tuple[str, ...]:
        """Have what handlers did in workspaces of their own brought into their stream's."""
        from anabranch.engine.workspaces import handler_settling  # here: few runs have handlers

        folder = handlers_folder(self._folder, workspace.stream)
        return handler_settling.settle_handlers(
            self._repo, workspace, folder, SETTLING_PATIENCE_SECONDS
        )

    def _history_only(
        self,
        effect: fx.CaptureResult,
        workspace: ws.PreparedWorkspace,
        reason: str,
        tail: tuple[str, ...],
    ) -> inputs.Input:
        """Keep what was committed in a workspace whose folder is out of reach: partial work."""
        ref = ws.partial_ref(workspace.run, effect.stream, effect.attempt)
        message = f"{effect.stream}: what attempt {effect.attempt} had committed"
        kept = ws.capture_history(self._repo, workspace.run, workspace, message, ref)
        if kept is None:
            return replace(nothing_captured(effect), fault=reason, log_tail=tail)
        return replace(
            nothing_captured(effect),
            commit=kept.commit,
            tree=kept.tree,
            files_changed=kept.files_changed,
            ref=ref,
            fault=f"{reason}; what it had committed is kept by {ref}",
            log_tail=tail,
        )

    def _log_tail(self, state: State, effect: fx.CaptureResult) -> tuple[str, ...]:
        """Return the last lines of an attempt's log, made safe, for what comes after it."""
        log = state.at_attempt(effect.stream, effect.attempt).log
        lines = masked_tail(Path(log), LOG_TAIL_LINES) if log else []
        return tuple(utf8_text(line)[:LONGEST_LINE] for line in lines)

    def _taken_back(
        self, state: State, effect: fx.CaptureResult, result: ws.Captured
    ) -> tuple[str, ...]:
        """Return the files that a stream wrote as they were before others' lines came in."""
        about = (state.run, effect.stream, effect.attempt)
        found = ws.reversals(self._repo, *about, result.start_tree, result.tree)
        return tuple(utf8_text(r.path) for r in found)

    def checkpoint(self, state: State, effect: fx.TakeCheckpoint) -> inputs.Input:
        """Keep a running stream's workspace as it is now."""
        stream, attempt, run = effect.stream, effect.attempt, state.run
        workspace = read_record(self._repo, run, stream, attempt)
        if workspace is None:
            raise OSError("the engine's note about the workspace is gone")
        wanted = state.checkpoints[stream].wanted
        label = next((w.label for w in wanted if w.number == effect.number), "")
        message = f"{stream}: checkpoint {effect.number} {label}".rstrip()
        ref = ws.checkpoint_ref(run, stream, effect.number)
        result = ws.capture_result(self._repo, run, stream, attempt, workspace, message[:200], ref)
        return inputs.CheckpointReady(
            stream=stream,
            attempt=attempt,
            number=effect.number,
            commit=result.commit,
            tree=result.tree,
            ref=ref,
            files_changed=result.files_changed,
            start_tree=workspace.start_tree,
            cause=effect.cause,
        )

    def _violations(self, state: State, result: ws.Captured, workspace: Path) -> tuple[str, ...]:
        """Return what a result changed outside its plan's ``writes``, or where others hold locks.

        A stream that ends before the watcher has looked is found out here at the latest.
        """
        allowed = state.stream_plan(result.stream).writes
        if not result.files_changed or not (allowed or state.locks.entries):
            return ()
        paths = ws.changed_paths(self._repo, state.run, result)
        unplanned = outside(paths, allowed) if allowed else ()
        written = ((path, self._written_at(workspace, path)) for path in paths)
        found = (*unplanned, *against_locks(state, result.stream, written))
        return tuple(dict.fromkeys(utf8_text(path) for path in found))

    def _written_at(self, workspace: Path, path: str) -> float:
        """Return when a file was changed last, on the run clock; for one that is gone, its folder.

        It is the kernel's own time of the change, which no program sets.
        """
        at = workspace / path
        while True:
            try:
                changed = os.lstat(at).st_ctime
            except OSError:
                if at == workspace:
                    return 0.0
                at = at.parent
            else:
                return self._now() - (time.time() - changed)

    def _meddled_settings(self, state: State) -> tuple[str, ...]:
        """Say which git settings that start programs have changed since the run began.

        What has been captured is not lost for it that these cannot be read any more.
        """
        try:
            changed = ws.changed_settings(self._repo, state.run)
        except ws.GitError as error:
            return (f"whether your git settings were changed cannot be told: {error.reason}",)
        if not changed:
            return ()
        names = ", ".join(changed[:5])
        return (f"your git settings were changed during the run: {names}",)


def nothing_captured(effect: fx.CaptureResult) -> inputs.ResultReady:
    return inputs.ResultReady(
        commit="",
        tree="",
        files_changed=0,
        ref="",
        stream=effect.stream,
        attempt=effect.attempt,
        cause=effect.cause,
    )
