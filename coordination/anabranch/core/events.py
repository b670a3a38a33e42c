"""What happened: past tense, frozen, the only thing the journal stores.

The state is the fold of these. Each has a wire name (``stream_started``) that scripts rely on.
"""

from __future__ import annotations

import re

import msgspec

from anabranch.core.ids import Attempt, PointId, RunId, Seq, StreamId
from anabranch.core.plan import Plan


def wire_name(class_name: str) -> str:
    """Return the wire name of an event class: ``StreamStarted`` is ``stream_started``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=wire_name):
    """A fact about a run."""


class StreamEvent(Event, frozen=True):
    """A fact about one stream."""

    stream: StreamId


class PointEvent(Event, frozen=True):
    """A fact about one convergence point."""

    point: PointId


class ConflictedPath(msgspec.Struct, frozen=True):
    """One path that two sides changed differently; a missing side is None.

    ``kind`` is the merge's word for it: contents, add/add, modify/delete, binary and so on.
    """

    path: str
    kind: str
    base: str | None = None
    ours: str | None = None
    theirs: str | None = None


class Conflict(msgspec.Struct, frozen=True):
    """Two or more streams whose results do not merge; the last of ``streams`` came too late."""

    streams: tuple[StreamId, ...]
    paths: tuple[ConflictedPath, ...]


# --- the run -------------------------------------------------------------------------------------


class RunStarted(Event, frozen=True):
    run: RunId
    project: str
    plan_path: str | None
    plan: Plan
    approve: bool
    wall: float


class BaseCaptured(Event, frozen=True):
    """The commit that every stream starts from is known and kept alive by a ref.

    ``left_out`` counts the files of the user's checkout with changes that are not part of it.
    """

    commit: str
    tree: str
    branch: str | None
    head: str | None
    left_out: int = 0


class RunResumed(Event, frozen=True):
    """Another engine took the run over."""

    reason: str
    adopted: int


class RunStopRequested(Event, frozen=True):
    reason: str


class RunReopened(Event, frozen=True):
    reason: str


class RunNeedsOperator(Event, frozen=True):
    reason: str
    hint: str


class RunConverged(Event, frozen=True):
    commit: str | None
    branch: str | None


class RunFailed(Event, frozen=True):
    reason: str


class RunStopped(Event, frozen=True):
    reason: str


class ApprovalRequested(Event, frozen=True):
    pass


class RunApproved(Event, frozen=True):
    branch: str | None
    commit: str
    message: str


class ApprovalRefused(Event, frozen=True):
    reason: str
    hint: str


# --- streams -------------------------------------------------------------------------------------


class StreamRegistered(StreamEvent, frozen=True):
    pass


class StreamQueued(StreamEvent, frozen=True):
    """Everything it waited for is there; it may start from ``not_before`` on, in order of rank."""

    attempt: Attempt
    rank: tuple[float, ...]
    not_before: float


class StreamAdmitted(StreamEvent, frozen=True):
    """It holds a slot now, and its workspace is being made."""

    attempt: Attempt


class WorkspacePrepared(StreamEvent, frozen=True):
    attempt: Attempt
    path: str
    start_commit: str
    start_tree: str
    warnings: tuple[str, ...] = ()


class StreamStarted(StreamEvent, frozen=True):
    attempt: Attempt
    pid: int
    holder_pid: int
    log: str
    happened_at: float


class StreamDelayed(StreamEvent, frozen=True):
    """Something it needs is not to be had for now (a full disk, say); it is being tried again."""

    attempt: Attempt
    reason: str


class StreamStopRequested(StreamEvent, frozen=True):
    """The stream shall end; ``then`` is what it becomes: ``stopped`` or ``failed``."""

    attempt: Attempt
    reason: str
    then: str


class StreamExited(StreamEvent, frozen=True):
    attempt: Attempt
    exit_code: int | None
    signal: int | None
    error: str | None
    happened_at: float
    survivors_ended: int = 0
    lost_bytes: int = 0


class StreamLost(StreamEvent, frozen=True):
    """The process and its exit status are gone: its holder was killed or the machine restarted."""

    attempt: Attempt
    reason: str


class AttemptFailed(StreamEvent, frozen=True):
    """The attempt never came to run: no workspace, no process, or its result was not captured."""

    attempt: Attempt
    reason: str


class ResultCaptured(StreamEvent, frozen=True):
    """The stream's work stands as a commit that a ref keeps."""

    attempt: Attempt
    commit: str
    tree: str
    files_changed: int
    ref: str
    warnings: tuple[str, ...] = ()


class PartialCaptured(StreamEvent, frozen=True):
    """The work of an attempt that did not succeed is kept; it is never merged by itself."""

    attempt: Attempt
    commit: str
    ref: str
    files_changed: int


class RetryScheduled(StreamEvent, frozen=True):
    attempt: Attempt
    retry_at: float
    reason: str


class StreamSucceeded(StreamEvent, frozen=True):
    attempt: Attempt
    reason: str


class StreamFailed(StreamEvent, frozen=True):
    attempt: Attempt
    reason: str


class StreamSkipped(StreamEvent, frozen=True):
    reason: str
    because_of: StreamId | None = None


class StreamStopped(StreamEvent, frozen=True):
    reason: str


class StreamQuarantined(StreamEvent, frozen=True):
    reason: str


class StreamBlocked(StreamEvent, frozen=True):
    """What the stream starts from does not merge; a person has to decide."""

    reason: str


class StreamRequeued(StreamEvent, frozen=True):
    """A person, or a resumed run, wants it tried again from the start."""

    reason: str


class RecaptureRequested(StreamEvent, frozen=True):
    """Its workspace was changed after it ended (a conflict resolved by hand): capture it again."""

    reason: str


class WorkspaceReclaimed(StreamEvent, frozen=True):
    """The folder is gone; all it held is reachable, and ``rescue`` lists refs made for that."""

    attempt: Attempt
    rescue: tuple[str, ...] = ()


# --- convergence ---------------------------------------------------------------------------------


class ConvergenceArrived(PointEvent, frozen=True):
    stream: StreamId


class ConvergenceDeparted(PointEvent, frozen=True):
    """A participant ended without a result; nobody waits for it any more."""

    stream: StreamId
    reason: str


class ConvergenceStarted(PointEvent, frozen=True):
    streams: tuple[StreamId, ...]
    reason: str


class ConvergenceMerged(PointEvent, frozen=True):
    commit: str
    tree: str
    branch: str | None
    merged: tuple[StreamId, ...]


class ConflictFound(PointEvent, frozen=True):
    """Results do not merge; ``stream`` is set when it happened while preparing that stream."""

    conflict: Conflict
    stream: StreamId | None = None


class ConvergenceBlocked(PointEvent, frozen=True):
    """The point cannot go on by itself."""

    reason: str


class ConvergenceAbandoned(PointEvent, frozen=True):
    reason: str


class ConvergenceReopened(PointEvent, frozen=True):
    reason: str


class Recorded(msgspec.Struct, frozen=True):
    """An event with its place: number, run clock in seconds, and the number that caused it."""

    seq: Seq
    at: float
    cause: Seq | None
    event: Event


def event_types(root: type[Event] = Event) -> tuple[type[Event], ...]:
    """Return every concrete event class, in the order of this file."""
    found: list[type[Event]] = []
    for child in root.__subclasses__():
        found.extend(event_types(child) if child.__subclasses__() else [child])
    return tuple(found)
