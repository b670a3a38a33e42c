"""Decisions about one stream: what follows when its workspace, process or result reports back."""

from __future__ import annotations

import signal as signals

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.handlers import share_results
from anabranch.core.deciding.locks.violations import removal_kept, strays_kept
from anabranch.core.deciding.owed import deadline_of, exited_well
from anabranch.core.deciding.points.checkpoints import lines_reverted
from anabranch.core.deciding.points.convergence import (
    RESOLVER_AT_WORK,
    start_resolver,
)
from anabranch.core.deciding.streams import observed, out_of_memory
from anabranch.core.deciding.streams.retrying import after_failed_attempt
from anabranch.core.deciding.streams.service_ends import service_ended
from anabranch.core.deciding.undoing import follow_retry
from anabranch.core.folds.inheritance import left_out_below
from anabranch.core.folds.resolutions import resolver_is_due
from anabranch.core.left_behind import is_worth_naming
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.state import Exit, Stream
from anabranch.core.strategies.failures import CERTAIN, NOT_CAPTURED
from anabranch.core.wording import counted


def is_current(draft: Draft, fact: inputs.AttemptObservation) -> bool:
    """Say whether a fact is about the attempt that the state knows; a late one changes nothing."""
    stream = draft.state.streams.get(fact.stream)
    return stream is not None and stream.attempt == fact.attempt


def workspace_ready(draft: Draft, fact: inputs.WorkspaceReady) -> None:
    """Start the process in a workspace that stands, unless the stream is not wanted any more."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.PREPARING:
        return
    if fact.taken_from:
        left = draft.stream(fact.taken_from)
        draft.emit(ev.WorkspaceReclaimed(left.id, attempt=left.attempt))
    if stream.stop:
        end_without_process(draft, stream)
        return
    draft.emit(observed.prepared(fact))
    with draft.because_of_last_event():
        follow_retry(draft, draft.stream(stream.id), stream.last_started_at, fact.restored)


def workspace_conflicted(draft: Draft, fact: inputs.WorkspaceConflicted) -> None:
    """Do what the point's policy says where what a stream should start from does not merge."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.PREPARING:
        return
    if stream.stop:
        end_without_process(draft, stream)
        return
    plan = draft.state.stream_plan(stream.id)
    conflict = replace(fact.conflict, halts=stream.id)
    draft.emit(ev.ConflictFound(plan.converge, conflict=conflict, stream=stream.id))
    paths = ", ".join(p.path for p in conflict.paths[:3])
    reason = f"the results it starts from conflict in {paths}"
    if resolver_is_due(draft.state, plan.converge, conflict):
        draft.emit(ev.StreamBlocked(stream.id, reason=f"{reason}; {RESOLVER_AT_WORK}"))
        start_resolver(draft, plan.converge, (conflict,))
        return
    match draft.state.point_plan(plan.converge).on_conflict:
        case "quarantine":
            draft.emit(ev.StreamQuarantined(stream.id, reason=reason, point=plan.converge))
        case "stop":
            draft.emit(ev.StreamFailed(stream.id, attempt=stream.attempt, reason=reason))
        case _:
            draft.emit(ev.StreamBlocked(stream.id, reason=reason))


def effect_failed(draft: Draft, fact: inputs.EffectFailed) -> None:
    """Fail an attempt for which a workspace, a process or a capture could not be had."""
    stream = draft.stream(fact.stream)
    if stream.phase not in (Phase.PREPARING, Phase.STARTING, Phase.CAPTURING):
        return
    draft.emit(
        ev.AttemptFailed(
            stream.id,
            attempt=stream.attempt,
            reason=fact.reason,
            is_permanent=fact.is_permanent,
        )
    )
    why = why_not_succeeded(draft, stream) if stream.phase is Phase.CAPTURING else fact.reason
    if why is None:
        after_failed_attempt(draft, draft.stream(stream.id), fact.reason, kind=NOT_CAPTURED)
    else:
        reason = fact.reason if why == fact.reason else f"{why}; {fact.reason}"
        kind = CERTAIN if fact.is_permanent else None
        after_failed_attempt(draft, draft.stream(stream.id), reason, kind=kind)


def effect_delayed(draft: Draft, fact: inputs.EffectDelayed) -> None:
    """Say why a stream does not go on; the performer keeps trying."""
    stream = draft.stream(fact.stream)
    if stream.is_active and not stream.reason.startswith(fact.reason):
        draft.emit(ev.StreamDelayed(stream.id, attempt=stream.attempt, reason=fact.reason))


def process_started(draft: Draft, fact: inputs.ProcessStarted) -> None:
    """Record that the process runs. If somebody asked for its end meanwhile, that is owed now."""
    stream = draft.stream(fact.stream)
    if stream.phase not in (Phase.STARTING, Phase.SETTING_UP):
        return
    draft.emit(observed.started(fact))
    if stream.stop:
        draft.emit(
            ev.StreamStopRequested(
                stream.id, attempt=stream.attempt, reason=stream.stop.reason, then=stream.stop.then
            )
        )


def process_exited(draft: Draft, fact: inputs.ProcessExited) -> None:
    """Record how the process ended; whatever it left in its workspace is captured next."""
    stream = draft.stream(fact.stream)
    if stream.phase not in LIVE:
        return
    draft.emit(observed.exited(fact))
    out_of_memory.found_at_exit(draft, stream, fact)


def output_left_out(draft: Draft, fact: inputs.OutputLeftOut) -> None:
    """Record a flood of output: it does not end a stream, but people get to know, once."""
    stream = draft.stream(fact.stream)
    if stream.phase in LIVE and stream.cut_in != fact.attempt:
        draft.emit(
            ev.OutputCut(fact.stream, attempt=fact.attempt, left_out_bytes=fact.left_out_bytes)
        )


def held(draft: Draft, fact: inputs.StreamHeld) -> None:
    """Record that a stream which fills the disk is held, and what it waits for."""
    stream = draft.stream(fact.stream)
    if stream.phase is Phase.RUNNING and not stream.held:
        draft.emit(ev.StreamHeld(fact.stream, attempt=fact.attempt, reason=fact.reason))


def let_go(draft: Draft, fact: inputs.StreamLetGo) -> None:
    """Record that a held stream goes on: there is room again."""
    if draft.stream(fact.stream).held:
        draft.emit(ev.StreamLetGo(fact.stream, attempt=fact.attempt))


def process_lost(draft: Draft, fact: inputs.ProcessLost) -> None:
    """Record that the process vanished and nobody knows how it ended."""
    if draft.stream(fact.stream).phase in LIVE:
        draft.emit(ev.StreamLost(fact.stream, attempt=fact.attempt, reason=fact.reason))


def result_ready(draft: Draft, fact: inputs.ResultReady) -> None:
    """Let a stream succeed, or deal with its failure, now that its work is kept."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.CAPTURING:
        return
    if draft.state.stream_plan(stream.id).is_service:
        if fact.commit:
            draft.emit(observed.kept_in_part(fact))
        how = exit_in_words(stream.exit)
        service_ended(draft, draft.stream(stream.id), how, fact.log_tail, fact.fault)
        return
    why, fault = why_not_succeeded(draft, stream), fact.fault
    works_apart = draft.state.stream_plan(stream.id).workspace != "shared"
    if why is None and not fault and works_apart and not fact.commit:
        fault = "it ended well, but nothing of its work could be kept"
    if why is None and not fault:
        _succeed(draft, stream, fact)
        return
    if fact.commit:
        draft.emit(observed.kept_in_part(fact))
    reason = "; ".join(text for text in (why, fault) if text)
    lasting = NOT_CAPTURED if fact.may_be_captured_again else CERTAIN
    kind = lasting if why is None and fact.fault else None
    after_failed_attempt(draft, draft.stream(stream.id), reason, fact.log_tail, kind)


def _succeed(draft: Draft, stream: Stream, fact: inputs.ResultReady) -> None:
    """Keep the result, unless what it was built on has been left out meanwhile."""
    share_results(draft, stream, fact.handler_results)
    if not fact.commit:
        draft.emit(
            ev.StreamSucceeded(
                stream.id, attempt=stream.attempt, reason="exit 0, worked in your folder"
            )
        )
        _leave_out_with_what_it_builds_on(draft, stream)
        return
    draft.emit(
        ev.ResultCaptured(
            stream.id,
            attempt=stream.attempt,
            commit=fact.commit,
            tree=fact.tree,
            files_changed=fact.files_changed,
            ref=fact.ref,
            warnings=fact.warnings,
            start_tree=fact.start_tree,
            ignored=tuple(path for path in fact.ignored if is_worth_naming(path)),
        )
    )
    if fact.reverted:
        point = draft.state.stream_plan(stream.id).converge
        lines_reverted(draft, point, stream.id, fact.reverted)
    strays_kept(draft, stream.id, stream.attempt, fact.strays)
    removal_kept(draft, stream.id, fact)
    draft.emit(ev.StreamSucceeded(stream.id, attempt=stream.attempt, reason=_success(stream, fact)))
    _leave_out_with_what_it_builds_on(draft, stream)


def _leave_out_with_what_it_builds_on(draft: Draft, stream: Stream) -> None:
    below = left_out_below(draft.state, stream.id)
    if below:
        why, where = f"built on {below}, which was left out", draft.state.stream_plan(stream.id)
        draft.emit(ev.StreamQuarantined(stream.id, reason=why, point=where.converge))


def workspace_gone(draft: Draft, fact: inputs.WorkspaceGone) -> None:
    """Record that a clean-up took the folder of an attempt that is over."""
    stream = draft.stream(fact.stream)
    if not stream.is_active or fact.attempt < stream.attempt:
        draft.emit(ev.WorkspaceReclaimed(fact.stream, attempt=fact.attempt, rescue=fact.rescue))


def _success(stream: Stream, fact: inputs.ResultReady) -> str:
    exit_ = stream.exit or Exit()
    facts = [exit_in_words(exit_), f"{counted(fact.files_changed, 'file')} changed"]
    if not fact.files_changed:
        facts[1] = "nothing changed"
    if exit_.survivors_ended:
        left = counted(exit_.survivors_ended, "process")
        facts.append(f"{left} it left behind ended")
    return ", ".join(facts)


def why_not_succeeded(draft: Draft, stream: Stream) -> str | None:
    """Return why an ended attempt is not a success, or None if it is one."""
    if stream.stop:
        return stream.stop.reason
    if exited_well(draft.state, stream):
        return None
    return stream.failure or f"{exit_in_words(stream.exit)}{_why_handlers_stopped(draft, stream)}"


def _why_handlers_stopped(draft: Draft, stream: Stream) -> str:
    known = draft.state.handlers.get(stream.id)
    is_of_it = known is not None and known.attempt == stream.attempt and known.stopped
    return f": {known.stopped}" if known is not None and is_of_it else ""


def exit_in_words(exit_: Exit | None) -> str:
    """Return how a process ended, in words."""
    if exit_ is None:
        return "it never started"
    if exit_.error:
        return exit_.error
    if exit_.signal is not None:
        try:
            name = signals.Signals(exit_.signal).name
        except ValueError:
            name = str(exit_.signal)
        return f"ended by signal {name}"
    return f"exit {exit_.code}"


def request_stop(draft: Draft, stream: Stream, reason: str, then: str) -> None:
    """Bring one stream to its end, from whatever phase it is in."""
    if stream.has_ended or stream.stop:
        return
    if stream.is_active:
        if stream.phase is not Phase.CAPTURING:
            draft.emit(
                ev.StreamStopRequested(stream.id, attempt=stream.attempt, reason=reason, then=then)
            )
        return
    draft.emit(ev.StreamStopped(stream.id, reason=reason))


def end_without_process(draft: Draft, stream: Stream) -> None:
    """End a stream that was told to end before its process ran."""
    assert stream.stop is not None
    draft.emit(ev.StreamStopped(stream.id, reason=stream.stop.reason))


def time_reached(draft: Draft, stream: Stream) -> None:
    """End a running stream whose time limit is up."""
    deadline = deadline_of(draft.state, stream)
    if stream.phase is Phase.RUNNING and deadline is not None and draft.now >= deadline:
        limit = draft.state.stream_plan(stream.id).timeout_seconds
        request_stop(draft, stream, f"it ran longer than its timeout of {limit:g} s", Phase.FAILED)
