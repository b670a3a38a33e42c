"""A run has one console that hosts it; every other one only looks, live."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from anabranch.core.calls import OPERATOR, Broadcast
from anabranch.core.ids import StreamId
from anabranch.core.inputs import RetryStream, StopStream
from anabranch.core.model.state import RunPhase
from anabranch.engine import follower as follower_module
from anabranch.engine.follower import RunFollower
from anabranch.engine.journal import Journal
from anabranch.engine.resuming import resume_run
from anabranch.engine.run_lock import RunLock
from anabranch.errors import MachineShort
from anabranch.plugins import load_plugins
from tests.e2e.program import DEADLINE_SECONDS, Program, Running, until
from tests.engine.repositories import git


def gated(program: Program, then: str) -> str:
    """Return a command that says ``ready`` and waits until the test opens the gate."""
    gate = program.scratch / "gate"
    return f"echo ready; until test -e {gate}; do sleep 0.05; done; {then}"


@pytest.fixture
def host(program: Program) -> Running:
    """Give the host of a run of which one stream waits at the gate and one waits for it."""
    program.plan(
        {
            "first": gated(program, "echo 1 > 1.txt"),
            "second": {"command": "echo 2 > 2.txt", "depends_on": ["first"]},
        }
    )
    host = program.begin("run", "--headless", "--json")
    program.await_log("first", "ready")
    return host


def open_gate(program: Program) -> None:
    """Let the stream that waits at the gate go on."""
    (program.scratch / "gate").touch()


def test_a_second_host_is_refused_with_words(program: Program, host: Running) -> None:
    """``resume`` of a hosted run says who hosts it and what to do instead, and changes nothing."""
    report = program.expect(2, "resume", "--headless")
    run = program.folder().run
    assert f"run {run} is hosted by process {host.pid}" in report.err
    assert f"anabranch console {run}" in report.err
    answer = program.asked(2, "resume", "--json").json()
    assert answer["error"]["code"] == "already_hosted"
    assert answer["error"]["hint"]
    open_gate(program)
    assert host.wait().code == 0
    assert "run_resumed" not in [event["type"] for event in program.events()]


def test_looking_at_a_run_that_is_over_changes_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console that hosts it is opened and left: not one event more. What it then asks is done."""
    program.plan({"s": "echo x > x.txt; exit 1"}, recovery={"max_retries": 0})
    program.expect(1, "run", "--headless")
    before = program.events()
    monkeypatch.setenv("XDG_STATE_HOME", str(program.state_home))
    strategies = load_plugins().strategies
    host = resume_run(program.folder(), strategies, reason="looked at", retry_failed=False)
    try:
        assert host.wait(DEADLINE_SECONDS)
        assert program.events() == before
        assert host.submit(RetryStream(StreamId("s"), "once more")).result() is None
        assert host.wait(DEADLINE_SECONDS)
    finally:
        host.close()
    assert next(e["type"] for e in program.events()[len(before) :]) == "run_reopened"
    assert program.streams()["s"]["attempt"] == 2


def test_of_many_hosts_at_once_one_wins(program: Program, host: Running) -> None:
    """Five ``resume`` at the same moment after the host was killed: one hosts the run."""
    host.kill()
    hosts = [program.begin("resume", "--headless") for _ in range(5)]
    until(lambda: sum(h.has_ended for h in hosts) == 4, "all but one have been refused")
    open_gate(program)
    assert sorted(h.wait().code for h in hosts) == [0, 2, 2, 2, 2]
    started = [e["stream"] for e in program.events() if e["type"] == "stream_started"]
    assert started == ["first", "second"]


def test_a_follower_sees_the_run_live_and_acts_through_its_host(
    program: Program, host: Running
) -> None:
    """It sees what is, then what happens, to the end; what it is told to do the host does."""
    follower = RunFollower(program.folder())
    try:
        assert follower.hosting == "elsewhere"
        assert follower.state.streams[StreamId("first")].pid is not None
        refusal = follower.submit(StopStream(stream=StreamId("nobody"), reason="no")).result()
        assert refusal is not None
        assert "no stream" in refusal.reason
        assert follower.submit(Broadcast(OPERATOR, "hello", body="hi")).result() is None
        cursor, seen = 0, list[int]()
        open_gate(program)
        while not follower.state.has_ended or seen[-1:] != [follower.state.seq]:
            frame = follower.take(cursor)
            cursor = frame.cursor
            seen += [record.seq for record in frame.events]
            assert frame.missed == 0
        assert seen == list(range(1, len(seen) + 1))
        assert follower.state.phase is RunPhase.CONVERGED
    finally:
        follower.close()
    assert host.wait().code == 0


def test_who_follows_looks_at_the_machine_itself_while_somebody_wants_to_see_it(
    program: Program, host: Running
) -> None:
    follower = RunFollower(program.folder())
    try:
        follower.take(0)  # from now on it looks at what runs
        assert follower.pressure() == ()
        until(lambda: len(follower.pressure()) >= 2, "the machine was looked at twice")
        assert follower.pressure()[-1].busy is not None
        assert follower.pressure()[-1].memory_total_mb > 0
    finally:
        follower.close()
    open_gate(program)
    assert host.wait().code == 0


def test_a_journal_that_fails_for_a_moment_ends_nobody_who_follows(
    program: Program, host: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while its host puts it back in its place; one that goes on failing is told."""
    follower = RunFollower(program.folder())
    changes, failures = Journal.changes, [1] * 3

    def failing(journal: Journal) -> int:
        if failures:
            failures.pop()
            raise MachineShort("the disk does not take the journal: disk I/O error")
        return changes(journal)

    try:
        before = follower.state
        monkeypatch.setattr(Journal, "changes", failing)
        assert [follower.state for _ in range(3)] == [before] * 3
        open_gate(program)
        until(lambda: follower.state.has_ended, "it reads on to the end")
        monkeypatch.setattr(follower_module, "JOURNAL_PATIENCE_SECONDS", -1.0)
        failures.append(1)
        with pytest.raises(MachineShort, match="I/O error"):
            assert follower.state
    finally:
        follower.close()
    assert host.wait().code == 0


def test_who_follows_a_host_that_is_suspended_is_told_so(program: Program, host: Running) -> None:
    """It looks like a run in which nothing happens; that nobody decides anything has to be said."""
    follower = RunFollower(program.folder())
    try:
        assert follower.trouble is None
        host.send(signal.SIGSTOP)
        os.utime(program.folder().lock, (1e9, 1e9))  # as if it had been stopped for long
        until(lambda: follower.trouble is not None, "the silence is seen")
        assert "has not answered since" in str(follower.trouble)
        assert follower.hosting == "elsewhere"
        host.send(signal.SIGCONT)
        until(lambda: follower.trouble is None, "its sign is seen")
        host.send(signal.SIGSTOP)
        os.utime(program.folder().lock, (1e9, 1e9))
        until(lambda: follower.trouble is not None, "the silence is seen again")
        host.kill()
        until(lambda: follower.hosting == "nobody", "its end is seen")
        assert follower.trouble is None
    finally:
        open_gate(program)
        follower.close()


def test_the_reading_commands_work_beside_a_running_console(
    program: Program, host: Running
) -> None:
    """Status, streams, runs, events and report tell of the run while it runs."""
    answer = program.status()
    assert answer["state"] == "running"
    assert {s["stream"]: s["state"] for s in answer["streams"]} == {
        "first": "running",
        "second": "waiting",
    }
    assert program.asked(0, "runs", "--json").json()["runs"][0]["state"] == "running"
    assert program.asked(0, "streams", "--json").json()["streams"][0]["pid"]
    assert program.asked(0, "report", "--format", "json").json()["state"] == "running"
    assert "running" in program.asked(0, "status").out
    assert program.events()
    open_gate(program)
    assert host.wait().code == 0


def test_following_events_tells_each_once_and_ends_with_the_run(
    program: Program, host: Running
) -> None:
    """``events --follow`` tells what was and what comes; the host's own stream tells the same."""
    followers = [program.begin("events", "--follow", "--json") for _ in range(3)]
    until(lambda: all(f.out for f in followers), "the followers tell what was")
    open_gate(program)
    hosted = host.wait()
    assert hosted.code == 0
    for follower in followers:
        answer = follower.wait()
        assert answer.code == 0
        assert answer.json_lines() == hosted.json_lines() == program.events()


def test_many_readers_never_keep_a_host_from_starting(program: Program, host: Running) -> None:
    """Readers look at the lock all the time; ``resume`` gets it nevertheless."""
    host.kill()
    enough = threading.Event()

    def look() -> int:
        count = 0
        while not enough.is_set():
            assert program.status()["state"] in ("interrupted", "running", "converged")
            count += 1
        return count

    with ThreadPoolExecutor(2) as readers:
        looks = [readers.submit(look) for _ in range(2)]
        resumed = program.begin("resume", "--headless")
        open_gate(program)
        code = resumed.wait().code
        enough.set()
        assert all(look.result() for look in looks)
    assert code == 0


def test_a_second_run_beside_the_first_is_a_run_of_its_own(program: Program, host: Running) -> None:
    """Two runs of one project at once do not disturb each other, in processes or in git."""
    first = program.folder().run
    program.plan({"other": "echo other > other.txt"})
    answer = program.expect(0, "run", "--headless", "--json")
    second = json.loads(answer.out.splitlines()[0])["run"]
    assert first != second
    open_gate(program)
    assert host.wait().code == 0
    names = git(program.project, "branch", "--list", "anabranch/*", "--format=%(refname:short)")
    assert names.split() == sorted([f"anabranch/{first}", f"anabranch/{second}"])
    files = git(program.project, "ls-tree", "--name-only", f"anabranch/{first}").split()
    assert "1.txt" in files
    assert "other.txt" not in files


def test_a_stop_that_a_leaving_host_does_not_hear_is_done_all_the_same(
    program: Program, host: Running
) -> None:
    """The host goes between being asked and hearing: who asked takes over, and is not kept."""
    host.kill()
    lock = RunLock.acquire(program.folder().lock)
    assert lock is not None
    stop = program.begin("stop")
    requests = program.folder().requests
    until(lambda: list(requests.glob("*.request")), "the host is asked")
    lock.release()
    answer = stop.wait()
    assert answer.code == 0, answer
    assert program.status()["state"] == "stopped"
    assert list(requests.glob("*.request")) == []
