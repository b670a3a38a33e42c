"""A stream's life is a table, and nothing but the table."""

from __future__ import annotations

import itertools

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import FINAL_POINT, Attempt, PointId, Seq, StreamId
from anabranch.core.model.lifecycle import (
    ACTIVE,
    ENDED,
    TRANSITIONS,
    Phase,
    diagram,
    next_phase,
    public_state,
)
from anabranch.testing import stream
from anabranch.testing.memory_store import replay
from tests.core.given import given

STREAM_EVENTS = ev.event_types(ev.StreamEvent)
CONTRACT_STATES = {
    *("waiting", "queued", "starting", "setting_up", "running", "stalled", "recovering"),
    *("succeeded", "failed", "skipped", "quarantined", "stopped"),
}
A = StreamId("a")
ONE_OF_EACH: dict[type[ev.StreamEvent], ev.StreamEvent] = {
    ev.StreamRegistered: ev.StreamRegistered(A),
    ev.StreamQueued: ev.StreamQueued(A, attempt=1, rank=(0.0,), not_before=0.0),
    ev.StreamTimed: ev.StreamTimed(A, at="02:30", zone="", after_wall=0.0, is_awaited=True),
    ev.WindowFound: ev.WindowFound(A, due_at=9.0, due_wall=9000.0, shown="02:30"),
    ev.WindowMissed: ev.WindowMissed(
        A,
        due_wall=9.0,
        seen_wall=99.0,
        shown="02:30",
        late_seconds=90.0,
        catch_up="once",
        reason="it slept",
    ),
    ev.StreamAdmitted: ev.StreamAdmitted(A, attempt=1),
    ev.SyncOffered: ev.SyncOffered(A, attempt=1, point=PointId("p"), number=1),
    ev.StreamSynced: ev.StreamSynced(
        A,
        attempt=1,
        point=PointId("p"),
        number=1,
        files=2,
        removed=0,
        left_alone=(),
        given_tree="t",
        known_tree="t",
    ),
    ev.SyncDelayed: ev.SyncDelayed(A, attempt=1, point=PointId("p"), number=1, reason="busy"),
    ev.SyncDeclined: ev.SyncDeclined(A, attempt=1, point=PointId("p"), number=1, reason="busy"),
    ev.SyncedLinesReverted: ev.SyncedLinesReverted(A, attempt=1, point=PointId("p"), paths=("f",)),
    ev.StreamAsked: ev.StreamAsked(A, attempt=1, way="signal 10", outcome="asked"),
    ev.WorkspacePrepared: ev.WorkspacePrepared(
        A, attempt=1, path="/w", start_commit="c", start_tree="t"
    ),
    ev.SetupStarted: ev.SetupStarted(A, attempt=1, pid=2, holder_pid=3, log="log", happened_at=1.0),
    ev.SetupFinished: ev.SetupFinished(
        A, attempt=1, exit_code=0, signal=None, seconds=1.0, failure="", happened_at=2.0
    ),
    ev.TeardownRequested: ev.TeardownRequested(A, attempt=1),
    ev.TeardownFinished: ev.TeardownFinished(A, attempt=1, exit_code=0, seconds=1.0, failure=""),
    ev.StreamStarted: ev.StreamStarted(
        A, attempt=1, pid=2, holder_pid=3, log="log", happened_at=1.0
    ),
    ev.StreamDelayed: ev.StreamDelayed(A, attempt=1, reason="full"),
    ev.OutputCut: ev.OutputCut(A, attempt=1, left_out_bytes=1000),
    ev.StreamHeld: ev.StreamHeld(A, attempt=1, reason="the disk is nearly full"),
    ev.StreamLetGo: ev.StreamLetGo(A, attempt=1),
    ev.StreamStopRequested: ev.StreamStopRequested(A, attempt=1, reason="why", then="stopped"),
    ev.StreamExited: ev.StreamExited(
        A, attempt=1, exit_code=0, signal=None, error=None, happened_at=1.0
    ),
    ev.StreamOverran: ev.StreamOverran(
        A, attempt=1, resource="memory_mb", used=300.0, limit=200.0, rule="too much"
    ),
    ev.StreamLost: ev.StreamLost(A, attempt=1, reason="gone"),
    ev.AttemptFailed: ev.AttemptFailed(A, attempt=1, reason="no"),
    ev.ResultCaptured: ev.ResultCaptured(
        A, attempt=1, commit="c", tree="t", files_changed=1, ref="ref"
    ),
    ev.PartialCaptured: ev.PartialCaptured(A, attempt=1, commit="c", ref="ref", files_changed=1),
    ev.StreamCopied: ev.StreamCopied(
        A,
        attempt=2,
        of=1,
        elapsed_seconds=9.0,
        long_seconds=8.0,
        idle_slots=1,
        slot=2,
        incarnation=1,
        amounts={},
    ),
    ev.CommitGranted: ev.CommitGranted(A, attempt=2, over=1, reason="first"),
    ev.CopyTookOver: ev.CopyTookOver(A, attempt=2, of=1, reason="exit 1"),
    ev.AttemptFenced: ev.AttemptFenced(A, attempt=2, reason="late"),
    ev.CopyEnded: ev.CopyEnded(A, attempt=2, reason="late"),
    ev.RetryScheduled: ev.RetryScheduled(A, attempt=1, retry_at=2.0, reason="again"),
    ev.StreamSucceeded: ev.StreamSucceeded(A, attempt=1, reason="exit 0"),
    ev.StreamFailed: ev.StreamFailed(A, attempt=1, reason="exit 1"),
    ev.StreamSkipped: ev.StreamSkipped(A, reason="no need"),
    ev.StreamStopped: ev.StreamStopped(A, reason="by you"),
    ev.StreamQuarantined: ev.StreamQuarantined(A, reason="left out"),
    ev.StreamPassedOver: ev.StreamPassedOver(A, point=PointId("p"), reason="not adopted"),
    ev.StreamBlocked: ev.StreamBlocked(A, reason="conflict"),
    ev.StreamRequeued: ev.StreamRequeued(A, reason="again"),
    ev.RecaptureRequested: ev.RecaptureRequested(A, reason="solved"),
    ev.WorkspaceReclaimed: ev.WorkspaceReclaimed(A, attempt=1),
    ev.ConflictHandedBack: ev.ConflictHandedBack(
        A,
        attempt=1,
        point=FINAL_POINT,
        conflict=ev.Conflict(streams=(A,), paths=()),
        builds_on=(),
        reason="no",
    ),
    ev.ReviewTaken: ev.ReviewTaken(A, attempt=1, commit="c"),
    ev.WorkHandedBack: ev.WorkHandedBack(
        A, attempt=1, commit="c", tree="t", start_commit="b", start_tree="s", note="again"
    ),
    ev.NoteAdded: ev.NoteAdded(A, note=ev.ReviewNote(path="f.txt", text="why")),
    ev.NoteRemoved: ev.NoteRemoved(A, note=1),
    ev.PromptFound: ev.PromptFound(A, attempt=1, text="sure?", since=1.0),
    ev.PromptGone: ev.PromptGone(A, attempt=1),
    ev.InputRequested: ev.InputRequested(A, attempt=1, request="r", text="yes"),
    ev.InputSent: ev.InputSent(A, attempt=1, input=1, verdict="delivered", evidence="read"),
    ev.StreamLookedAt: ev.StreamLookedAt(A, attempt=1),
    ev.StreamStalled: ev.StreamStalled(A, attempt=1, verdict="stalled", evidence="silence"),
    ev.RecoveryStarted: ev.RecoveryStarted(
        A,
        attempt=1,
        remedy="soft",
        diagnosis="silent",
        evidence="e",
        reason="r",
        by="guardian",
        deadline=1.0,
    ),
    ev.RecoveryFinished: ev.RecoveryFinished(
        A, attempt=1, remedy="soft", outcome="recovered", reason="r", seconds=1.0
    ),
    ev.GuardianAlerted: ev.GuardianAlerted(A, attempt=1, diagnosis="silent", reason="r", hint="h"),
    ev.StreamProgressed: ev.StreamProgressed(A, attempt=1, evidence="output"),
    ev.HandlerRecoveryRequested: ev.HandlerRecoveryRequested(
        stream=A, attempt=Attempt(1), handler=3, reason="r"
    ),
    ev.HandlersAskedLate: ev.HandlersAskedLate(A, attempt=Attempt(1), requests=(Seq(2),)),
    ev.ServiceReady: ev.ServiceReady(A, attempt=1, evidence="e"),
    ev.ServiceUnhealthy: ev.ServiceUnhealthy(A, attempt=1, evidence="e", since=1.0),
    ev.ServiceLetGo: ev.ServiceLetGo(A, attempt=1, reason="r"),
    ev.HandlerRecoveryPassedOn: ev.HandlerRecoveryPassedOn(
        stream=A, attempt=Attempt(1), handler=3, request=Seq(2)
    ),
}


def test_there_is_one_event_of_each_kind_to_try() -> None:
    """The pairs below leave no event out."""
    assert set(ONE_OF_EACH) == set(STREAM_EVENTS)


@pytest.mark.parametrize("phase", Phase)
def test_an_event_moves_a_stream_as_the_table_says_and_not_otherwise(phase: Phase) -> None:
    """Every pair of phase and event: the table's answer, or the same phase."""
    for kind, event in ONE_OF_EACH.items():
        assert next_phase(phase, event) is TRANSITIONS.get((phase, kind), phase)


def test_folding_is_total() -> None:
    """Any event fits any state that any two events led to; nothing raises."""
    start = given(stream("a")).records
    state = replay(start)
    assert state is not None
    for kinds in itertools.product(ONE_OF_EACH, repeat=2):
        after = state
        for kind in kinds:
            after = evolve(after, ev.Recorded(after.seq + 1, 1.0, 1, ONE_OF_EACH[kind]))
        assert after.seq == state.seq + 2
        copies = [copy.run for copy in after.copies.values()]
        attempts = (*after.streams.values(), *copies)
        assert after.counts.active == sum(attempt.is_active for attempt in attempts)


def test_every_phase_is_reached() -> None:
    """No phase stands in the table for nothing."""
    reached = {Phase.WAITING}
    while True:
        further = reached | {
            after for (before, _), after in TRANSITIONS.items() if before in reached
        }
        if further == reached:
            break
        reached = further
    assert reached == set(Phase)


@pytest.mark.parametrize("phase", [p for p in Phase if p not in ENDED])
def test_every_phase_can_come_to_an_end(phase: Phase) -> None:
    """From wherever a stream is, some row of events ends it."""
    open_ends, seen = [phase], {phase}
    while open_ends:
        here = open_ends.pop()
        for (before, _), after in TRANSITIONS.items():
            if before is here and after not in seen:
                seen.add(after)
                open_ends.append(after)
    assert seen & ENDED


def test_only_asking_again_leads_out_of_an_end() -> None:
    """What has ended goes on only when somebody wants it, or when it is left out of a merge."""
    ways_out = {event for before, event in TRANSITIONS if before in ENDED}
    left_out = {ev.StreamQuarantined, ev.StreamPassedOver}
    assert ways_out == {ev.StreamRequeued, ev.RecaptureRequested, *left_out}


def test_active_and_ended_phases_do_not_overlap() -> None:
    assert not ACTIVE & ENDED


def test_the_diagram_is_the_table() -> None:
    """The documentation draws each transition, each once, and no other."""
    drawn = set()
    for line in diagram().splitlines():
        arrow, _, names = line.strip().partition(": ")
        before, _, after = arrow.partition(" --> ")
        if before and after and "[*]" not in arrow:
            drawn |= {(before, name, after) for name in names.split(", ")}
    table = {
        (before.value, ev.wire_name(event.__name__), after.value)
        for (before, event), after in TRANSITIONS.items()
    }
    assert drawn == table


def test_people_see_only_the_states_that_scripts_rely_on() -> None:
    """Each phase has a public state of the contract."""
    assert {public_state(phase) for phase in Phase} <= CONTRACT_STATES


def test_that_output_was_cut_is_told_once_an_attempt() -> None:
    """Whoever takes a run over finds the log as cut as it was, which is no news."""
    run = given(stream("a"))
    run.base()
    run.run("a")
    flood = inputs.OutputLeftOut(stream=A, attempt=1, left_out_bytes=9)
    assert run.give(flood) == ["output_cut a"]
    run.resume()
    assert run.give(flood) == []
    run.exited("a", 1)
    run.kept("a")
    run.retry("a")
    run.run("a")
    assert run.give(inputs.OutputLeftOut(stream=A, attempt=2, left_out_bytes=9)) == ["output_cut a"]
