"""What happened: past tense, frozen, the only thing the journal stores.

The state is the fold of these. Each has a wire name (``stream_started``) that scripts rely on.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from anabranch.core.ids import Attempt, LockMode, PointId, RunId, Seq, StreamId
from anabranch.core.plan import Plan

OPERATOR: tuple[StreamId, Attempt] = (StreamId(""), 0)
"""Whom the operator's calls are by."""


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


class CallEvent(Event, frozen=True):
    """What came of a call: ``attempt`` of ``stream`` asked for it under the id ``request``.

    An operator's calls have an empty stream and attempt 0; an empty request: nobody asked.
    """

    stream: StreamId
    attempt: Attempt
    request: str

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        """Who remembers what the request was answered."""
        return self.stream, self.attempt


class WaitBegan(CallEvent, frozen=True):
    """A call has to wait: a new edge in the wait-for graph, which may have closed a cycle."""


class Edge(msgspec.Struct, frozen=True):
    """``waiter`` cannot go on before ``holder`` gives ``what`` up or brings it.

    ``since`` is when the wait began (run seconds), ``ticket`` the event that began it; ``kind``
    names what sort of wait it is: lock, resource, point or dependency.
    """

    waiter: StreamId
    holder: StreamId
    what: str
    since: float
    kind: str
    ticket: Seq = 0


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
    """The commit that every stream starts from is known and kept alive by a ref."""

    commit: str
    tree: str
    branch: str | None
    head: str | None


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
    capabilities: tuple[str, ...] = ()


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
    """A participant is there: with its result at its end, or by a call with a value for a round.

    ``round`` is 0 at a stream's end; from 1 on it is the round of the point that a call joined.
    ``waits`` says whether the caller goes on only when the others have come.
    """

    stream: StreamId
    attempt: Attempt = 0
    request: str = ""
    round: int = 0
    value: Any = None
    waits: bool = False

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return self.stream, self.attempt


class ConvergenceWithdrawn(PointEvent, frozen=True):
    """A value does not count: its attempt ended badly, or its wait was part of a ``cycle``."""

    stream: StreamId
    reason: str
    attempt: Attempt = 0
    request: str = ""
    hint: str = ""
    cycle: tuple[Edge, ...] = ()

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return self.stream, self.attempt


class ConvergenceAggregated(PointEvent, frozen=True):
    """Everybody has arrived or departed: ``value`` is what the values of a round came to.

    ``version`` of the shared state is the one that all have now; ``clashes`` are the keys of which
    a later snapshot was left out.
    """

    round: int
    value: Any
    streams: tuple[StreamId, ...]
    version: int = 0
    clashes: tuple[str, ...] = ()


class ArrivalReleased(CallEvent, frozen=True):
    """A stream that arrived may go on; the value of the round is the answer to its request."""

    point: PointId
    round: int


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


# --- registration --------------------------------------------------------------------------------


class StreamJoined(CallEvent, frozen=True):
    """A stream that the plan does not know joined the run; an operator's token let it in."""

    capabilities: tuple[str, ...]
    depends_on: tuple[StreamId, ...]
    is_ready: bool

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return OPERATOR


class StreamReady(CallEvent, frozen=True):
    """Everything that a joined stream depends on is there."""

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return OPERATOR


class StreamLeft(CallEvent, frozen=True):
    """A joined stream is not part of the run any more."""

    has_succeeded: bool
    reason: str


# --- liveness ------------------------------------------------------------------------------------


class StreamStalled(StreamEvent, frozen=True):
    """It gives no sign of getting on; ``verdict`` is ``stalled`` or ``never_heard``."""

    attempt: Attempt
    verdict: str
    evidence: str


class StreamProgressed(StreamEvent, frozen=True):
    """A stalled stream gives signs again."""

    attempt: Attempt
    evidence: str


class StreamHeartbeat(CallEvent, frozen=True):
    """A stream says what it is doing; beats that say nothing new are not recorded."""

    status: str
    progress: float | None = None


# --- resources -----------------------------------------------------------------------------------


class MachineMeasured(Event, frozen=True):
    """What the machine has to give: ``cpu_cores`` and ``memory_mb``."""

    capacity: dict[str, float]


class MachineLoadChanged(Event, frozen=True):
    """``shortage`` says why nothing new may start; it is empty when nothing speaks against it."""

    memory_available_mb: float
    memory_pressure: float | None
    shortage: str = ""


class ResourcesGranted(CallEvent, frozen=True):
    """The amounts are the stream's until it gives them back or its process is gone.

    ``ticket`` is the number of the queue event that this answers, 0 for none.
    """

    amounts: dict[str, float]
    ticket: Seq = 0


class ResourcesQueued(WaitBegan, frozen=True):
    amounts: dict[str, float]


class ResourcesReleased(CallEvent, frozen=True):
    amounts: dict[str, float]
    reason: str = ""


class ResourcesWithdrawn(CallEvent, frozen=True):
    """A queued request is not wanted any more; ``ticket`` is the number of its queue event."""

    ticket: Seq
    reason: str = ""
    hint: str = ""
    cycle: tuple[Edge, ...] = ()


class ResourcesExceeded(Event, frozen=True):
    """A stream uses more than it was granted; ``response`` is ``show``, ``tell`` or ``stop``."""

    stream: StreamId
    attempt: Attempt
    resource: str
    granted: float
    used: float
    response: str


class ResourcesWithin(Event, frozen=True):
    """A stream uses no more than it was granted again."""

    stream: StreamId
    attempt: Attempt
    resource: str


# --- locks ---------------------------------------------------------------------------------------


class LockQueued(WaitBegan, frozen=True):
    """The path is not free; the number of this event is the ticket of the wait.

    ``upgrades`` is the fence of the read lock that shall become a write lock.
    """

    path: str
    mode: LockMode
    holder: StreamId
    position: int
    upgrades: Seq | None = None


class LockGranted(CallEvent, frozen=True):
    """A lease on a path; ``fence`` is the number of this event, so fences strictly grow."""

    path: str
    mode: LockMode
    fence: Seq
    ticket: Seq | None = None
    waited_seconds: float = 0.0
    upgrades: Seq | None = None


class LockReleased(CallEvent, frozen=True):
    path: str
    mode: LockMode
    fence: Seq
    held_seconds: float
    reason: str


class LockExpired(CallEvent, frozen=True):
    """Nothing was heard of its holder for too long; its fence is worth nothing any more."""

    path: str
    mode: LockMode
    fence: Seq
    held_seconds: float
    reason: str


class LockWithdrawn(CallEvent, frozen=True):
    """A wait for a lock is over without a grant; ``request`` is the one that waited."""

    path: str
    mode: LockMode
    ticket: Seq
    waited_seconds: float
    reason: str
    hint: str
    cycle: tuple[Edge, ...] = ()


class LeaseRenewed(CallEvent, frozen=True):
    """The holder was heard of; all its locks are good until then (run seconds)."""

    until: float


class LeaseDoubted(CallEvent, frozen=True):
    """A lease has run out; what the holder said meanwhile is let in before it counts."""

    until: float


class DeadlockDetected(CallEvent, frozen=True):
    """Streams wait for each other in a ring; the wait of ``victim`` is given up."""

    victim: StreamId
    cycle: tuple[Edge, ...]
    reason: str


class LockViolated(CallEvent, frozen=True):
    """A stream wrote where it may not; ``holder`` has the lock, None: outside its ``writes``."""

    path: str
    holder: StreamId | None
    fence: Seq | None
    reason: str


class ViolationAllowed(CallEvent, frozen=True):
    """The operator lets what a stream wrote be merged; None means all of its paths."""

    path: str | None
    reason: str


# --- checkpoints ---------------------------------------------------------------------------------


class CheckpointRequested(CallEvent, frozen=True):
    number: int
    label: str


class CheckpointTaken(CallEvent, frozen=True):
    """The workspace as it was stands as a commit that a ref keeps."""

    number: int
    label: str
    commit: str
    tree: str
    ref: str
    files_changed: int


class CheckpointFailed(CallEvent, frozen=True):
    number: int
    reason: str


# --- shared state --------------------------------------------------------------------------------


class StateChanged(CallEvent, frozen=True):
    """One key of the shared state has another value since ``version``; None is "not there".

    A version is what one call made; it may change several keys. ``hash`` chains each change to the
    one before it.
    """

    version: int
    key: str
    before: Any
    after: Any
    hash: str


class StateSynced(Event, frozen=True):
    """Everybody has this version now; ``streams`` brought their own to it.

    ``clashes`` are the keys that two of them changed differently.
    """

    version: int
    reason: str
    streams: tuple[StreamId, ...] = ()
    clashes: tuple[str, ...] = ()


# --- messages ------------------------------------------------------------------------------------


class MessageSent(CallEvent, frozen=True):
    """A message, known by this event's number; without ``to`` it is for every other live stream.

    An empty ``to`` is the operator. ``deadline`` is on the run clock.
    """

    to: StreamId | None
    body: Any
    recipients: int
    deadline: float | None = None


class MessageDelivered(CallEvent, frozen=True):
    """The stream has read these messages for the first time."""

    messages: tuple[Seq, ...]


class MessageAcknowledged(CallEvent, frozen=True):
    message: Seq


class MessageDied(Event, frozen=True):
    """Messages became dead letters for ``to``; without it, for all who had not acknowledged."""

    messages: tuple[Seq, ...]
    to: StreamId | None
    reason: str


class MessageRequeued(CallEvent, frozen=True):
    """The operator sent a dead letter on its way again."""

    message: Seq
    to: tuple[StreamId, ...]


Requested = CallEvent | ConvergenceArrived | ConvergenceWithdrawn
"""Events that may be the answer to a request."""


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
