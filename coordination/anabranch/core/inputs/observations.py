"""What is so: the observations."""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, PointId, RunId, Seq, StreamId
from anabranch.core.inputs.base import AttemptObservation, Observation


class BaseFound(Observation, frozen=True):
    commit: str
    tree: str
    branch: str | None
    head: str | None
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    included: ev.Included = ev.Included()


class BaseNotFound(Observation, frozen=True):
    reason: str


class WorkspaceReady(AttemptObservation, frozen=True):
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


class WorkspaceConflicted(AttemptObservation, frozen=True):
    conflict: ev.Conflict


class EffectFailed(AttemptObservation, frozen=True):
    """Workspace, process or capture could not be done, for good.

    One that ``is_permanent`` would fail again in the next attempt.
    """

    reason: str
    is_permanent: bool = False


class EffectDelayed(AttemptObservation, frozen=True):
    """It cannot be done now, and the performer goes on trying."""

    reason: str


class SetupBegan(AttemptObservation, frozen=True):
    """The plan's setup runs, and the stream's command is held back until it is done."""

    pid: int
    holder_pid: int
    log: str
    happened_at: float


class SetupDone(AttemptObservation, frozen=True):
    """The plan's setup has ended; a ``failure`` says why the command will not run."""

    exit_code: int | None
    signal: int | None
    seconds: float
    failure: str
    happened_at: float


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
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    memory_kills: int = 0


class TimeFound(Observation, frozen=True):
    """A stream's time of day comes, or has come, at ``due_at`` of the run clock.

    That is ``due_wall`` on the wall, which stood at ``seen_wall`` (seconds since 1970); ``shown``
    is what clocks in its zone show then. ``cause`` is what it was sought for.
    """

    stream: StreamId
    due_at: float
    due_wall: float
    seen_wall: float
    shown: str


class InputTyped(Observation, frozen=True):
    """What became of the line with that number; its attempt may be over by now."""

    stream: StreamId
    number: Seq
    verdict: ev.Verdict
    evidence: str
    hint: str = ""


class PromptSeen(AttemptObservation, frozen=True):
    """A prompt stands on a stream's terminal since then (run seconds); an empty one: none does."""

    text: str
    since: float = 0.0


class OutputLeftOut(AttemptObservation, frozen=True):
    """A stream has written more than its log keeps."""

    left_out_bytes: int


class StreamHeld(AttemptObservation, frozen=True):
    """A stream that fills the disk has been stopped where it stands."""

    reason: str


class StreamLetGo(AttemptObservation, frozen=True):
    """There is room again, and the stream that was held goes on."""


class VictimAnswered(Observation, frozen=True):
    """The owner of a queue has let go of these streams: it has not started them, and will not.

    ``steal`` is the number of the event that asked for them.
    """

    steal: Seq
    released: tuple[ev.QueuedAttempt, ...]


class ProcessLost(AttemptObservation, frozen=True):
    reason: str


class ResultReady(AttemptObservation, frozen=True):
    """A stream's work is kept; ``strays`` are files outside what its plan lets it write.

    ``log_tail`` are the last lines of the log of an attempt without success. A ``fault`` says why
    this is not the stream's whole work, so that it cannot count as a result; it
    ``may_be_captured_again`` when the cause is mended. ``files_removed`` of the ``files_before``
    that it started from are gone, ``files_left`` is how many there are now. ``ignored`` are files
    and folders that git leaves out. ``handler_results`` is what its handlers found, as JSON.
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
    handler_results: Any = None


class MergeFinished(Observation, frozen=True):
    """``merged`` streams stand in ``commit``; what did not merge is in ``conflicts``."""

    point: PointId
    commit: str | None
    tree: str | None
    branch: str | None
    merged: tuple[StreamId, ...]
    conflicts: tuple[ev.Conflict, ...] = ()
    warnings: tuple[str, ...] = ()


class MergeFailed(Observation, frozen=True):
    point: PointId
    reason: str


class ResolverFinished(Observation, frozen=True):
    """The plan's resolver has ended; ``reason`` says how, ``resolutions`` what it has settled."""

    point: PointId
    reason: str
    resolutions: tuple[ev.Resolution, ...] = ()


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
    paths: tuple[ev.ConflictedPath, ...] = ()


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
    works: tuple[ev.Contribution, ...]
    conflicts: tuple[ev.Conflict, ...] = ()
    reverted: dict[StreamId, tuple[str, ...]] = msgspec.field(default_factory=dict)


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


class TeardownDone(AttemptObservation, frozen=True):
    """A teardown has been run, or it cannot be; a ``failure`` says what is wrong."""

    exit_code: int | None
    seconds: float
    failure: str


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


class OldRunsSeen(Observation, frozen=True):
    """Which of the project's older runs went, and which stay though they are old, each for why."""

    removed: tuple[RunId, ...] = ()
    removed_bytes: int = 0
    kept: dict[RunId, str] = msgspec.field(default_factory=dict)


class DiskSeen(Observation, frozen=True):
    """How many bytes are kept of the project, in all and by kind; some are the run's own."""

    used_bytes: int
    by_kind: dict[str, int]
    own_bytes: int = 0


class PressureSeen(Observation, frozen=True):
    """How hard the machine works, for a run whose width follows it.

    ``memory_some``, ``memory_full``, ``cpu_some`` and ``io_some`` are percentages of the last ten
    seconds in which somebody, or everybody, waited for it (None where the kernel does not tell);
    ``busy`` is the share (0..1) of the processors' time that was used, ``own`` what of it the run's
    streams used. ``growing_mb`` is by how
    much the streams that run are expected to grow, ``largest_mb`` the most that one has had.
    """

    memory_available_mb: float
    memory_total_mb: float
    growing_mb: float
    largest_mb: float
    cores: int
    busy: float
    own: float
    memory_some: float | None = None
    memory_full: float | None = None
    cpu_some: float | None = None
    io_some: float | None = None
    swapped_in_mb: float = 0.0


class HandlerRequestPassedOn(AttemptObservation, frozen=True):
    """The program that runs a stream's handlers will read what was wanted by ``request``."""

    request: Seq


class HandlersSeen(Observation, frozen=True):
    """What the book of a stream's handlers says from ``since`` up to ``book_offset``.

    ``skipped`` counts the handlers that ``attempt`` left out, as they were done before, ``left``
    those that it left as they had failed; ``stopped`` says why it has not run all that there are,
    ``heard`` which requests of a person it has taken up.
    """

    stream: StreamId
    attempt: Attempt
    since: int
    book_offset: int
    ended: tuple[ev.HandlerFinished, ...]
    skipped: int = 0
    stopped: str = ""
    left: int = 0
    heard: tuple[Seq, ...] = ()


class OverheadSeen(Observation, frozen=True):
    """What coordination costs by now: seconds by category, and their share (0..1) of all time."""

    share: float
    by_category: dict[str, float]


class UsageSeen(AttemptObservation, frozen=True):
    """What the processes of a stream use, where that is, or was, more than it was granted."""

    memory_mb: float
    cpu_cores: float


class MemoryUse(msgspec.Struct, frozen=True, gc=False):
    """What all processes of an attempt have of memory: the less of what two looks have seen."""

    stream: StreamId
    attempt: Attempt
    memory_mb: float


class MemorySeen(Observation, frozen=True):
    """What running streams have of memory, where one is above its ceiling or the machine is short.

    ``is_short``: less is free than has to be, at two looks in a row.
    """

    uses: tuple[MemoryUse, ...]
    is_short: bool = False


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
