"""Events of streams: their attempts, workspaces, processes and results."""

from __future__ import annotations

import msgspec

from anabranch.core.events.base import CallEvent, StreamEvent
from anabranch.core.ids import Attempt, PointId, StreamId


class StreamRegistered(StreamEvent, frozen=True, kw_only=True):
    capabilities: tuple[str, ...] = ()


class StreamQueued(StreamEvent, frozen=True, kw_only=True):
    """Everything it waited for is there; it may start from ``not_before`` on, in order of rank.

    ``window`` says what it waits for until then, empty if that is now.
    """

    attempt: Attempt
    rank: tuple[float, ...]
    not_before: float
    window: str = ""


class StreamAdmitted(StreamEvent, frozen=True, kw_only=True):
    """It holds a slot now, and its workspace is being made.

    ``incarnation`` numbers the leases of this slot, and ``placed_because`` is why the load balancer
    has put it there. Of earlier versions' streams nobody knows the slot: it is 0. It is to go on in
    the workspace of ``takes_over``, if that is given.
    """

    attempt: Attempt
    slot: int = 0
    incarnation: int = 0
    placed_because: str = ""
    takes_over: StreamId = StreamId("")


class WorkspacePrepared(StreamEvent, frozen=True, kw_only=True):
    """The workspace stands; ``kept`` are refs that keep what an earlier attempt had brought.

    ``restored`` is the checkpoint of the attempt before that it goes on from; 0 is none. It was the
    workspace of ``taken_from``, if that is given. The ``ports``, by their names, are its own until
    its stream is over. By which ``method`` it was made; one ``in_namespace`` is shown nowhere else.
    """

    attempt: Attempt
    path: str
    start_commit: str
    start_tree: str
    warnings: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    restored: int = 0
    taken_from: StreamId = StreamId("")
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    method: str = ""
    in_namespace: bool = False


class SetupStarted(StreamEvent, frozen=True, kw_only=True):
    """Its workspace is being made ready by the plan's ``setup``; its command waits meanwhile."""

    attempt: Attempt
    pid: int
    holder_pid: int
    log: str
    happened_at: float


class SetupFinished(StreamEvent, frozen=True, kw_only=True):
    """Its workspace is ready, or a ``failure`` says why it is not: then its command never runs."""

    attempt: Attempt
    exit_code: int | None
    signal: int | None
    seconds: float
    failure: str
    happened_at: float


class StreamStarted(StreamEvent, frozen=True, kw_only=True):
    attempt: Attempt
    pid: int
    holder_pid: int
    log: str
    happened_at: float


class StreamDelayed(StreamEvent, frozen=True, kw_only=True):
    """Something it needs is not to be had for now (a full disk, say); it is being tried again."""

    attempt: Attempt
    reason: str


class OutputCut(StreamEvent, frozen=True, kw_only=True):
    """It writes so much that its log keeps the beginning and the end only.

    ``left_out_bytes`` of the output so far are left out; recorded again whenever that has doubled.
    """

    attempt: Attempt
    left_out_bytes: int


class StreamHeld(StreamEvent, frozen=True, kw_only=True):
    """It fills the disk, so its processes are stopped where they stand until there is room."""

    attempt: Attempt
    reason: str


class StreamLetGo(StreamEvent, frozen=True, kw_only=True):
    """There is room on the disk again, and what was held goes on."""

    attempt: Attempt


class StreamStopRequested(StreamEvent, frozen=True, kw_only=True):
    """The stream shall end; ``then`` is what it becomes: ``stopped`` or ``failed``."""

    attempt: Attempt
    reason: str
    then: str


class StreamExited(StreamEvent, frozen=True, kw_only=True):
    """Its command has ended; ``peak_memory_mb`` is the most that any one process of it had.

    What it has used is None where the machine could not tell, or an earlier version did not ask.
    ``memory_kills`` is how many processes the kernel has killed for want of memory meanwhile.
    """

    attempt: Attempt
    exit_code: int | None
    signal: int | None
    error: str | None
    happened_at: float
    survivors_ended: int = 0
    lost_bytes: int = 0
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    memory_kills: int = 0


class StreamLost(StreamEvent, frozen=True, kw_only=True):
    """The process and its exit status are gone: its holder was killed or the machine restarted."""

    attempt: Attempt
    reason: str


class AttemptFailed(StreamEvent, frozen=True, kw_only=True):
    """The attempt never came to run: no workspace, no process, or its result was not captured.

    One that ``is_permanent`` is of the plan's own doing: the folder to work in is not there.
    """

    attempt: Attempt
    reason: str
    is_permanent: bool = False


class ResultCaptured(StreamEvent, frozen=True, kw_only=True):
    """The stream's work stands as a commit that a ref keeps.

    ``ignored`` is what git leaves out of it and others may miss.
    """

    attempt: Attempt
    commit: str
    tree: str
    files_changed: int
    ref: str
    warnings: tuple[str, ...] = ()
    start_tree: str = ""
    ignored: tuple[str, ...] = ()


class PartialCaptured(StreamEvent, frozen=True, kw_only=True):
    """The work of an attempt that did not succeed is kept; it is never merged by itself.

    ``log_tail`` holds the last lines of its log; ``warnings`` say what deserves a look.
    """

    attempt: Attempt
    commit: str
    ref: str
    files_changed: int
    log_tail: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class RetryScheduled(StreamEvent, frozen=True, kw_only=True):
    """The attempt failed and another follows; ``failure_class`` is what kind of failure it was.

    It ran out of memory where ``alone_mb`` is given: the next one runs alone, asks for so many MB,
    and does not count as a retry.
    """

    attempt: Attempt
    retry_at: float
    reason: str
    failure_class: str = ""
    alone_mb: float | None = None


class StreamSucceeded(StreamEvent, frozen=True, kw_only=True):
    attempt: Attempt
    reason: str


class StreamFailed(StreamEvent, frozen=True, kw_only=True):
    """The stream failed for good; ``failure_class`` is what kind of failure it was."""

    attempt: Attempt
    reason: str
    failure_class: str = ""


class StreamSkipped(StreamEvent, frozen=True, kw_only=True):
    reason: str
    because_of: StreamId | None = None


class StreamStopped(StreamEvent, frozen=True, kw_only=True):
    reason: str


class StreamQuarantined(StreamEvent, frozen=True, kw_only=True):
    """The stream's result is not part of the run; ``point`` is where it was left out.

    Older journals have no ``point``: there it was the point that the stream's result goes to.
    """

    reason: str
    point: PointId = PointId("")


class StreamBlocked(StreamEvent, frozen=True, kw_only=True):
    """What the stream starts from does not merge; a person has to decide."""

    reason: str


class StreamRequeued(StreamEvent, frozen=True, kw_only=True):
    """A person, or a resumed run, wants it tried again from the start.

    ``goes_on``: it was blocked, and does now what it was to do then. ``at_once``: a person wants it
    now, whatever its time of day.
    """

    reason: str
    goes_on: bool = False
    at_once: bool = False


class RecaptureRequested(StreamEvent, frozen=True, kw_only=True):
    """Its workspace was changed after it ended (a conflict resolved by hand): capture it again."""

    reason: str


class TeardownRequested(StreamEvent, frozen=True, kw_only=True):
    """The work of an attempt has been kept; its workspace is to be left in good order."""

    attempt: Attempt


class TeardownFinished(StreamEvent, frozen=True, kw_only=True):
    """The teardown of an attempt has been run; a ``failure`` says what is wrong, and for whom."""

    attempt: Attempt
    exit_code: int | None
    seconds: float
    failure: str


class WorkspaceReclaimed(StreamEvent, frozen=True, kw_only=True):
    """The folder is gone; all it held is reachable, and ``rescue`` lists refs made for that."""

    attempt: Attempt
    rescue: tuple[str, ...] = ()


class CheckpointRequested(CallEvent, frozen=True, kw_only=True):
    number: int
    label: str


class CheckpointTaken(CallEvent, frozen=True, kw_only=True):
    """The workspace as it was stands as a commit that a ref keeps."""

    number: int
    label: str
    commit: str
    tree: str
    ref: str
    files_changed: int
    start_tree: str = ""


class CheckpointFailed(CallEvent, frozen=True, kw_only=True):
    number: int
    reason: str
