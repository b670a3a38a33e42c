"""What comes in through the one door: commands, which may be refused, and observations, which are
facts and never are. An observation that no longer matters is simply without consequence.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from anabranch.core.events import Conflict, ConflictedPath, Contribution, Resolution, wire_name
from anabranch.core.ids import Attempt, PointId, RunId, Seq, StreamId
from anabranch.core.plans.plan import Plan


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that reaches the core; ``cause`` is the event that led to it, if one did."""

    cause: Seq | None = None


class Command(Input, frozen=True, tag_field="verb", tag=wire_name, forbid_unknown_fields=True):
    """Somebody wants something. As JSON it is its fields beside its ``verb``."""

    in_words: ClassVar[str] = ""

    @property
    def words(self) -> str:
        """The command as the operator reads it."""
        return self.in_words.format(self) or type(self).__name__


class Observation(Input, frozen=True):
    """Something is so."""


# --- commands ------------------------------------------------------------------------------------


class StartRun(Command, frozen=True):
    run: RunId
    project: str
    plan_path: str | None
    plan: Plan
    approve: bool
    wall: float
    allow_sensitive: bool = False
    warnings: tuple[str, ...] = ()


class ResumeRun(Command, frozen=True):
    """Another engine takes the run over; ``adopted`` counts the processes that it found alive."""

    reason: str
    adopted: int
    retry_failed: bool = False


class StopRun(Command, frozen=True):
    reason: str

    in_words = "stop the run"


class StopStream(Command, frozen=True):
    stream: StreamId
    reason: str

    in_words = "stop {0.stream}"


class RetryStream(Command, frozen=True):
    stream: StreamId
    reason: str

    in_words = "retry {0.stream}"


class RecoverStream(Command, frozen=True):
    """A person wants a stream recovered; ``remedy``: soft, hard or fallback."""

    stream: StreamId
    remedy: str
    reason: str = ""

    in_words = "{0.remedy} recovery of {0.stream}"


class ResetBreaker(Command, frozen=True):
    """A person says that what a breaker holds back may start again."""

    breaker: str
    reason: str = "reset by the operator"

    in_words = "close the breaker of {0.breaker}"


class ChooseStrategy(Command, frozen=True):
    """A person wants another strategy asked from now on; ``point`` is for convergence types."""

    kind: str
    strategy: str
    point: PointId = PointId("")
    reason: str = "chosen by the operator"

    @property
    def words(self) -> str:
        where = f" at {self.point}" if self.kind == "convergence" else ""
        return f"{self.strategy} as {self.kind}{where}"


class ApproveRun(Command, frozen=True):
    """A person takes the result; with ``allow_sensitive`` also what others run or obey.

    ``onto`` is the branch to merge it onto as that is now ("": the one that the run began on);
    None moves that branch, from where it was.
    """

    allow_sensitive: bool = False
    onto: str | None = None

    in_words = "approve the result"


class AllowViolation(Command, frozen=True):
    """Let what a stream wrote against the locks be merged; without a path, all of it."""

    stream: StreamId
    path: str | None = None
    reason: str = "allowed by the operator"

    in_words = "let the violations of {0.stream} be merged"


class ResolveConflict(Command, frozen=True):
    """Settle conflicted paths: what each of them shall be."""

    resolutions: tuple[Resolution, ...]
    reason: str = "the conflict was decided"

    @property
    def words(self) -> str:
        if len(self.resolutions) == 1:
            return f"{self.resolutions[0].path}: {self.resolutions[0].choice}"
        return "settle the conflict"


class HandBack(Command, frozen=True):
    """Let a stream that is in a conflict do its work again, with the conflict as its message."""

    stream: StreamId
    note: str = ""
    reason: str = "handed back by the operator"

    in_words = "hand the conflict back to {0.stream}"


class TellConflict(Command, frozen=True):
    """Let both sides of a foreseen conflict know of it."""

    streams: tuple[StreamId, StreamId]

    in_words = "tell {0.streams[0]} and {0.streams[1]}"


# --- observations --------------------------------------------------------------------------------


class BaseFound(Observation, frozen=True):
    commit: str
    tree: str
    branch: str | None
    head: str | None
    left_out: int = 0
    warnings: tuple[str, ...] = ()


class BaseNotFound(Observation, frozen=True):
    reason: str


class AttemptObservation(Observation, frozen=True):
    """A fact about one attempt of one stream; facts about an older attempt are out of date."""

    stream: StreamId
    attempt: Attempt


class WorkspaceReady(AttemptObservation, frozen=True):
    path: str
    start_commit: str
    start_tree: str
    warnings: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    restored: int = 0


class WorkspaceConflicted(AttemptObservation, frozen=True):
    conflict: Conflict


class EffectFailed(AttemptObservation, frozen=True):
    """Workspace, process or capture could not be done, for good.

    One that ``is_permanent`` would fail again in the next attempt.
    """

    reason: str
    is_permanent: bool = False


class EffectDelayed(AttemptObservation, frozen=True):
    """It cannot be done now, and the performer goes on trying."""

    reason: str


class ProcessStarted(AttemptObservation, frozen=True):
    pid: int
    holder_pid: int
    log: str
    happened_at: float


class ProcessExited(AttemptObservation, frozen=True):
    exit_code: int | None
    signal: int | None
    error: str | None
    happened_at: float
    survivors_ended: int = 0
    lost_bytes: int = 0


class OutputLeftOut(AttemptObservation, frozen=True):
    """A stream has written more than its log keeps."""

    left_out_bytes: int


class StreamHeld(AttemptObservation, frozen=True):
    """A stream that fills the disk has been stopped where it stands."""

    reason: str


class StreamLetGo(AttemptObservation, frozen=True):
    """There is room again, and the stream that was held goes on."""


class ProcessLost(AttemptObservation, frozen=True):
    reason: str


class ResultReady(AttemptObservation, frozen=True):
    """A stream's work is kept; ``strays`` are files outside what its plan lets it write.

    ``log_tail`` are the last lines of the log of an attempt without success. A ``fault`` says why
    this is not the stream's whole work, so that it cannot count as a result; it
    ``may_be_captured_again`` when the cause is mended. ``files_removed`` of the ``files_before``
    that it started from are gone, ``files_left`` is how many there are now. ``ignored`` are files
    and folders that git leaves out.
    """

    commit: str
    tree: str
    files_changed: int
    ref: str
    warnings: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    start_tree: str = ""
    reverted: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()
    fault: str = ""
    files_removed: int = 0
    files_before: int = 0
    files_left: int = 0
    may_be_captured_again: bool = False
    ignored: tuple[str, ...] = ()


class MergeFinished(Observation, frozen=True):
    """``merged`` streams stand in ``commit``; what did not merge is in ``conflicts``."""

    point: PointId
    commit: str | None
    tree: str | None
    branch: str | None
    merged: tuple[StreamId, ...]
    conflicts: tuple[Conflict, ...] = ()
    warnings: tuple[str, ...] = ()


class MergeFailed(Observation, frozen=True):
    point: PointId
    reason: str


class ResolverFinished(Observation, frozen=True):
    """The plan's resolver has ended; ``reason`` says how, ``resolutions`` what it has settled."""

    point: PointId
    reason: str
    resolutions: tuple[Resolution, ...] = ()


class VerifyFinished(Observation, frozen=True):
    """How a point's check of some streams' work ended; ``passed`` is None if it came to no end."""

    point: PointId
    streams: tuple[StreamId, ...]
    tree: str = ""
    passed: bool | None = None
    exit_code: int | None = None
    reason: str = ""
    seconds: float = 0.0
    log: str = ""
    is_remembered: bool = False


class PairTested(Observation, frozen=True):
    """Two streams' work was merged on trial; no ``paths``: it merges."""

    streams: tuple[StreamId, StreamId]
    attempts: tuple[Attempt, Attempt]
    paths: tuple[ConflictedPath, ...] = ()


class ApprovalDone(Observation, frozen=True):
    branch: str | None
    commit: str
    message: str


class ApprovalNotDone(Observation, frozen=True):
    """The result was not brought to a branch; ``kind`` is ``sensitive``, ``conflict``, ``verify``.

    An empty one: something of the user's would have been lost.
    """

    reason: str
    hint: str
    kind: str = ""


class PathsWritten(AttemptObservation, frozen=True):
    """Files were changed in a workspace; paths are relative to it, as the file system has them."""

    paths: tuple[str, ...]


class CheckpointReady(AttemptObservation, frozen=True):
    number: int
    commit: str
    tree: str
    ref: str
    files_changed: int
    start_tree: str = ""


class CheckpointNotTaken(AttemptObservation, frozen=True):
    number: int
    reason: str


class CheckpointMerged(Observation, frozen=True):
    """The snapshots of a point's checkpoint are merged; ``reverted`` are what streams wrote back.

    Those are files as they were before others' lines were brought into them.
    """

    point: PointId
    number: int
    commit: str
    tree: str
    ref: str
    works: tuple[Contribution, ...]
    conflicts: tuple[Conflict, ...] = ()
    reverted: dict[StreamId, tuple[str, ...]] = {}


class CheckpointNotMerged(Observation, frozen=True):
    point: PointId
    number: int
    reason: str


class SyncDone(AttemptObservation, frozen=True):
    """Files of a checkpoint are in the workspace now, or are not, each for a reason."""

    point: PointId
    number: int
    files: int
    removed: int
    left_alone: tuple[str, ...]
    given_tree: str
    known_tree: str
    was_held: bool = False


class SyncDelayed(AttemptObservation, frozen=True):
    """Files of a checkpoint cannot be brought yet, for a reason; it is still being tried."""

    point: PointId
    number: int
    reason: str


class SyncNotDone(AttemptObservation, frozen=True):
    point: PointId
    number: int
    reason: str


class WorkspaceGone(AttemptObservation, frozen=True):
    """A clean-up removed the folder, with proof that its content is reachable elsewhere."""

    rescue: tuple[str, ...] = ()


class MachineSeen(Observation, frozen=True):
    """What the machine has to give: ``cpu_cores`` and ``memory_mb``."""

    capacity: dict[str, float]


class MachineLoad(Observation, frozen=True):
    """The machine's free memory, and the share of time (0..100) somebody waits for memory.

    ``short_of`` says what else is nearly used up, so that nothing should start.
    """

    memory_available_mb: float
    memory_pressure: float | None
    short_of: str = ""


class OverheadSeen(Observation, frozen=True):
    """What coordination costs by now: seconds by category, and their share (0..1) of all time."""

    share: float
    by_category: dict[str, float]


class UsageSeen(AttemptObservation, frozen=True):
    """What the processes of a stream use, where that is, or was, more than it was granted."""

    memory_mb: float
    cpu_cores: float


class StreamAsked(AttemptObservation, frozen=True):
    """A silent stream was asked for a sign in its plan's ``way``; ``outcome`` is how that went."""

    way: str
    outcome: str


class LivenessSeen(AttemptObservation, frozen=True):
    """How a stream gets on: ``never_heard``, ``stalled``, ``unclear``, ``quiet`` or ``back``."""

    verdict: str
    evidence: str
    silent_seconds: float = 0.0


class HeartbeatHeard(Observation, frozen=True):
    """What a stream's heartbeats said last, all of it; it ``is_last`` if no other one can come."""

    stream: StreamId
    attempt: Attempt
    status: str
    progress: float | None
    info: dict[str, Any]
    is_last: bool = False


class JoinedStreamSilent(Observation, frozen=True):
    """A stream that joined by itself has sent nothing for longer than its timeout."""

    stream: StreamId
    attempt: Attempt
    evidence: str


class StrategyFault(Observation, frozen=True):
    """A plugin's strategy did wrong, and the core's own was asked instead, unless it was heeded."""

    plugin: str
    strategy: str
    fault: str
    count: int
    is_set_aside: bool
    is_heeded: bool = False


class TimeReached(Observation, frozen=True):
    """The run clock has passed a time that some effect asked for."""
