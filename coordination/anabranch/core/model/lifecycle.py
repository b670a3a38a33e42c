"""The life of a stream, as data.

Two rules hold here. Every change of a stream's phase stands in :data:`TRANSITIONS`, so the diagram
in the documentation is drawn from it and a test can try every pair of phase and event. And an
event that is not in the table for a phase changes nothing but facts: it never moves a stream.

A phase is what the engine needs to know; :func:`public_state` is the shorter list that people and
scripts see. ``stopping`` and ``capturing`` are told as *running* (with a reason), because the
stream is not over before its work is kept.
"""

from __future__ import annotations

from enum import StrEnum

from anabranch.core import events as ev


class Phase(StrEnum):
    """Where a stream is in its life."""

    WAITING = "waiting"
    QUEUED = "queued"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CAPTURING = "capturing"
    RETRYING = "retrying"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    QUARANTINED = "quarantined"


ACTIVE = frozenset(
    {Phase.PREPARING, Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.CAPTURING}
)
"""Phases in which a stream holds a slot."""

ENDED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.STOPPED, Phase.QUARANTINED})
"""Phases that a stream leaves only when a person, or a resumed run, asks for it."""

LIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})
"""Phases in which an attempt's process may be there, so that it can call and hold things."""

_W, _Q, _P, _S, _R = Phase.WAITING, Phase.QUEUED, Phase.PREPARING, Phase.STARTING, Phase.RUNNING
_X, _C, _T, _B = Phase.STOPPING, Phase.CAPTURING, Phase.RETRYING, Phase.BLOCKED

TRANSITIONS: dict[tuple[Phase, type[ev.StreamEvent]], Phase] = {
    # the way through
    (_W, ev.StreamQueued): _Q,
    (_Q, ev.StreamAdmitted): _P,
    (_P, ev.WorkspacePrepared): _S,
    (_S, ev.StreamStarted): _R,
    (_R, ev.StreamExited): _C,
    (_C, ev.StreamSucceeded): Phase.SUCCEEDED,
    # stopping: a process is only asked to stop once it is known to run
    (_R, ev.StreamStopRequested): _X,
    (_X, ev.StreamExited): _C,
    # the process is gone without a word
    (_S, ev.StreamExited): _C,
    (_S, ev.StreamLost): _C,
    (_R, ev.StreamLost): _C,
    (_X, ev.StreamLost): _C,
    # attempts that end badly
    (_P, ev.RetryScheduled): _T,
    (_S, ev.RetryScheduled): _T,
    (_C, ev.RetryScheduled): _T,
    (_T, ev.StreamQueued): _Q,
    (_P, ev.StreamFailed): Phase.FAILED,
    (_S, ev.StreamFailed): Phase.FAILED,
    (_C, ev.StreamFailed): Phase.FAILED,
    # ends that need no process
    (_W, ev.StreamSkipped): Phase.SKIPPED,
    (_Q, ev.StreamSkipped): Phase.SKIPPED,
    (_T, ev.StreamSkipped): Phase.SKIPPED,
    (_W, ev.StreamStopped): Phase.STOPPED,
    (_Q, ev.StreamStopped): Phase.STOPPED,
    (_T, ev.StreamStopped): Phase.STOPPED,
    (_B, ev.StreamStopped): Phase.STOPPED,
    (_P, ev.StreamStopped): Phase.STOPPED,
    (_S, ev.StreamStopped): Phase.STOPPED,
    (_C, ev.StreamStopped): Phase.STOPPED,
    # what it should start from does not merge
    (_P, ev.StreamBlocked): _B,
    (_P, ev.StreamQuarantined): Phase.QUARANTINED,
    (_B, ev.StreamRequeued): _W,
    # its result does not merge
    (Phase.SUCCEEDED, ev.StreamQuarantined): Phase.QUARANTINED,
    # once more
    (Phase.SUCCEEDED, ev.RecaptureRequested): _C,
    (Phase.FAILED, ev.RecaptureRequested): _C,
    (Phase.SUCCEEDED, ev.StreamRequeued): _W,
    (Phase.FAILED, ev.StreamRequeued): _W,
    (Phase.SKIPPED, ev.StreamRequeued): _W,
    (Phase.STOPPED, ev.StreamRequeued): _W,
    (Phase.QUARANTINED, ev.StreamRequeued): _W,
}


def next_phase(phase: Phase, event: ev.StreamEvent) -> Phase:
    """Return the phase after an event; the same phase where the table says nothing."""
    return TRANSITIONS.get((phase, type(event)), phase)


_PUBLIC = {
    Phase.PREPARING: "starting",
    Phase.STOPPING: "running",
    Phase.CAPTURING: "running",
    Phase.RETRYING: "recovering",
    Phase.BLOCKED: "waiting",
}


def public_state(phase: Phase) -> str:
    """Return the state that people and scripts see."""
    return _PUBLIC.get(phase, phase.value)


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for the documentation."""
    merged: dict[tuple[Phase, Phase], list[str]] = {}
    for (before, event), after in TRANSITIONS.items():
        merged.setdefault((before, after), []).append(ev.wire_name(event.__name__))
    lines = ["stateDiagram-v2", "    [*] --> waiting: stream_registered"]
    lines += [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in merged.items()]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in ENDED]
    return "\n".join(lines) + "\n"
