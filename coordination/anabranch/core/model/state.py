"""The state of a run at one instant: frozen, shared freely between threads, queries only.

Only :mod:`anabranch.core.folds.evolve` makes new states. The maps are persistent (rpds), so a state
costs a few hundred bytes more than the one before it, however many streams there are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.events import Conflict, Included, Resolution
from anabranch.core.ids import Attempt, PointId, RunId, Seq, StreamId
from anabranch.core.model.adoption import Adoption
from anabranch.core.model.answers import Remembered
from anabranch.core.model.approval import Approval
from anabranch.core.model.breakers import Breakers
from anabranch.core.model.checkpoints import StreamCheckpoints
from anabranch.core.model.copies import Speculation
from anabranch.core.model.decisions import Decision
from anabranch.core.model.effects_done import EffectsDone
from anabranch.core.model.foreseen import Foreseen, Pair
from anabranch.core.model.fusion import Fusion
from anabranch.core.model.gathering import Gathering
from anabranch.core.model.guardian import Care, Guardian
from anabranch.core.model.handlers import Handled
from anabranch.core.model.joined import Registry
from anabranch.core.model.lifecycle import ACTIVE, ENDED, Phase, public_state
from anabranch.core.model.locks import LockTable
from anabranch.core.model.memory import MemoryCare
from anabranch.core.model.messages import Mailboxes
from anabranch.core.model.ordering import Ordering
from anabranch.core.model.plugin_faults import PluginFault
from anabranch.core.model.point_checkpoints import Offer, PointCheckpoints, Synced
from anabranch.core.model.questions import Question
from anabranch.core.model.queues import Queues
from anabranch.core.model.resources import MEMORY, Amounts, ResourceTable
from anabranch.core.model.reviews import HandedBack, Review
from anabranch.core.model.services import Serving
from anabranch.core.model.setup import Setup
from anabranch.core.model.sharing import SharedState
from anabranch.core.model.slots import Slot
from anabranch.core.model.spent import Spent, Worked
from anabranch.core.model.teardowns import Teardowns
from anabranch.core.model.terminal import Terminal
from anabranch.core.model.width import Width
from anabranch.core.model.windows import Window
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.core.plans.topology import Topology


class RunPhase(StrEnum):
    """Where the run is; ``interrupted`` is not a phase: it means that nobody hosts a live run."""

    RUNNING = "running"
    STOPPING = "stopping"
    NEEDS_OPERATOR = "needs_operator"
    CONVERGED = "converged"
    FAILED = "failed"
    STOPPED = "stopped"


RUN_ENDED = frozenset(
    {RunPhase.NEEDS_OPERATOR, RunPhase.CONVERGED, RunPhase.FAILED, RunPhase.STOPPED}
)


class PointPhase(StrEnum):
    """Where a convergence point is."""

    OPEN = "open"
    MERGING = "merging"
    VERIFYING = "verifying"
    MERGED = "merged"
    BLOCKED = "blocked"
    ABANDONED = "abandoned"


class Base(msgspec.Struct, frozen=True, gc=False):
    """The commit that streams start from, and where the user's branch stood then.

    ``branch`` is its full name, None when detached or for a plain folder; ``head`` is None where
    nothing was committed. ``commit`` differs from ``head`` when uncommitted work belongs to it.
    Workspaces get what is ``included`` besides.
    """

    commit: str
    tree: str
    branch: str | None = None
    head: str | None = None
    included: Included = Included()


class Workspace(msgspec.Struct, frozen=True, gc=False):
    """A prepared workspace: ``start_tree`` is what the engine put there, syncs included."""

    path: str
    start_commit: str
    start_tree: str
    method: str = ""
    in_namespace: bool = False


class Result(msgspec.Struct, frozen=True, gc=False):
    """What a stream brought: a commit, and the tree it started from (its own merge base).

    One that ``is_mixed`` has others' unfinished work in its tree too, which it was brought while it
    ran: only what it changed itself counts, so it is never taken over whole.
    """

    commit: str
    tree: str
    start_commit: str
    start_tree: str
    files_changed: int = 0
    ref: str = ""
    is_mixed: bool = False


class Inheritance(msgspec.Struct, frozen=True, gc=False):
    """What a workspace or a merge is made from: ``then`` merged, in this order, onto ``start``.

    ``start`` is the whole result of ``heir_of``, or what ``from_point`` has merged, which ``holds``
    these results; without either it is the run's base.
    """

    heir_of: StreamId | None = None
    start: Result | None = None
    then: tuple[tuple[StreamId, Result], ...] = ()
    from_point: PointId | None = None
    holds: tuple[tuple[StreamId, Result], ...] = ()


class Exit(msgspec.Struct, frozen=True, gc=False):
    """How a process ended: a code or a signal, or an error that kept it from starting."""

    code: int | None = None
    signal: int | None = None
    error: str | None = None
    lost: bool = False
    survivors_ended: int = 0

    @property
    def status(self) -> int | None:
        """The exit code as a shell tells it: 128 + n for signal n; None if nobody knows.

        One ending has two spellings, by whether a shell stands between; both count the same.
        """
        if self.lost:
            return None
        return 128 + self.signal if self.signal is not None else self.code


class StopRequest(msgspec.Struct, frozen=True, gc=False):
    """Somebody wants the stream to end; ``then`` is the phase it ends in."""

    reason: str
    then: str


class Liveness(msgspec.Struct, frozen=True, gc=False):
    """What is known of a running stream's progress; an empty verdict: nothing is wrong.

    ``status`` is what its heartbeat said last; ``status_at`` when, on the run clock; ``info`` is
    what else it said, by name. ``beats_at`` is when the newest were written down.
    """

    verdict: str = ""
    evidence: str = ""
    since: float = 0.0
    status: str = ""
    status_at: float | None = None
    progress: float | None = None
    info: dict[str, Any] = {}
    beats_at: tuple[float, ...] = ()


class Stream(msgspec.Struct, frozen=True, gc=False):
    """Everything known about one stream. ``since`` is when its phase began, in run seconds.

    ``inherits`` is what its newest attempt was given to start from; it is settled at admission, so
    that what others do meanwhile changes nothing about it. ``restored`` is the checkpoint that the
    newest attempt goes on from. ``retries`` counts towards what the plan allows, so what a person
    asked for does not count; its attempt ``is_retry`` all the same. ``files_changed`` is what the
    capture of the newest attempt found, None before that. Work that ``is_captured_again`` takes no
    slot. ``held`` says why its processes are stopped where they stand, empty if they are not.
    ``waits`` are its newest waits, from when to when, ``began_at_active`` what the run's
    ``active_seconds`` were when it began. ``slot`` and ``incarnation`` are the lease of its newest
    attempt, ``placed_because`` is why it was put there, and ``goes_on_from`` is whose workspace it
    has taken over, or is to. ``looked_at`` is the newest attempt that somebody has looked at when
    it was over, ``cut_in`` the newest whose output was too much for its log. ``ports`` are its
    newest attempt's, by name.
    """

    id: StreamId
    phase: Phase
    since: float
    cause: Seq
    reason: str
    attempt: Attempt = 0
    retries: int = 0
    is_retry: bool = False
    rank: tuple[float, ...] = ()
    not_before: float = 0.0
    inherits: Inheritance = Inheritance()
    workspace: Workspace | None = None
    pid: int | None = None
    holder_pid: int | None = None
    log: str | None = None
    started_at: float | None = None
    last_started_at: float | None = None
    ended_at: float | None = None
    first_started_at: float | None = None
    first_queued_at: float | None = None
    exit: Exit | None = None
    stop: StopRequest | None = None
    result: Result | None = None
    failure: str | None = None
    failure_class: str = ""
    quarantined_at: PointId = PointId("")
    is_captured_again: bool = False
    rescue: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    restored: int = 0
    warnings: tuple[str, ...] = ()
    spent: Spent = Spent()
    worked: Worked = Worked()
    waits: tuple[tuple[float, float], ...] = ()
    began_at_active: float = 0.0
    liveness: Liveness = Liveness()
    handed_back: HandedBack | None = None
    offer: Offer | None = None
    synced: Synced | None = None
    sync_declined: str = ""
    care: Care = Care()
    files_changed: int | None = None
    ignored: tuple[str, ...] = ()
    held: str = ""
    held_at: float = 0.0
    slot: int = 0
    incarnation: int = 0
    placed_because: str = ""
    goes_on_from: StreamId = StreamId("")
    window: Window = Window()
    memory: MemoryCare = MemoryCare()
    terminal: Terminal = Terminal()
    looked_at: Attempt = 0
    cut_in: Attempt = 0
    ports: dict[str, int] = {}
    setup: Setup = Setup()
    serving: Serving = Serving()

    @property
    def public_state(self) -> str:
        """The state that people and scripts see."""
        if self.care.remedy and self.is_active:
            return "recovering"
        if self.phase is Phase.RUNNING and self.liveness.verdict:
            return "stalled"
        if self.is_ready:
            return "ready"
        is_unhealthy = self.is_active and self.serving.unhealthy_as == self.attempt
        return "unhealthy" if is_unhealthy else public_state(self.phase)

    @property
    def is_ready(self) -> bool:
        """Whether it is a service that does what others wait for."""
        return self.phase is Phase.RUNNING and self.serving.ready_as == self.attempt

    @property
    def is_active(self) -> bool:
        """Whether it is at work; one that is not a service holds a slot then."""
        return self.phase in ACTIVE

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.phase in ENDED


class Copy(msgspec.Struct, frozen=True, gc=False):
    """Another attempt of a stream, ``run``, that is at work beside the stream's own.

    It is the copy of a straggler, or what it was a copy of once that has lost or failed. It
    ``holds`` what the plan gives to each attempt. One that is to end has a ``stop``: it is fenced.
    The straggler is attempt ``of``; it had worked for ``elapsed_seconds`` when it was copied.
    """

    run: Stream
    of: Attempt
    since: float
    elapsed_seconds: float
    long_seconds: float
    holds: Amounts = {}

    @property
    def is_hopeful(self) -> bool:
        """Whether it may still come to count."""
        is_over = self.run.phase in (Phase.STOPPING, Phase.CAPTURING)
        return self.run.is_active and not is_over and self.run.stop is None


class Point(msgspec.Struct, frozen=True, gc=False):
    """Everything known about one convergence point.

    ``merged`` is whose work its newest merge brought together, and ``holds`` the very results;
    ``left_out`` says who has arrived and is not in that merge, and why. ``checking`` is whose work
    is being verified, ``probe`` the part that is looked at now, ``probes`` what was found so far
    and ``probes_again`` at a second look; ``probe_failures`` counts the tries of the present one.
    ``check_failure`` is how the check failed when it did last.
    """

    id: PointId
    phase: PointPhase
    since: float
    cause: Seq
    reason: str
    opened_at: float = 0.0
    arrived: tuple[StreamId, ...] = ()
    arrived_at: dict[StreamId, float] = {}
    departed: dict[StreamId, str] = {}
    merging: tuple[StreamId, ...] = ()
    is_last_merge: bool = True
    merged: tuple[StreamId, ...] = ()
    holds: tuple[tuple[StreamId, Result], ...] = ()
    merge_cause: Seq = 0
    left_out: dict[StreamId, str] = {}
    looks_again_at: float | None = None
    looks_again_cause: Seq = 0
    looked_at: float = 0.0
    quarantined: tuple[StreamId, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    commit: str | None = None
    tree: str | None = None
    merging_seconds: float = 0.0
    resolving: tuple[Conflict, ...] = ()
    resolver_cause: Seq = 0
    resolver_tried: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gathering: Gathering = Gathering()
    checkpoint: PointCheckpoints = PointCheckpoints()
    is_overdue: bool = False
    checking: tuple[StreamId, ...] = ()
    probe: tuple[StreamId, ...] = ()
    probe_cause: Seq = 0
    probe_is_again: bool = False
    probe_failures: int = 0
    check_failure: str = ""
    probes: tuple[tuple[tuple[StreamId, ...], bool], ...] = ()
    probes_again: tuple[tuple[tuple[StreamId, ...], bool], ...] = ()
    guilty: tuple[tuple[StreamId, ...], ...] = ()
    flaky: str = ""
    adoption: Adoption = Adoption()

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens here by itself."""
        return self.phase is not PointPhase.OPEN and not self.is_busy

    @property
    def is_busy(self) -> bool:
        """Whether its results are being merged, or checked before they count."""
        return self.phase in (PointPhase.MERGING, PointPhase.VERIFYING)


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Streams by what they do, kept up with every event so that no decision counts them.

    Those who are ``active`` hold a slot each; ``services`` that are at work hold none.
    """

    active: int = 0
    ended: int = 0
    blocked: int = 0
    retrying: int = 0
    services: int = 0

    @property
    def at_work(self) -> int:
        """How many are at work, in a slot or beside them."""
        return self.active + self.services


class State(msgspec.Struct, frozen=True, gc=False):
    """A run at one instant. ``ready`` is the queue: (rank, position, stream), best first.

    ``active_seconds`` adds up, over time, how many streams were active. ``alone`` are those that
    run only when nobody else does, and have not ended. ``copies`` are the attempts that are at
    work beside a stream's own. The ``kept_runs`` are older ones of the project that the plan
    would let go, each with why it stays.
    """

    run: RunId
    project: str
    plan_path: str | None
    topology: Topology
    started_wall: float
    seq: Seq = 0
    at: float = 0.0
    phase: RunPhase = RunPhase.RUNNING
    reason: str = ""
    hint: str = ""
    proof: str = ""
    cause: Seq = 1
    base: Base | None = None
    streams: HashTrieMap[StreamId, Stream] = HashTrieMap()
    points: HashTrieMap[PointId, Point] = HashTrieMap()
    ready: tuple[tuple[tuple[float, ...], int, StreamId], ...] = ()
    counts: Counts = Counts()
    active_seconds: float = 0.0
    stop_reason: str | None = None
    first_failure: StreamId | None = None
    ended_at: float | None = None
    approval: Approval = Approval()
    adoptions: int = 0
    shared: SharedState = SharedState()
    messages: Mailboxes = Mailboxes()
    orderings: HashTrieMap[int, Ordering] = HashTrieMap()
    answers: HashTrieMap[StreamId, Remembered] = HashTrieMap()
    questions: HashTrieMap[StreamId, tuple[Question, ...]] = HashTrieMap()
    locks: LockTable = LockTable()
    checkpoints: HashTrieMap[StreamId, StreamCheckpoints] = HashTrieMap()
    registry: Registry = Registry()
    resources: ResourceTable = ResourceTable()
    resolutions: HashTrieMap[str, Resolution] = HashTrieMap()
    decisions: HashTrieMap[str, Decision] = HashTrieMap()
    last_decision: Seq = 0
    foreseen: HashTrieMap[Pair, Foreseen] = HashTrieMap()
    guardian: Guardian = Guardian()
    verified: HashTrieMap[str, bool] = HashTrieMap()
    plugin_faults: HashTrieMap[str, PluginFault] = HashTrieMap()
    breakers: Breakers = Breakers()
    costs_too_much: bool = False
    handlers: HashTrieMap[StreamId, Handled] = HashTrieMap()
    effects: EffectsDone = EffectsDone()
    width: Width = Width()
    slots: HashTrieMap[int, Slot] = HashTrieMap()
    fusion: Fusion = Fusion()
    queues: Queues = Queues()
    alone: tuple[StreamId, ...] = ()
    copies: HashTrieMap[StreamId, Copy] = HashTrieMap()
    speculation: Speculation = Speculation()
    reviews: HashTrieMap[StreamId, Review] = HashTrieMap()
    teardowns: Teardowns = Teardowns()
    kept_runs: dict[RunId, str] = {}
    warnings: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan:
        return self.topology.plan

    @property
    def has_ended(self) -> bool:
        return self.phase in RUN_ENDED

    @property
    def max_parallel(self) -> int:
        """How many streams may run at a time now."""
        if self.runs_alone is not None:
            return 1
        width = self.width.current or self.plan.max_parallel
        narrowed = self.guardian.narrowed_to
        return width if narrowed is None else min(width, narrowed)

    @property
    def widest(self) -> int:
        """How many streams could run at a time at the most so far."""
        return max(self.plan.max_parallel, self.width.widest)

    @property
    def runs_alone(self) -> StreamId | None:
        """Who is active and must have nobody beside it, None if nobody is."""
        return next((s for s in self.alone if self.streams[s].is_active), None)

    def asks_of(self, stream: StreamId) -> Amounts:
        """Return what a stream asks for to begin: by its plan, and as much memory as it had."""
        asked, had = self.topology.streams[stream].resources, self.streams[stream].memory.asks_mb
        return {**asked, MEMORY: max(had, asked.get(MEMORY, 0.0))} if had else asked

    def expected_memory_mb(self, stream: StreamId) -> float:
        """Return how much memory a stream is expected to take, 0 if nothing is known of it.

        That is the most that it had in earlier runs, or what it asks for if that is more.
        """
        learned = self.topology.streams[stream].peak_memory_mb or 0.0
        return max(learned, self.asks_of(stream).get(MEMORY, 0.0))

    def at_attempt(self, stream: StreamId, attempt: Attempt) -> Stream:
        """Return a stream as that attempt of it is: its own, or one that is at work beside it."""
        copy = self.copies.get(stream)
        return copy.run if copy and copy.run.attempt == attempt else self.streams[stream]

    def stream_plan(self, stream: StreamId) -> StreamPlan:
        return self.topology.streams[stream]

    def point_plan(self, point: PointId) -> PointPlan:
        return self.topology.points[point]
