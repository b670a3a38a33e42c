"""What was observed of an attempt, as the events that record it: of a stream's own or of a copy."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs


def prepared(fact: inputs.WorkspaceReady) -> ev.WorkspacePrepared:
    """Return that a workspace stands."""
    return ev.WorkspacePrepared(
        fact.stream,
        attempt=fact.attempt,
        path=fact.path,
        start_commit=fact.start_commit,
        start_tree=fact.start_tree,
        warnings=fact.warnings,
        kept=fact.kept,
        restored=fact.restored,
        taken_from=fact.taken_from,
        ports=fact.ports,
        method=fact.method,
        in_namespace=fact.in_namespace,
    )


def started(fact: inputs.ProcessStarted) -> ev.StreamStarted:
    """Return that a process runs."""
    return ev.StreamStarted(
        fact.stream,
        attempt=fact.attempt,
        pid=fact.pid,
        holder_pid=fact.holder_pid,
        log=fact.log,
        happened_at=fact.happened_at,
    )


def setup_began(fact: inputs.SetupBegan) -> ev.SetupStarted:
    """Return that a setup runs."""
    return ev.SetupStarted(
        fact.stream,
        attempt=fact.attempt,
        pid=fact.pid,
        holder_pid=fact.holder_pid,
        log=fact.log,
        happened_at=fact.happened_at,
    )


def setup_done(fact: inputs.SetupDone) -> ev.SetupFinished:
    """Return how a setup ended."""
    return ev.SetupFinished(
        fact.stream,
        attempt=fact.attempt,
        exit_code=fact.exit_code,
        signal=fact.signal,
        seconds=fact.seconds,
        failure=fact.failure,
        happened_at=fact.happened_at,
    )


def exited(fact: inputs.ProcessExited) -> ev.StreamExited:
    """Return how a process ended."""
    return ev.StreamExited(
        fact.stream,
        attempt=fact.attempt,
        exit_code=fact.exit_code,
        signal=fact.signal,
        error=fact.error,
        happened_at=fact.happened_at,
        survivors_ended=fact.survivors_ended,
        lost_bytes=fact.lost_bytes,
        cpu_seconds=fact.cpu_seconds,
        peak_memory_mb=fact.peak_memory_mb,
        memory_kills=fact.memory_kills,
    )


def kept_in_part(fact: inputs.ResultReady) -> ev.PartialCaptured:
    """Return that the work of an attempt that did not succeed is kept."""
    return ev.PartialCaptured(
        fact.stream,
        attempt=fact.attempt,
        commit=fact.commit,
        ref=fact.ref,
        files_changed=fact.files_changed,
        log_tail=fact.log_tail,
        warnings=fact.warnings,
    )
