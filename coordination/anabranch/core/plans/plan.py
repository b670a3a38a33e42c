"""The plan as the core sees it: immutable, complete, every default filled in.

The plan *file* and its error messages live in :mod:`anabranch.config`; this is what comes out of it
and what the journal keeps, so a run never depends on a file that changed after it began.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.wording import counted, length

DependencyCondition = Literal["succeeded", "completed", "started", "converged", "ready"]
WorkspaceKind = Literal["isolated", "clone", "shared"]
WorkspaceMethod = Literal["auto", "overlay", "reflink", "pool", "worktree"]
FileAccess = Literal["exclusive_write", "shared"]
ConflictPolicy = Literal["ask", "quarantine", "stop"]
FailurePolicy = Literal["quarantine", "stop"]
CatchUp = Literal["skip", "once"]
StreamKind = Literal["job", "service"]
Restart = Literal["never", "on_failure", "always"]


ExcessResponse = Literal["show", "tell", "stop"]
HandBack = Literal["message", "input", "restart"]
"""How notes of a review reach a stream: a message, typed into its terminal, or by a new start."""

USUAL_RETRIES = 2
"""How often a failed stream is tried again if its author says nothing."""

USUAL_SETUP_SECONDS = 600.0
"""How long a setup may take if its author says nothing."""


USUAL_RUNS_KEPT = 20
"""How many of the newest runs stay whatever their age, where old ones go by themselves."""


def variable_of(port: str) -> str:
    """Return the environment variable in which a stream finds a port that its plan names so."""
    return "ANABRANCH_PORT_" + "".join(c if c.isalnum() else "_" for c in port.upper())


class Work(msgspec.Struct, frozen=True):
    """What a duration is known of: a stream of a plan, with its command."""

    plan: str
    stream: str
    command: str


class Dependency(msgspec.Struct, frozen=True):
    """What a stream waits for: until ``stream``, or any that has a capability, meets ``condition``.

    With a ``capability`` there is no ``stream``; ``providers`` are the plan's streams that have it
    and do not themselves wait for the one that depends on them
    (:mod:`anabranch.core.plans.providers`). With a ``point`` it waits for whoever is adopted there;
    ``providers`` are those of whom one will be.
    """

    stream: StreamId = StreamId("")
    condition: DependencyCondition = "succeeded"
    capability: str = ""
    providers: tuple[StreamId, ...] = ()
    point: PointId = PointId("")

    @property
    def waits_for_end(self) -> bool:
        """Whether it waits for an end, and hands over work; else only for a beginning."""
        return self.condition not in ("started", "ready")

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """The streams of the plan that can meet it."""
        return self.providers if self.capability or self.point else (self.stream,)

    @property
    def words(self) -> str:
        """Whom it waits for."""
        if self.point:
            return f"whoever is adopted at {self.point}"
        return f'any stream with "{self.capability}"' if self.capability else self.stream


class AskPlan(msgspec.Struct, frozen=True):
    """How a silent stream is asked for a sign besides by message: one way, or none.

    ``signal`` is a number, sent to all its processes; ``line`` is typed into its terminal;
    ``command`` is run by ``sh -c`` in its workspace.
    """

    signal: int = 0
    line: str = ""
    command: str = ""

    @property
    def words(self) -> str:
        """The way, for people; empty if there is none."""
        if self.signal:
            return f"signal {self.signal}"
        return f"the line {self.line!r}" if self.line else self.command


class SideCommand(msgspec.Struct, frozen=True):
    """A command beside a stream's own, which makes its workspace ready or leaves it in good order.

    ``argv`` is run as it is, in ``working_dir`` below the project's folder of the workspace;
    ``text`` is what the user wrote. The contents of its ``inputs`` decide what a setup makes: what
    it made before is used again. Without them it is always run.
    """

    argv: tuple[str, ...]
    text: str
    working_dir: str = "."
    inputs: tuple[str, ...] = ()


class ReadyPlan(msgspec.Struct, frozen=True):
    """How it is seen that a service is ready: one way, within ``timeout_seconds`` of its start.

    ``log`` is a pattern of a line of its log; ``command`` is run by ``sh -c`` in its workspace
    until it ends well; ``port`` is the name, or the number, of a port on which it listens, on which
    ``http`` is a path that is answered, if that is given. Once it is ready it is looked at every
    ``interval_seconds``: after so many ``failures`` in a row it is unhealthy; 0 looks no more.
    """

    log: str = ""
    command: str = ""
    port: str = ""
    http: str = ""
    timeout_seconds: float = 30.0
    interval_seconds: float = 10.0
    failures: int = 3

    @property
    def is_watched(self) -> bool:
        """Whether it is seen that it answers no more; a line of a log stays true for ever."""
        return self.failures > 0 and not self.log


class FanPlan(msgspec.Struct, frozen=True):
    """How a stream fans out into handlers (:mod:`anabranch.handlers`).

    ``source`` says where items come from, by one key of ``items``, ``glob``, ``lines_of``,
    ``matrix`` (with ``exclude``), ``graph`` and ``kept``: in the run's folder, where they are
    written down while they come (:mod:`anabranch.handlers.kept_items`). ``command`` is as it was
    written, placeholders and all; None if the tasks of a graph have their own. Without
    ``max_parallel`` as many handlers run at a time as there are processors. ``most_failures`` is a
    number, ``most_failed_share`` 0 to 1.
    ``inputs`` are the files whose contents are a part of what an item is known by.
    Handlers share the ``workspace`` of the stream, or ``each`` has one of its own.
    """

    source: dict[str, Any]
    command: str | tuple[str, ...] | None
    max_parallel: int | None = None
    most_failures: int | None = None
    most_failed_share: float | None = None
    timeout_seconds: float | None = None
    inputs: tuple[str, ...] = ()
    workspace: Literal["stream", "each"] = "stream"


class RatePlan(msgspec.Struct, frozen=True):
    """At most so many starts in any window of so many seconds."""

    at_most: int
    per_seconds: float

    @property
    def words(self) -> str:
        """It in words: ``3 starts in 60 s``."""
        return f"{counted(self.at_most, 'start')} in {length(self.per_seconds, 1)}"


class StreamPlan(msgspec.Struct, frozen=True):
    """What the plan says about one stream.

    ``command`` is an argument vector; a command written as a string has become
    ``("/bin/sh", "-c", text)``, and ``command_text`` is what the user wrote. An ``executor`` says
    by which command line it is run; without a name it is run as it is. ``env_files`` are read at
    each start, from the folder of the project that the run was started in; ``env`` goes before.
    ``resources`` is what it asks for, ``limits`` are its ceilings, by the same names.

    ``at`` is the time of day that it waits for, ``HH:MM:SS`` or empty, in ``zone``, or else in that
    of the machine. The ``rate`` is of its attempts, or of its handlers if it has them.
    One that ``is_repeatable`` may be run twice at a time (:mod:`anabranch.core.plans.repeating`).
    Its ``ports`` are names, of which each attempt gets a free one each.
    With ``review`` its result is merged only when a person has taken it. A service is ``ready``
    once that is seen, at its start if nothing is said, and is started again as ``restart`` says.

    ``setup`` is run in each new workspace before the command, for ``setup_timeout_seconds`` at
    most, and ``teardown`` when the work of an attempt has been kept.

    What it is expected to take: ``estimate_seconds``, said from ``estimate_runs`` of the
    ``estimate_basis``; ``usual_seconds`` is the learned p50 and ``long_seconds`` the learned p95,
    both None where too little is known (:class:`anabranch.core.plans.estimates.Estimate`).

    ``template`` is the outline that it was made of and ``prompt`` what it was given to do; both are
    in its command already, and empty if it was made of none. The ``outline`` is its command with
    the blank for the prompt left open, where it is filled anew after a review.
    """

    id: StreamId
    command: tuple[str, ...]
    command_text: str
    depends_on: tuple[Dependency, ...] = ()
    env: dict[str, str] = {}
    env_files: tuple[str, ...] = ()
    working_dir: str = "."
    priority: int = 0
    optional: bool = False
    timeout_seconds: float | None = None
    max_retries: int = 0
    success_exit_codes: tuple[int, ...] = (0,)
    heartbeat_interval_seconds: float = 60.0
    heartbeat_timeout_seconds: float = 600.0
    converge: PointId = FINAL_POINT
    also_at: tuple[PointId, ...] = ()
    sync: bool = False
    tty: bool = False
    ask: AskPlan = AskPlan()
    after_seconds: float = 0.0
    at: str = ""
    zone: str = ""
    catch_up: CatchUp = "once"
    spread_seconds: float = 0.0
    rate: RatePlan | None = None
    workspace: WorkspaceKind = "isolated"
    method: WorkspaceMethod = "auto"
    paths: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    resources: dict[str, float] = {}
    limits: dict[str, float] = {}
    ports: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    estimate_seconds: float = 1.0
    estimate_basis: Literal["learned", "class", "guessed"] = "guessed"
    estimate_runs: int = 0
    usual_seconds: float | None = None
    long_seconds: float | None = None
    peak_memory_mb: float | None = None
    executor: str = ""
    fan: FanPlan | None = None
    is_repeatable: bool = False
    template: str = ""
    prompt: str = ""
    outline: str | tuple[str, ...] = ""
    hand_back: HandBack = "message"
    review: bool = False
    setup: SideCommand | None = None
    setup_timeout_seconds: float = USUAL_SETUP_SECONDS
    teardown: SideCommand | None = None

    kind: StreamKind = "job"
    ready: ReadyPlan | None = None
    restart: Restart = "on_failure"

    @property
    def is_service(self) -> bool:
        """Whether it is not expected to end."""
        return self.kind == "service"

    @property
    def points(self) -> tuple[PointId, ...]:
        """Where it meets others: its own point first, then the others that name it."""
        return () if self.is_service else (self.converge, *self.also_at)


class PointPlan(msgspec.Struct, frozen=True):
    """What the plan says about one convergence point; ``streams`` in plan order.

    ``merges_early``: its type merges streams before all of them are there; ``takes_checkpoints``:
    it does so with snapshots of those that run; ``adopts_one``: it merges one of them, and the
    others are kept. One that ``is_optional`` may end without having adopted anybody. With
    ``review`` whoever meets here needs one.
    """

    id: PointId
    type: str = "barrier"
    streams: tuple[StreamId, ...] = ()
    on_conflict: ConflictPolicy = "ask"
    timeout_seconds: float | None = None
    options: dict[str, Any] = {}
    interval_seconds: float = 300.0
    merges_early: bool = False
    takes_checkpoints: bool = False
    adopts_one: bool = False
    is_optional: bool = False
    resolver: str = ""
    verify: str = ""
    verify_retries: int = 0
    on_failure: FailurePolicy = "quarantine"
    review: bool = False


class SharedStatePlan(msgspec.Struct, frozen=True):
    """How shared state is kept: its mode, how soon changes are propagated, how many versions stay.

    Without ``versions_kept`` as many versions stay as fit in a budget of memory.
    """

    type: Literal["immutable", "centralized"] = "immutable"
    sync_interval_seconds: float = 300.0
    versions_kept: int | None = None


class KeepRuns(msgspec.Struct, frozen=True):
    """For how many seconds older runs are kept once they are over, by how they ended.

    None: until a person says otherwise. The newest ``at_least`` stay whatever their age.
    """

    converged_seconds: float | None = None
    failed_seconds: float | None = None
    stopped_seconds: float | None = None
    at_least: int = USUAL_RUNS_KEPT

    @property
    def by_ending(self) -> dict[str, float]:
        """The seconds for each public state that has a limit; nothing where none is set."""
        limits = {
            "converged": self.converged_seconds,
            "failed": self.failed_seconds,
            "stopped": self.stopped_seconds,
        }
        return {state: seconds for state, seconds in limits.items() if seconds is not None}


class Plan(msgspec.Struct, frozen=True):
    """A whole plan. Streams and points keep the order of the file; the final point is last.

    ``resources`` is what the plan itself says there is; the heartbeat is that of streams that join.
    The width of one that ``is_adaptive`` begins with ``max_parallel`` and follows the machine then.
    ``balancer_options`` are written for the ``balancer`` that it names. With ``fuses`` streams that
    are short go on in the workspace of the one before. ``slowdown`` is what each stream at work was
    learned to cost the others, None if nobody knows (:mod:`anabranch.core.plans.contention`).
    One that ``is_open`` has no end of its own: a person adds streams, and says when it is over.
    Nothing starts while what is kept of the project takes more than ``max_disk_bytes``. When the
    run is over, older ones go as ``keep_runs`` says.
    ``include`` are lines like those of a ``.gitignore``: what git ignores and workspaces need.
    ``setup`` and ``teardown`` are what the streams have that say nothing of their own, those that
    are there and those to come.
    """

    name: str
    streams: tuple[StreamPlan, ...]
    points: tuple[PointPlan, ...]
    max_parallel: int
    balancer: str = "longest-first"
    protocols: tuple[str, ...] = ("registration", "heartbeat", "negotiation")
    recovery: str = "retry"
    fallback: str = "sequential"
    soft_grace_seconds: float = 30.0
    recovery_timeout_seconds: float = 600.0
    permanent_failures: tuple[str, ...] = ()
    transient_failures: tuple[str, ...] = ()
    include_uncommitted: bool = False
    include: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    stop_grace_seconds: float = 10.0
    file_access: FileAccess = "exclusive_write"
    keep_going: bool = False
    shared_state: SharedStatePlan = SharedStatePlan()
    resources: dict[str, float] = {}
    on_excess: ExcessResponse = "tell"
    tell_conflicts: bool = False
    has_jobserver: bool = False
    fuses: bool = False
    slowdown: float | None = None
    has_speculation: bool = False
    is_adaptive: bool = False
    heartbeat_interval_seconds: float = 60.0
    heartbeat_timeout_seconds: float = 600.0
    balancer_options: dict[str, Any] = {}
    is_open: bool = False
    max_disk_bytes: int | None = None
    keep_runs: KeepRuns = KeepRuns()
    setup: SideCommand | None = None
    setup_timeout_seconds: float = USUAL_SETUP_SECONDS
    teardown: SideCommand | None = None
