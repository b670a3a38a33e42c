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
    SETTING_UP = "setting_up"
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
    PASSED_OVER = "passed_over"

    @property
    def words(self) -> str:
        """The phase as people read it."""
        return self.value.replace("_", " ")


ACTIVE = frozenset(
    {
        *(Phase.PREPARING, Phase.STARTING, Phase.SETTING_UP, Phase.RUNNING),
        *(Phase.STOPPING, Phase.CAPTURING),
    }
)
"""Phases in which a stream holds a slot."""

ENDED = frozenset(
    {
        *(Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.STOPPED),
        *(Phase.QUARANTINED, Phase.PASSED_OVER),
    }
)
"""Phases that a stream leaves only when a person, or a resumed run, asks for it."""

LIVE = frozenset({Phase.STARTING, Phase.SETTING_UP, Phase.RUNNING, Phase.STOPPING})
"""Phases in which an attempt's process may be there, so that it can call and hold things."""

TRANSITIONS: dict[tuple[Phase, type[ev.StreamEvent]], Phase] = {
    # the way through
    (Phase.WAITING, ev.StreamQueued): Phase.QUEUED,
    (Phase.QUEUED, ev.StreamAdmitted): Phase.PREPARING,
    (Phase.PREPARING, ev.WorkspacePrepared): Phase.STARTING,
    (Phase.STARTING, ev.StreamStarted): Phase.RUNNING,
    (Phase.RUNNING, ev.StreamExited): Phase.CAPTURING,
    (Phase.CAPTURING, ev.StreamSucceeded): Phase.SUCCEEDED,
    # its workspace is made ready first
    (Phase.STARTING, ev.SetupStarted): Phase.SETTING_UP,
    (Phase.SETTING_UP, ev.StreamStarted): Phase.RUNNING,
    (Phase.SETTING_UP, ev.StreamStopRequested): Phase.STOPPING,
    (Phase.SETTING_UP, ev.AttemptFenced): Phase.STOPPING,
    (Phase.SETTING_UP, ev.StreamExited): Phase.CAPTURING,
    (Phase.SETTING_UP, ev.StreamLost): Phase.CAPTURING,
    # stopping: a process is only asked to stop once it is known to run
    (Phase.RUNNING, ev.StreamStopRequested): Phase.STOPPING,
    (Phase.STOPPING, ev.StreamExited): Phase.CAPTURING,
    (Phase.RUNNING, ev.AttemptFenced): Phase.STOPPING,
    # the process is gone without a word
    (Phase.STARTING, ev.StreamExited): Phase.CAPTURING,
    (Phase.STARTING, ev.StreamLost): Phase.CAPTURING,
    (Phase.RUNNING, ev.StreamLost): Phase.CAPTURING,
    (Phase.STOPPING, ev.StreamLost): Phase.CAPTURING,
    # attempts that end badly
    (Phase.PREPARING, ev.RetryScheduled): Phase.RETRYING,
    (Phase.STARTING, ev.RetryScheduled): Phase.RETRYING,
    (Phase.CAPTURING, ev.RetryScheduled): Phase.RETRYING,
    (Phase.RETRYING, ev.StreamQueued): Phase.QUEUED,
    (Phase.PREPARING, ev.StreamFailed): Phase.FAILED,
    (Phase.STARTING, ev.StreamFailed): Phase.FAILED,
    (Phase.CAPTURING, ev.StreamFailed): Phase.FAILED,
    # ends that need no process
    (Phase.WAITING, ev.StreamSkipped): Phase.SKIPPED,
    (Phase.QUEUED, ev.StreamSkipped): Phase.SKIPPED,
    (Phase.RETRYING, ev.StreamSkipped): Phase.SKIPPED,
    (Phase.WAITING, ev.StreamStopped): Phase.STOPPED,
    (Phase.QUEUED, ev.StreamStopped): Phase.STOPPED,
    (Phase.RETRYING, ev.StreamStopped): Phase.STOPPED,
    (Phase.BLOCKED, ev.StreamStopped): Phase.STOPPED,
    (Phase.PREPARING, ev.StreamStopped): Phase.STOPPED,
    (Phase.STARTING, ev.StreamStopped): Phase.STOPPED,
    (Phase.CAPTURING, ev.StreamStopped): Phase.STOPPED,
    # what it should start from does not merge
    (Phase.PREPARING, ev.StreamBlocked): Phase.BLOCKED,
    (Phase.PREPARING, ev.StreamQuarantined): Phase.QUARANTINED,
    (Phase.BLOCKED, ev.StreamRequeued): Phase.WAITING,
    # its result does not merge
    (Phase.SUCCEEDED, ev.StreamQuarantined): Phase.QUARANTINED,
    # another one is adopted
    (Phase.SUCCEEDED, ev.StreamPassedOver): Phase.PASSED_OVER,
    # once more
    (Phase.SUCCEEDED, ev.RecaptureRequested): Phase.CAPTURING,
    (Phase.FAILED, ev.RecaptureRequested): Phase.CAPTURING,
    (Phase.SUCCEEDED, ev.StreamRequeued): Phase.WAITING,
    (Phase.FAILED, ev.StreamRequeued): Phase.WAITING,
    (Phase.SKIPPED, ev.StreamRequeued): Phase.WAITING,
    (Phase.STOPPED, ev.StreamRequeued): Phase.WAITING,
    (Phase.QUARANTINED, ev.StreamRequeued): Phase.WAITING,
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
    Phase.PASSED_OVER: "succeeded",
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
