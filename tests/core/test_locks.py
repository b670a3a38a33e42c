"""Locks as a stream meets them: granted, queued, upgraded, expired, fenced, given back."""

from __future__ import annotations

import time

import pytest

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.calls import Caller, Heartbeat, Lock, Unlock, Withdraw
from anabranch.core.deciding.locks.locks import MOST_WAITING, MOST_WAITING_PATTERNS
from anabranch.core.deciding.locks.violations import (
    MOST_VIOLATIONS,
    doubtful,
    outside,
    why_not_merged,
)
from anabranch.core.ids import LockMode, StreamId
from anabranch.core.model.locks import grants_of
from anabranch.core.model.state import PointPhase, RunPhase
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.views.locks import locks_status
from anabranch.testing.plans import plan_of, stream
from tests.core.locking import Run, begun, running, started


@pytest.fixture
def run() -> Run:
    return Run(running(4))


def test_a_free_path_is_granted_with_its_fence_and_lease(run: Run) -> None:
    """The answer is what the contract says, and the fence is the number of the event."""
    answer = run.lock("s0", "src/a.py")
    fence = run.records[-1].seq
    assert answer == calls.Answer("granted", {"fence": fence, "lease_seconds": 10.0})


def test_a_held_path_is_waited_for_in_order(run: Run) -> None:
    """Holder, position and ticket are told; the queue is first come, first served."""
    run.lock("s0", "a")
    second, third = run.lock("s1", "a"), run.lock("s2", "a")
    assert second.outcome == "waiting"
    assert second.facts["holder"] == "s0"
    assert [second.facts["position"], third.facts["position"]] == [1, 2]
    assert second.facts["ticket"] == str(run.records[-2].seq)
    run.now = 3.0
    run.unlock("s0", "a")
    assert run.holds("s1", "a")
    assert not run.holds("s2", "a")
    granted = run.events(ev.LockGranted)[-1]
    assert (granted.request, granted.waited_seconds) == ("request-1", 3.0)


def test_readers_share_and_do_not_pass_a_waiting_writer(run: Run) -> None:
    """A reader that comes after a writer waits behind it; readers in a row are let in together."""
    run.lock("s0", "a", "read")
    assert run.lock("s1", "a", "write").outcome == "waiting"
    assert run.lock("s2", "a", "read").outcome == "waiting"
    assert run.lock("s3", "a", "read").outcome == "waiting"
    run.unlock("s0", "a")
    assert run.holds("s1", "a")
    run.unlock("s1", "a")
    assert run.holds("s2", "a")
    assert run.holds("s3", "a")


def test_a_folder_and_its_files_exclude_each_other(run: Run) -> None:
    """Whoever holds a folder holds what is below it, and globs are compared exactly."""
    run.lock("s0", "src/")
    assert run.lock("s1", "src/a.py").outcome == "waiting"
    assert run.lock("s2", "docs/*.md").outcome == "granted"
    assert run.lock("s3", "docs/a.py").outcome == "granted"


def test_asking_again_gives_the_same_fence_and_one_unlock_is_enough(run: Run) -> None:
    """Holds are not counted: in the same or a weaker mode the grant is the same one."""
    first = run.lock("s0", "a")
    for again in (run.lock("s0", "a"), run.lock("s0", "./a", "read")):
        assert again.facts == {**first.facts, "was_held": True}
    assert run.unlock("s0", "a").outcome == "done"
    assert not run.holds("s0", "a")


def test_a_request_is_carried_out_once(run: Run) -> None:
    """The same request id gets the same answer, and no second event."""
    run.now = 3.0
    first = run.lock("s0", "a", request="r")
    count = len(run.records)
    assert run.lock("s0", "a", request="r") == first
    run.now = 7.0
    assert run.unlock("s0", "a", request="u").outcome == "done"
    assert run.unlock("s0", "a", request="u").outcome == "done"
    assert len(run.records) == count + 1
    assert [e.held_seconds for e in run.events(ev.LockReleased)] == [4.0]


def test_asking_again_with_a_waiting_request_polls_it(run: Run) -> None:
    """Waiting, then granted: the newest event of a request is its answer."""
    run.lock("s0", "a")
    assert run.lock("s1", "a", request="r").outcome == "waiting"
    run.unlock("s0", "a")
    assert run.lock("s1", "a", request="r").outcome == "granted"


def test_the_same_words_join_the_wait(run: Run) -> None:
    """Another request for what the stream waits for keeps its place and its ticket."""
    run.lock("s0", "a")
    first = run.lock("s1", "a")
    run.lock("s2", "a")
    assert run.lock("s1", "a") == first


@pytest.mark.parametrize(
    ("waits_to", "asks_to", "outcome"),
    [
        ("read", "read", "waiting"),
        ("write", "write", "waiting"),
        ("write", "read", "waiting"),
        ("read", "write", "refused"),
    ],
)
def test_who_waits_to_read_is_not_said_to_wait_to_write(
    run: Run, waits_to: LockMode, asks_to: LockMode, outcome: str
) -> None:
    """A place in the queue is good for what it was taken for, or for less."""
    run.lock("s0", "a")
    first = run.lock("s1", "a", waits_to)
    answer = run.lock("s1", "a", asks_to)
    assert answer.outcome == outcome
    if outcome == "waiting":
        assert answer.facts["ticket"] == first.facts["ticket"]
    else:
        assert answer.facts["reason"] == "your stream already waits for a to read it"


def test_who_does_not_want_to_wait_is_refused(run: Run) -> None:
    """A refusal says who holds it, and leaves nothing in the queue."""
    run.lock("s0", "a")
    answer = run.lock("s1", "a", wait=False)
    assert (answer.outcome, answer.facts["holder"]) == ("refused", "s0")
    assert not run.events(ev.LockQueued)


def test_a_sole_reader_is_upgraded_at_once(run: Run) -> None:
    """Even past a writer that waits; the old fence is worth nothing then."""
    old = run.lock("s0", "a", "read").facts["fence"]
    run.lock("s1", "a", "write")
    assert run.lock("s0", "a", "write").outcome == "granted"
    assert run.call(Unlock, "s0", fence=old).outcome == "refused"
    assert run.holds("s0", "a")


def test_an_upgrade_goes_before_those_who_wait(run: Run) -> None:
    """With another reader there it waits for that one only."""
    run.lock("s0", "a", "read")
    run.lock("s1", "a", "read")
    run.lock("s2", "a", "write")
    assert run.lock("s0", "a", "write").facts["position"] == 1
    run.unlock("s1", "a")
    grants = locks_status(run.state)["locks"][0]["holders"]
    assert [(g["stream"], g["mode"]) for g in grants] == [("s0", "write")]


def test_two_upgraders_are_a_deadlock(run: Run) -> None:
    """Each waits for the other's read lock, so one is refused at once, with the ring."""
    run.lock("s0", "a", "read")
    run.lock("s1", "a", "read")
    assert run.lock("s0", "a", "write").outcome == "waiting"
    answer = run.lock("s1", "a", "write")
    assert answer.outcome == "refused"
    assert {e["stream"] for e in answer.facts["cycle"]} == {"s0", "s1"}
    run.unlock("s1", "a")
    assert locks_status(run.state)["locks"][0]["holders"][0]["mode"] == "write"


def test_giving_up_the_read_lock_gives_up_its_upgrade(run: Run) -> None:
    """Nobody jumps the queue with a lock that he does not hold any more."""
    run.lock("s0", "a", "read")
    run.lock("s1", "a", "read")
    run.lock("s2", "a", "write")
    run.lock("s0", "a", "write")
    run.unlock("s0", "a")
    run.unlock("s1", "a")
    assert run.holds("s2", "a")


def test_leaving_the_queue_lets_the_next_one_in(run: Run) -> None:
    """Who gives up waiting is refused, and those behind are looked at again."""
    run.now = 1.0
    run.lock("s0", "a", "read")
    run.lock("s1", "a", "write", request="w")
    run.lock("s2", "a", "read")
    (queued,) = (e for e in run.events(ev.LockQueued) if e.stream == "s1")
    ticket = next(r.seq for r in run.records if r.event == queued)
    run.now = 4.0
    assert run.call(Withdraw, "s1", ticket=ticket).outcome == "done"
    assert run.holds("s2", "a")
    assert run.lock("s1", "a", "write", request="w").outcome == "refused"
    (gone,) = run.events(ev.LockWithdrawn)
    assert (gone.waited_seconds, gone.reason) == (3.0, "the wait was given up")


def test_a_wait_that_is_over_is_told_of_who_waited(run: Run) -> None:
    """Whoever stands before it in the queue still waits."""
    run.lock("s0", "a")
    run.lock("s1", "a")
    ticket = int(run.lock("s2", "a").facts["ticket"])
    run.now = 4.0
    run.call(Withdraw, "s2", ticket=ticket)
    found = locks_status(run.state, run.now)["contentions"]
    assert [(c["stream"], c["outcome"]) for c in found] == [("s1", "waiting"), ("s2", "withdrawn")]


def test_a_wait_that_nobody_comes_back_for_says_so(run: Run) -> None:
    """It was not given up by its stream: its client went away."""
    run.lock("s0", "a")
    run.lock("s1", "a")
    (ticket,) = (r.seq for r in run.records if isinstance(r.event, ev.LockQueued))
    assert run.call(Withdraw, "s1", ticket=ticket, is_abandoned=True).outcome == "done"
    assert [e.reason for e in run.events(ev.LockWithdrawn)] == ["nobody came back for it"]


def test_the_end_of_an_attempt_gives_everything_back(run: Run) -> None:
    """Locks and waits of a process that is gone are gone in the same decision."""
    run.lock("s0", "a")
    run.lock("s1", "a")
    run.lock("s1", "b")
    run.lock("s2", "b")
    run.lose("s1")
    assert run.holds("s2", "b")
    run.lose("s0")
    assert [e["path"] for e in locks_status(run.state)["locks"]] == ["b"]


def test_a_stale_attempt_changes_nothing(run: Run) -> None:
    """An attempt that is over, or was never there, is refused and fenced off."""
    fence = run.lock("s0", "a").facts["fence"]
    for attempt in (7, 0):
        caller = Caller(run.caller("s0").stream, attempt)
        answer = run.call(Unlock, "s0", fence=fence, caller=caller)
        text = (
            f"stale attempt: attempt {attempt} of s0 is over (attempt 1 of s0 is the current one)"
        )
        assert answer.facts["reason"] == text
    before = run.caller("s0")
    run.lose("s0")
    answer = run.lock("s0", "b", caller=before)
    assert answer.outcome == "refused"
    assert answer.facts["reason"] == "stale attempt: attempt 1 of s0 is over (s0 is capturing)"
    assert not run.holds("s0", "b")


def test_the_fence_of_another_is_stale(run: Run) -> None:
    """A fence only opens the lock of the stream that it was given to."""
    fence = run.lock("s0", "a").facts["fence"]
    assert run.call(Unlock, "s1", fence=fence).facts["reason"].startswith("stale fence")
    assert run.holds("s0", "a")


def test_the_operator_takes_a_lock_away(run: Run) -> None:
    """Its fence is stale then, and its holder is told when it asks again."""
    fence = run.lock("s0", "a", request="r").facts["fence"]
    assert run.call(Unlock, "", fence=fence).outcome == "done"
    assert run.call(Unlock, "s0", fence=fence).outcome == "refused"
    assert run.lock("s0", "a", request="r").outcome == "refused"


def test_a_silent_holder_loses_its_lock_after_two_looks(run: Run) -> None:
    """The lease runs out, is doubted for a second, and ends; the next in the queue gets it."""
    run.now = 2.0
    run.lock("s0", "a", request="r")
    run.lock("s1", "a")
    due = min(e.at for e in run.effects if isinstance(e, fx.WakeAt))
    run.wake(due)
    assert run.events(ev.LeaseDoubted)
    assert run.holds("s0", "a")
    run.now = max(e.at for e in run.effects if isinstance(e, fx.WakeAt))
    run.wake(run.now)
    assert [e.held_seconds for e in run.events(ev.LockExpired)] == [run.now - 2.0]
    assert run.holds("s1", "a")
    assert run.lock("s0", "a", request="r").outcome == "refused"


def test_what_arrived_during_a_stall_renews_the_lease(run: Run) -> None:
    """However late the engine looks, a heartbeat that it had not read yet counts."""
    run.lock("s0", "a")
    run.wake(50.0)
    run.call(Heartbeat, "s0")
    run.wake(52.0)
    assert run.holds("s0", "a")
    run.wake(80.0)
    run.wake(95.0)
    assert run.holds("s0", "a"), "the second look was late itself"
    run.wake(96.0)
    assert not run.holds("s0", "a")


def test_who_is_heard_of_twice_a_lease_keeps_it(run: Run) -> None:
    """A call well before the lease runs out is enough; none has to hit its last second."""
    run.lock("s0", "a")
    for number in range(1, 40):
        run.wake(number - 0.5)
        run.wake(float(number))
        if number % 4 == 0:
            run.call(Heartbeat, "s0")
    assert run.holds("s0", "a")
    assert not run.events(ev.LeaseDoubted)


def test_any_call_renews_and_few_renewals_are_written(run: Run) -> None:
    """A hundred heartbeats a lease do not make a hundred events."""
    run.lock("s0", "a")
    for tenth in range(1, 400):
        run.now = tenth / 10
        run.call(Heartbeat, "s0")
        run.wake(run.now)
    assert run.holds("s0", "a")
    assert len(run.events(ev.LeaseRenewed)) < 20


def test_another_engine_renews_all_leases(run: Run) -> None:
    """While no engine was there nobody could be heard, and that is no stream's fault."""
    run.lock("s0", "a")
    run.now = 1000.0
    run.give(inputs.ResumeRun(reason="resumed", adopted=4))
    run.wake(1001.0)
    run.wake(1003.0)
    assert run.holds("s0", "a")


def test_the_view_has_the_shape_of_the_contract(run: Run) -> None:
    """Locks with holders and queue, contentions, cycles and violations."""
    run.lock("s0", "a")
    run.now = 1.0
    run.lock("s1", "a", "read")
    view = locks_status(run.state, now=4.0)
    (lock,) = view["locks"]
    assert (lock["path"], lock["mode"]) == ("a", "write")
    assert {"stream", "attempt", "fence", "since"} <= set(lock["holders"][0])
    assert {"stream", "since", "position"} <= set(lock["waiting"][0])
    assert view["contentions"][0]["waited_seconds"] == 3.0
    run.unlock("s0", "a")
    assert [c["outcome"] for c in locks_status(run.state, 30.0)["contentions"]] == ["granted"]
    assert locks_status(run.state, 90.0)["contentions"] == []
    assert view["cycles"] == []
    assert view["violations"] == []


# --- writes against the locks --------------------------------------------------------------------


def test_a_write_on_a_held_path_keeps_the_result_from_the_merge() -> None:
    """It is recorded once, refused at the point, and merged once the operator allows it."""
    members = (stream("s0"), stream("s1", writes=("src/",)))
    run = Run(started(plan_of(*members), ["s0", "s1"]))
    run.lock("s0", "src/a.py")
    for _ in range(2):
        run.give(_written(run, "s1", "src/a.py", "src/b.py", "docs/c.md"))
    found = [(v["path"], v["holder"]) for v in locks_status(run.state)["violations"]]
    assert found == [("docs/c.md", None), ("src/a.py", "s0")]
    for name in ("s0", "s1"):
        _succeed(run, name)
    point = run.state.points[run.state.plan.points[-1].id]
    assert point.phase is PointPhase.BLOCKED
    assert "s1 wrote src/a.py, which s0 holds" in point.reason
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    run.give(inputs.AllowViolation(stream=run.caller("s1").stream, path="src/a.py"))
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    run.give(inputs.AllowViolation(stream=run.caller("s1").stream))
    assert run.state.points[point.id].phase is PointPhase.MERGING
    assert all(v["allowed"] for v in locks_status(run.state)["violations"])


def _written(run: Run, name: str, *paths: str) -> inputs.PathsWritten:
    caller = run.caller(name)
    return inputs.PathsWritten(stream=caller.stream, attempt=caller.attempt, paths=paths)


def _succeed(run: Run, name: str) -> None:
    who = run.caller(name)
    run.give(
        inputs.ProcessExited(
            stream=who.stream,
            attempt=who.attempt,
            exit_code=0,
            signal=None,
            error=None,
            happened_at=run.now,
        )
    )
    run.give(
        inputs.ResultReady(
            stream=who.stream, attempt=who.attempt, commit="c", tree="t", files_changed=1, ref="r"
        )
    )


@pytest.mark.parametrize(
    ("strays", "expected"), [(1, "x0"), (2, "x0; x1"), (3, "x0; x1; 1 more"), (5, "x0; x1; 3 more")]
)
def test_of_many_violations_the_first_are_named_and_the_rest_is_counted(
    strays: int, expected: str
) -> None:
    run = Run(started(plan_of(stream("s0", writes=("src/",))), ["s0"]))
    run.give(_written(run, "s0", *(f"x{n}" for n in range(strays))))
    reason = why_not_merged(run.state, [StreamId("s0")]) or ""
    for words in ("s0 wrote ", ", outside the paths that its plan lets it write"):
        reason = reason.replace(words, "")
    assert reason == f"not merged before you allow it: {expected}"
    assert why_not_merged(run.state, []) is None


def test_what_may_be_a_violation_is_found_among_many_paths() -> None:
    """Outside of what its plan says it writes, or held by another; and no more than a hundred."""
    members = (stream("s0"), stream("s1", writes=("src/",)), stream("s2"))
    run = Run(started(plan_of(*members), ["s0", "s1", "s2"]))
    run.lock("s0", "src/a.py")
    paths = ("src/a.py", "src/b.py", "docs/c.md")
    found = {name: doubtful(run.state, StreamId(name), paths) for name in ("s0", "s1", "s2")}
    assert found == {"s0": (), "s1": ("src/a.py", "docs/c.md"), "s2": ("src/a.py",)}
    assert outside(paths, ("src/",)) == ("docs/c.md",)
    many = [f"docs/{n}" for n in range(MOST_VIOLATIONS + 1)]
    assert list(outside(many, ("src/",))) == many[:MOST_VIOLATIONS]


def test_shared_files_are_held_against_nobody() -> None:
    """With ``file_access = "shared"`` neither locks nor `writes` keep anything from the merge."""
    members = (stream("s0"), stream("s1", writes=("src/",)))
    run = Run(started(plan_of(*members, file_access="shared"), ["s0", "s1"]))
    run.lock("s0", "src/a.py")
    run.give(_written(run, "s1", "src/a.py", "docs/c.md"))
    assert locks_status(run.state)["violations"] == []
    for name in ("s0", "s1"):
        _succeed(run, name)
    assert run.state.points[run.state.plan.points[-1].id].phase is PointPhase.MERGING


def test_another_attempt_begins_with_a_clean_slate() -> None:
    """A violation is of the attempt that wrote; its workspace is not the next one's."""
    plan = plan_of(stream("s0", max_retries=1, writes=("src/",)))
    run = Run(started(plan, ["s0"]))
    run.give(_written(run, "s0", "x"))
    run.lose("s0")
    who = run.caller("s0")
    run.give(
        inputs.ResultReady(
            stream=who.stream, attempt=1, commit="", tree="", files_changed=0, ref=""
        )
    )
    run.wake(100.0)
    run.state = begun(run.state, "s0", run.now)
    assert run.caller("s0").attempt == 2
    run.give(_written(run, "s0", "y"))
    found = [(v["attempt"], v["path"]) for v in locks_status(run.state)["violations"]]
    assert found == [(2, "y")]
    run.give(inputs.AllowViolation(stream=run.caller("s0").stream, path="y"))
    _succeed(run, "s0")
    assert run.state.points[run.state.plan.points[-1].id].phase is PointPhase.MERGING


# --- speed ---------------------------------------------------------------------------------------


def test_locks_are_quick_beside_a_thousand_others() -> None:
    """An uncontended lock and unlock costs about the same beside 1000 held literal locks."""
    alone, beside = Run(running(20, 600.0)), Run(running(20, 600.0))
    for number in range(1000):
        beside.lock(f"s{number % 20}", f"src/file-{number}.py")
    pairs = [(_seconds_per_pair(beside, n), _seconds_per_pair(alone, n)) for n in range(5)]
    assert min(one / other for one, other in pairs) < 3


def _seconds_per_pair(run: Run, attempt: int) -> float:
    began = time.process_time()
    for number in range(100):
        run.lock("s0", f"free/{attempt}/{number}")
        run.unlock("s0", f"free/{attempt}/{number}")
    return (time.process_time() - began) / 100


@pytest.mark.timeout(30)
def test_a_long_queue_is_quick() -> None:
    """A thousand waits for one path: each is queued, and served, without a look at all others."""
    run = Run(running(30, 600.0))
    for number in range(30):
        run.lock(f"s{number}", "hot")
        for other in range(33):
            run.lock(f"s{number}", f"own-{number}-{other}")
    for number in range(30):
        run.unlock(f"s{number}", "hot")
    assert len(run.events(ev.LockGranted)) == 30 * (1 + 33)


def test_unknown_locks_are_refused_in_words(run: Run) -> None:
    """Every refusal has a reason and a next step."""
    refusals = [
        run.lock("s0", "../x"),
        run.lock("s0", "/etc/passwd"),
        run.unlock("s0", "never"),
        run.call(Lock, "s0", path="\\", mode="read"),
    ]
    for answer in refusals:
        assert answer.outcome == "refused"
        assert answer.facts["reason"]
        assert answer.facts["hint"]


def test_hundreds_of_waits_for_one_holder_are_served_when_it_goes(run: Run) -> None:
    """However many locks a stream waits for: they are granted one after the other, in order."""
    names = [f"f{n}" for n in range(MOST_WAITING)]
    for name in names:
        run.lock("s0", name)
    for name in names:
        assert run.lock("s1", name).outcome == "waiting"
    run.lose("s0")
    assert all(run.holds("s1", name) for name in names)


def test_a_stream_waits_for_no_more_than_so_many_locks(run: Run) -> None:
    """Tickets and folders that are waited for are bounded, and the refusal says what to do."""
    for n in range(MOST_WAITING + 1):
        run.lock("s0", f"f{n}")
    for n in range(MOST_WAITING):
        run.lock("s1", f"f{n}")
    found = run.lock("s1", f"f{MOST_WAITING}")
    assert found.outcome == "refused"
    assert f"waits for {MOST_WAITING} locks already" in found.facts["reason"]
    for n in range(MOST_WAITING_PATTERNS):
        assert run.lock("s2", f"f*{n}").outcome == "waiting"
    found = run.lock("s2", "f*")
    assert found.outcome == "refused"
    assert "folders and globs already" in found.facts["reason"]


def test_what_a_grant_lets_pass_is_granted_with_it() -> None:
    """Who waits for a stream does not keep it waiting: also when it came to wait by an upgrade."""
    run = Run(running(3))
    run.lock("s1", "c")
    run.lock("s2", "d/", "read")
    assert run.lock("s0", "*", "read").outcome == "waiting"
    assert run.lock("s2", "a").outcome == "waiting"  # behind the wish for all files
    assert run.lock("s2", "d/").outcome == "granted"
    assert {g.path for g in grants_of(run.state.locks, StreamId("s2"))} == {"a", "d/"}
    assert list(broken_promises(run.state)) == []


def test_an_operator_who_asks_again_takes_no_lock_from_the_next_one() -> None:
    """The answer was lost: what it took away is another stream's by now."""
    run = Run(running(2))
    run.lock("s0", "f")
    run.lock("s1", "f")
    first = run.call(Unlock, "", path="f", request="u")
    assert run.holds("s1", "f")
    assert run.call(Unlock, "", path="f", request="u") == first
    assert run.holds("s1", "f")
