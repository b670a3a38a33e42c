"""What a simulation checks after every step: the engine's promises, seen from outside.

The witness keeps a state of its own, folded from the events alone, and watches the row of events
and the world for what no single state can show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.alone import waits_for_calm
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.windows import MOVED_SECONDS
from anabranch.core.ids import FINAL_POINT, Attempt, Seq, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.sharing import chain_faults
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import PointPhase, State
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.promises.services import begun_unready
from anabranch.core.views.order import OrderCheck
from anabranch.testing.git import FakeGit
from anabranch.testing.memory_store import replay
from anabranch.testing.queue_watch import QueueWatch
from anabranch.testing.world import SimulatedWorld

BEGINNINGS = (ev.StreamQueued, ev.StreamAdmitted, ev.RetryScheduled)
FROM_OUTSIDE = (
    ev.RunStarted,
    ev.RunResumed,
    ev.RunReopened,
    ev.RunStopRequested,
    ev.RunClosed,
    ev.StreamAdded,
    ev.StreamReworded,
    ev.StrategyChosen,
    ev.ParallelismChanged,
    ev.ApprovalRequested,
    ev.StreamRequeued,
    ev.StreamStopRequested,
    ev.StreamStopped,
    ev.RecoveryStarted,
    ev.RecoveryFinished,
    ev.LockGranted,
    ev.LockQueued,
    ev.LockReleased,
    ev.LockWithdrawn,
    ev.ViolationAllowed,
    ev.ConflictResolved,
    ev.ConflictReopened,
    ev.ConflictHandedBack,
    ev.StreamAdopted,
    ev.ReviewTaken,
    ev.WorkHandedBack,
    ev.NoteAdded,
    ev.NoteRemoved,
    ev.ConflictTold,
    ev.StateChanged,
    ev.MessageSent,
    ev.MessageDelivered,
    ev.MessageAcknowledged,
    ev.MessageRequeued,
)
"""Events that an input without a cause, a command, may lead to directly."""


class PromiseBroken(AssertionError):
    """A simulation found something that must never be."""


class Witness:
    """Watches one simulated run."""

    def __init__(self) -> None:
        self.state: State | None = None
        self._records: dict[Seq, ev.Recorded] = {}
        self._stopped: set[StreamId] = set()
        self._let_go: set[StreamId] = set()
        self._starts: dict[StreamId, list[float]] = {}
        self._may_commit: dict[StreamId, set[Attempt]] = {}
        self._fenced: set[tuple[StreamId, Attempt]] = set()
        self._queues = QueueWatch()
        self._taken: set[tuple[StreamId, str]] = set()

    def see(self, records: Sequence[ev.Recorded], state: State, git: FakeGit) -> Iterator[str]:
        """Yield what is wrong after a turn that brought ``records`` and led to ``state``."""
        for record in records:
            yield from self._see_record(record)
            yield from not_alone(self.state, record)
            yield from begun_unready(self.state, record.event)
            yield from self._see_reviews(record)
            self.state = replay([record], self.state)
        if self.state != state:
            yield "folding the events gives another state"
        yield from broken_promises(state)
        for record in records:
            if isinstance(record.event, ev.ConvergenceMerged):
                yield from wrong_merge(state, record.event, git)

    def _see_record(self, record: ev.Recorded) -> Iterator[str]:
        if record.seq != len(self._records) + 1:
            yield f"event {record.seq} follows event {len(self._records)}"
        self._records[record.seq] = record
        event = record.event
        yield from self._queues.see(record)
        if record.cause is None and not isinstance(event, FROM_OUTSIDE):
            yield f"event {record.seq}, {event}, has no cause"
        if record.cause is not None and not 0 < record.cause < record.seq:
            yield f"event {record.seq} was caused by event {record.cause}"
        if isinstance(event, ev.StreamEvent):
            yield from self._see_stream(record, event)
            yield from self._see_times(record, event)
            yield from self._see_copies(event)

    def _see_stream(self, record: ev.Recorded, event: ev.StreamEvent) -> Iterator[str]:
        """What a person stopped is started again by a person only."""
        asked = isinstance(event, ev.StreamStopRequested) and event.then == Phase.STOPPED
        if isinstance(event, ev.ServiceLetGo):
            self._let_go.add(event.stream)
        elif asked or (isinstance(event, ev.StreamStopped) and event.stream not in self._let_go):
            self._stopped.add(event.stream)
        elif isinstance(event, ev.StreamRequeued):
            self._let_go.discard(event.stream)
            if event.stream in self._stopped and not self._is_wanted(record):
                yield f"{event.stream} was stopped by a person and requeued by nobody"
            self._stopped.discard(event.stream)
        elif isinstance(event, BEGINNINGS) and event.stream in self._stopped:
            yield f"{event.stream} was stopped by a person, and then: {event}"

    def _see_times(self, record: ev.Recorded, event: ev.StreamEvent) -> Iterator[str]:
        """Nobody is queued before his time of day, nor started more often than his rate says."""
        stream = self.state.streams.get(event.stream) if self.state else None
        if self.state is None or stream is None:
            return
        plan, due = self.state.stream_plan(stream.id), stream.window.due_at
        has_come = due is not None and due <= record.at + MOVED_SECONDS
        waits = plan.at and not stream.window.is_open and not has_come
        if isinstance(event, ev.StreamQueued) and waits:
            yield f"{event.stream} is queued at {record.at}, and due at {due}"
        if isinstance(event, ev.StreamStarted) and plan.rate is not None:
            starts = self._starts.setdefault(event.stream, [])
            starts.append(event.happened_at)
            first = starts[-plan.rate.at_most - 1 : -plan.rate.at_most]
            if first and first[0] + plan.rate.per_seconds > event.happened_at:
                yield f"{event.stream} was started at {starts}, and its rate is {plan.rate.words}"

    def _see_copies(self, event: ev.StreamEvent) -> Iterator[str]:
        """Of two attempts one is granted the right to commit, once; the other brings no result."""
        name = event.stream
        match event:
            case ev.CommitGranted(attempt=attempt, over=over):
                granted = self._may_commit.setdefault(name, set())
                if granted & {attempt, over} or (name, attempt) in self._fenced:
                    yield f"attempt {attempt} of {name} is granted what {sorted(granted)} had"
                granted |= {attempt, over}
                self._fenced.add((name, over))
            case ev.AttemptFenced(attempt=attempt):
                self._fenced.add((name, attempt))
            case ev.ResultCaptured(attempt=attempt) | ev.RetryScheduled(attempt=attempt):
                if (name, attempt) in self._fenced:
                    yield f"attempt {attempt} of {name} is fenced, and then: {event}"

    def _see_reviews(self, record: ev.Recorded) -> Iterator[str]:
        """Nothing is merged that a person was to look at, and that nobody has taken just so."""
        match record.event:
            case ev.ReviewTaken(stream=stream, commit=commit):
                self._taken.add((stream, commit))
            case ev.WorkHandedBack(stream=stream, commit=commit):
                self._taken.discard((stream, commit))
            case ev.ConvergenceMerged(point=point, merged=merged) if self.state is not None:
                for name in {*merged} & {*self.state.topology.reviewed}:
                    result = self.state.streams[name].result
                    changes = result is not None and result.tree != result.start_tree
                    if result and changes and (name, result.commit) not in self._taken:
                        yield f"{point} has merged {name}, and nobody took {result.commit}"

    def _is_wanted(self, record: ev.Recorded) -> bool:
        while record.cause is not None:
            record = self._records[record.cause]
        wishes = ev.RunResumed | ev.RunReopened | ev.StreamRequeued | ev.StreamReworded
        return isinstance(record.event, wishes)


def wrong_merge(state: State, merged: ev.ConvergenceMerged, git: FakeGit) -> Iterator[str]:
    """The merged tree holds the base and what the merged streams changed: all, and no more."""
    assert state.base is not None
    base, found = git.tree(state.base.tree), git.tree(merged.tree)
    editors: dict[str, dict[StreamId, str | None]] = {}
    for stream in merged.merged:
        result = state.streams[stream].result
        if result is None and state.stream_plan(stream).workspace != "shared":
            return  # a command in the same turn has reopened it
        for path, content in git.edits(result).items() if result else ():
            editors.setdefault(path, {})[stream] = content
    for path in sorted({*base, *found, *editors}):
        allowed = _newest(state, editors[path]) if path in editors else {base.get(path)}
        allowed |= {r.blob for r in state.resolutions.values() if r.path == path}
        if found.get(path) not in allowed:
            detail = (
                f"{path} is {found.get(path)!r}, and should be one of {sorted(map(str, allowed))}"
            )
            yield f"{merged.point} merged {merged.merged} to the wrong tree: {detail}"


def _newest(state: State, editors: Mapping[StreamId, str | None]) -> set[str | None]:
    """Return the contents that nobody has changed further; sides that agree make several."""
    changed_further: set[StreamId] = set()
    for stream in editors:
        changed_further |= state.topology.ancestors([stream]) - {stream}
    return {content for s, content in editors.items() if s not in changed_further}


_MAY_BE_CALLED_OFF = (
    fx.WakeAt
    | fx.WriteReport
    | fx.RemoveOldRuns
    | fx.ReturnPorts
    | fx.AwaitReadiness
    | fx.WatchHealth
    | fx.TakeCheckpoint
    | fx.MergeCheckpoint
    | fx.OfferCheckpoint
    | fx.AskStream
    | fx.FindTime
)


def unmatched_effects(state: State, under_way: Iterable[fx.Effect], now: float) -> Iterator[str]:
    """What is owed is under way, and nothing else is; cancelled timers may ring on."""
    wanted, doing = set(owed(state)), set(under_way)
    for effect in wanted - doing:
        if not (isinstance(effect, fx.WakeAt) and effect.at <= now):
            yield f"{effect} is owed, but nobody does it"
    for effect in doing - wanted:
        if not isinstance(effect, _MAY_BE_CALLED_OFF):
            yield f"{effect} is done, but not owed"


def wrong_in_world(world: SimulatedWorld, state: State) -> Iterator[str]:
    """No stream runs twice at once, and no attempt is started twice."""
    running = [process.stream for process in world.processes.running()]
    for stream, times in Counter(running).items():
        if times > 1 + (stream in state.copies):
            yield f"{stream} runs {times} times at once"
    for (stream, number), times in world.terminals.typed.items():
        if times > 1:
            yield f"line {number} was typed {times} times into the terminal of {stream}"
    for key, times in world.starts.items():
        if times > 1:
            yield f"attempt {key} was started {times} times"
    running = [stream for stream in running if stream not in state.topology.services]
    if len(running) > state.widest:
        yield f"{len(running)} processes run, {state.widest} may"


def not_alone(before: State | None, record: ev.Recorded) -> Iterator[str]:
    """Who runs alone begins when nobody is active, or has waited long for it; nobody joins it."""
    event = record.event
    if before is None or not isinstance(event, ev.StreamAdmitted):
        return
    stream, beside = before.streams[event.stream], before.runs_alone
    if beside is not None:
        yield f"{event.stream} was admitted beside {beside}, which runs alone"
    if waits_for_calm(before, stream, record.at):
        yield f"{event.stream} was admitted beside others, and should run alone"


def not_stored(records: Sequence[ev.Recorded], state: State, cut: int) -> Iterator[str]:
    """A replay from the first event, and one from a snapshot, give the same state."""
    if replay(records) != state:
        yield "a replay of all events gives another state"
    early = replay(records[:cut])
    if early is not None and replay(records[cut:], decode_state(encode_state(early))) != state:
        yield f"a snapshot at event {cut} and the events after it give another state"


def not_in_order(records: Sequence[ev.Recorded]) -> Iterator[str]:
    """What the report says of the order of a timeline: nothing, for none is out of it."""
    check = OrderCheck()
    for record in records:
        check.take(record)
    yield from check.found()["faults"]


def unfinished(world: SimulatedWorld, state: State) -> Iterator[str]:
    """Once faults are over and nothing moves any more: all has ended, and nothing is lost."""
    if not state.has_ended:
        waiting = [f"{s.id} is {s.phase}" for s in state.streams.values() if not s.has_ended]
        yield f"the run hangs ({state.phase}): {', '.join(sorted(waiting))}"
    for process in world.processes.running():
        yield f"{process.stream} still runs"
    for stream_id, attempt in world.written:
        yield from _lost_work(world, state, stream_id, attempt)
        is_due = state.stream_plan(stream_id).teardown is not None
        if is_due and not world.torn_down[stream_id, attempt]:
            yield f"attempt {attempt} of {stream_id} was never torn down"
    final = state.points[FINAL_POINT]
    if final.phase is PointPhase.MERGED:
        succeeded = {s.id for s in state.streams.values() if s.phase is Phase.SUCCEEDED}
        succeeded -= set(state.topology.services)  # nothing of theirs is merged
        succeeded -= final.departed.keys()  # of a race that was given up before one was adopted
        if set(final.merged) != succeeded:
            yield f"{sorted(succeeded)} succeeded, {sorted(final.merged)} were merged"


def _lost_work(
    world: SimulatedWorld, state: State, stream: StreamId, attempt: int
) -> Iterator[str]:
    """What a process wrote before its end is in a commit, unless keeping it failed for good."""
    key = (stream, attempt)
    if state.stream_plan(stream).workspace == "shared" or key in world.capture_failures:
        return
    kept = world.captured.get(key)
    if kept is None:
        yield f"the work of {stream}, attempt {attempt}, was never kept"
    elif world.git.tree(kept).get(f"{stream}.txt") != world.written[key]:
        yield f"{kept} does not hold what attempt {attempt} of {stream} wrote"


def unsettled_points(state: State) -> Iterator[str]:
    """In a run that ended by itself, nobody waits at a point any more."""
    for point in state.points.values():
        if not point.is_settled and state.base is not None:
            yield f"the run is {state.phase}, but {point.id} is {point.phase}"


def broken_chain(state: State) -> list[str]:
    """Return where the history of the shared state is not whole, in words."""
    shared = state.shared
    return chain_faults(shared.changes(), shared.anchor, shared.floor, shared.hash)
