"""Parts of the machinery die, stop or are restarted: the run goes on, and every status is exact."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from anabranch.engine.performers.process_records import StartRecord, read_attempt
from tests.e2e.program import Program, Running, until

STOPPED_SECONDS = 3.0


def noting(program: Program, then: str) -> str:
    """Return a command that leaves a line outside of its workspace, then goes on."""
    return f'echo "$ANABRANCH_ATTEMPT" >> {program.scratch}/$ANABRANCH_STREAM.ran; {then}'


def attempts(program: Program, stream: str) -> list[str]:
    """Return the attempts that really ran, as they noted it themselves."""
    path = program.scratch / f"{stream}.ran"
    return path.read_text().split() if path.exists() else []


def gated(program: Program, then: str = "exit 0") -> str:
    """Return a command that says ``ready`` and waits until the test opens the gate."""
    gate = program.scratch / "gate"
    return noting(program, f"echo ready; until test -e {gate}; do sleep 0.05; done; {then}")


def open_gate(program: Program) -> None:
    """Let every stream that waits at the gate go on."""
    (program.scratch / "gate").touch()


def begin_gated(program: Program, count: int = 4) -> Running:
    """Start a run whose streams all wait at the gate, and wait until all of them do."""
    streams = {f"s{n}": gated(program, f"echo {n} > {n}.txt") for n in range(count)}
    program.plan(streams, max_parallel=count)
    host = program.begin("run", "--headless")
    for name in streams:
        program.await_log(name, "ready")
    return host


def start_of(program: Program, stream: str, attempt: int = 1) -> StartRecord:
    """Return what the holder of an attempt wrote when it began."""
    reading = read_attempt(program.folder().path / "attempts" / f"{stream}.{attempt}")
    assert reading is not None
    assert reading.start is not None
    return reading.start


def test_a_killed_zygote_is_replaced(program: Program) -> None:
    """Streams run on, later streams start, and each runs once."""
    program.plan(
        {
            "first": gated(program, "echo 1 > 1.txt"),
            "second": {"command": noting(program, "echo 2 > 2.txt"), "depends_on": ["first"]},
        }
    )
    host = program.begin("run", "--headless")
    program.await_log("first", "ready")
    (zygote,) = [pid for pid, name in program.processes().items() if name == "ab-zygote"]
    program.kill(zygote)
    until(lambda: zygote not in program.processes(), "the zygote has ended")
    open_gate(program)
    assert host.wait().code == 0
    assert attempts(program, "first") == attempts(program, "second") == ["1"]
    program.await_quiet()


def test_a_stream_whose_holder_was_killed_is_tried_again(program: Program) -> None:
    """It ends with its holder, is retried, and succeeds; the others do not notice."""
    host = begin_gated(program, 3)
    start = start_of(program, "s1")
    program.kill(start.holder_pid)
    program.await_log("s1", "ready", attempt=2)
    assert start.pid not in program.processes()
    open_gate(program)
    answer = host.wait()
    assert answer.code == 0, answer
    assert [attempts(program, f"s{n}") for n in range(3)] == [["1"], ["1", "2"], ["1"]]
    assert "holder was killed" in answer.err
    program.await_quiet()


def test_what_a_killed_holder_left_behind_is_ended_before_the_retry(program: Program) -> None:
    """A grandchild that would write on beside the second attempt is gone before that begins."""
    script = noting(program, 'setsid sh -c "echo $$ > $0; sleep 600" pid & echo ready; ')
    gate = program.scratch / "gate"
    program.plan({"s": f"{script} until test -e {gate}; do sleep 0.05; done; rm -f pid"})
    host = program.begin("run", "--headless")
    program.await_log("s", "ready")
    before = set(program.processes())
    start = start_of(program, "s")
    program.kill(start.holder_pid)
    program.await_log("s", "ready", attempt=2)
    sleepers = [pid for pid in before if program.processes().get(pid) in ("sleep", "sh")]
    assert not sleepers, "processes of the first attempt live beside the second"
    open_gate(program)
    assert host.wait().code == 0
    program.await_quiet()


def test_a_reboot_loses_only_what_ran(program: Program) -> None:
    """After a restart of the machine what had ended stays; what ran is tried again, once."""
    program.plan(
        {
            "done": noting(program, "echo done > done.txt"),
            "ran": {"command": gated(program, "echo ran > ran.txt"), "depends_on": ["done"]},
            "next": {"command": noting(program, "echo next > next.txt"), "depends_on": ["ran"]},
        }
    )
    host = program.begin("run", "--headless")
    program.await_log("ran", "ready")
    host.kill()
    program.end_everything()
    pretend_reboot(program.folder().path)
    open_gate(program)
    answer = program.run("resume", "--headless")
    assert answer.code == 0, answer
    assert attempts(program, "done") == ["1"]
    assert attempts(program, "ran") == ["1", "2"]
    assert attempts(program, "next") == ["1"]
    assert "the machine was restarted" in answer.err
    times = [event["time"] for event in program.events()]
    assert times == sorted(times)


def pretend_reboot(run_folder: Path) -> None:
    """Make everything on disk look as if it had been written before the last boot."""
    another = str(uuid.uuid4())
    journal = apsw.Connection(str(run_folder / "journal.db"))
    journal.execute("UPDATE meta SET value = ? WHERE key = 'boot_id'", (another,))
    journal.close()
    for path in run_folder.glob("attempts/*/start"):
        start = msgspec.json.decode(path.read_bytes(), type=StartRecord)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(start, boot_id=another)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_polite_end_leaves_the_streams_running(program: Program, number: signal.Signals) -> None:
    """Ctrl-C and its like end the console with 130 and say how to go on; nothing else ends."""
    host = begin_gated(program)
    host.send(number)
    answer = host.wait()
    assert answer.code == 130, answer
    run = program.folder().run
    assert f"left: 4 streams run on. Go on with: anabranch resume {run}" in answer.err
    assert program.status()["state"] == "interrupted"
    assert start_of(program, "s0").pid in program.processes()
    open_gate(program)
    assert program.run("resume", run, "--headless").code == 0
    assert all(attempts(program, f"s{n}") == ["1"] for n in range(4))


def test_a_second_interrupt_while_leaving_does_no_harm(program: Program) -> None:
    """Impatient fingers: the streams run on all the same."""
    host = begin_gated(program)
    for _ in range(3):
        host.send(signal.SIGINT)
    assert host.wait().code == 130
    assert "Traceback" not in host.err
    open_gate(program)
    assert program.run("resume", "--headless").code == 0
    assert all(attempts(program, f"s{n}") == ["1"] for n in range(4))


def asked_status(program: Program) -> Any:
    return program.asked(0, "status", "--json").json()


def test_a_host_that_was_suspended_goes_on(program: Program) -> None:
    """Streams end while the host is stopped for three seconds; it finds out all the same."""
    streams = {
        f"s{n}": {"command": gated(program, f"exit {n}"), "success_exit_codes": [n]}
        for n in range(4)
    }
    program.plan(streams, max_parallel=4)
    host = program.begin("run", "--headless")
    for name in streams:
        program.await_log(name, "ready")
    host.send(signal.SIGSTOP)
    stopped = time.monotonic()
    open_gate(program)
    places = [program.folder().path / "attempts" / f"{name}.1" / "exit" for name in streams]
    until(
        lambda: all(p.exists() for p in places) and time.monotonic() > stopped + STOPPED_SECONDS,
        "every stream has ended while the host was stopped",
    )
    seen = asked_status(program)
    assert (seen["state"], seen["host_silent_since"]) == ("running", None)
    os.utime(program.folder().lock, (1e9, 1e9))  # as if it had been stopped for longer
    assert asked_status(program)["host_silent_since"].startswith("2001-09-09T")
    assert "has not answered since 2001-09-09" in program.asked(0, "status").out
    for command in ("streams", "locks", "report", "convergence", "messages", "logs"):
        assert "has not answered since 2001-09-09" in program.asked(0, command).err, command
    ages = [row.split()[4] for row in program.asked(0, "streams").out.splitlines()[1:]]
    assert ages == [row.split()[4] for row in program.asked(0, "streams").out.splitlines()[1:]]
    host.send(signal.SIGCONT)
    assert host.wait().code == 0
    assert [row["exit_code"] for row in program.status()["streams"]] == [0, 1, 2, 3]


def test_a_host_hears_requests_whatever_lies_among_them(program: Program) -> None:
    """One that is nested without end, and one that names an endless number."""
    host = begin_gated(program, 1)
    asked = program.folder().requests
    strange = {
        "deep": '{"verb": "send", "body": ' + "[" * 9_000 + "]" * 9_000 + "}",
        "long": '{"verb": "restore-state", "path": "' + "9" * 5_000 + '"}',
    }
    for name, content in strange.items():
        (asked / f"{name}.new").write_text(content)
        (asked / f"{name}.new").rename(asked / f"{name}.request")
    for name in strange:
        until((asked / f"{name}.answer").exists, f"{name} is answered")
    program.expect(0, "stop")
    assert host.wait().code == 1


def test_a_run_whose_lock_was_cleared_away_is_hosted_once(program: Program) -> None:
    """Who finds a stale lock in a folder deletes it, also where it is not stale."""
    host = begin_gated(program, 1)
    folder = program.folder()
    folder.lock.unlink()
    folder.requests.rmdir()
    until(folder.lock.exists, "it is locked again")
    assert asked_status(program)["state"] == "running"
    assert "is hosted" in program.expect(2, "resume", "--headless").err
    program.expect(0, "stop")
    assert host.wait().code == 1


def test_a_run_that_was_killed_before_its_first_event_is_not_in_the_way(program: Program) -> None:
    """An empty run folder is listed as what it is, and no command takes it for the latest run."""
    program.plan({"s": "echo x > x.txt"})
    assert program.run("run", "--headless").code == 0
    begun, commands = program.status()["run"], ("status", "streams", "events", "report")
    before = {command: program.asked(0, command).out for command in commands}
    torn = program.folder().path.with_name("29990101-000000-abc")
    for part in ("requests", "logs", "workspaces"):
        (torn / part).mkdir(parents=True)
    (torn / "engine.lock").touch()
    (torn / "number").write_text("999\n")
    assert program.asked(0, "runs", "--json").json()["runs"][0]["state"] == "unreadable"
    for journal in (False, True):
        if journal:
            (torn / "journal.db").touch()
        assert {command: program.asked(0, command).out for command in commands} == before
    assert begun in program.expect(0, "resume", "--headless").out
    program.asked(3, "status", "29990101-000000-abc")
    assert program.run("run", "--headless").code == 0


def test_a_damaged_journal_is_named_and_touched_by_nobody(program: Program) -> None:
    """A journal whose bytes were overwritten is refused with words, for reading and for writing."""
    program.plan({"s": "true"})
    assert program.run("run", "--headless").code == 0
    journal = program.folder().journal
    broken = os.urandom(journal.stat().st_size)
    journal.write_bytes(broken)
    for command in ("status", "resume", "events", "report"):
        assert "damaged" in program.asked(3, command).err
    assert journal.read_bytes() == broken
    assert program.asked(0, "runs", "--json").json()["runs"][0]["state"] == "unreadable"


def test_a_journal_that_somebody_removes_is_told_and_put_back(program: Program) -> None:
    """Nothing is lost: who follows reads on, and the run ends with all of it in its journal."""
    host = begin_gated(program)
    follower = program.begin("events", "--follow", "--json")
    until(lambda: "stream_started" in follower.out, "the follower reads")
    for left in program.folder().path.glob("journal.db*"):
        left.unlink()
    until(lambda: "moved the journal away" in host.err, "it is told")
    until(lambda: "going on" in host.err, "it is put back")
    assert len(program.streams()) == 4
    open_gate(program)
    answer = host.wait()
    assert answer.code == 0, answer
    assert "run_converged" in follower.wait().out
    seqs = [event["seq"] for event in program.events()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_streams_inherit_no_descriptor_of_the_host(program: Program) -> None:
    """A stream has its three standard descriptors and none of the journal or the locks."""
    script = "ls -l /proc/self/fd"
    program.plan({"plain": script, "terminal": {"command": script, "tty": True}})
    assert program.run("run", "--headless").code == 0
    for stream in ("plain", "terminal"):
        seen = program.log(stream)
        assert "journal" not in seen
        assert ".lock" not in seen
        assert "socket:" not in seen


@pytest.mark.parametrize("left", ["raw", ".raw-left", ".frozen-left"])
def test_a_kill_while_the_configuration_is_recorded_is_made_good(
    program: Program, left: str
) -> None:
    """Half of what is recorded about the repository is there: the next console records the rest."""
    host = begin_gated(program, 1)
    host.kill()
    (records,) = program.state_home.glob(
        f"anabranch/projects/*/store.git/runs/{program.folder().run}"
    )
    if left == "raw":
        shutil.rmtree(records / "frozen")
    else:
        (records / "frozen").rename(records / left)
    open_gate(program)
    program.expect(0, "resume", "--headless")
    assert {path.name for path in records.iterdir()} >= {"frozen", "raw"}
    assert not list(records.glob(".*-*"))


def test_more_streams_than_descriptors_are_held_back_and_none_fails(program: Program) -> None:
    """What the machine has too little of is waited for, like memory, and said."""
    program.through = ("sh", "-c", 'ulimit -n 80; exec "$@"', "sh")
    streams = {f"s{n}": noting(program, "sleep 1") for n in range(40)}
    program.plan(streams, max_parallel=40, recovery={"max_retries": 0})
    program.expect(0, "run", "--headless")
    assert all(attempts(program, name) == ["1"] for name in streams)
    found = [e for e in program.events() if "descriptors are left" in json.dumps(e)]
    assert found, "nobody was told what the streams waited for"


def test_a_machine_that_starts_no_process_at_the_end_costs_no_work(program: Program) -> None:
    """Finished work waits to be captured; it is not done again, and does not fail."""
    refusals, git = program.scratch / "refusals", shutil.which("git")
    fake = program.scratch / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f"""#!/bin/sh
case " $* " in *" add "*) test -e {program.scratch}/s.ran && test ! -e {refusals}.2 && {{
    test -e {refusals}.1 && touch {refusals}.2; touch {refusals}.1
    echo 'fatal: unable to create thread: Resource temporarily unavailable' >&2; exit 128; }} ;;
esac
exec {git} "$@"
"""
    )
    fake.chmod(0o700)
    # A stream that has used git is captured by git.
    work = noting(program, "echo work > work.txt; git branch mine")
    program.plan({"s": work}, recovery={"max_retries": 2})
    path = f"{fake.parent}:{os.environ['PATH']}"
    answer = program.begin("run", "--headless", PATH=path).wait()
    assert (answer.code, attempts(program, "s")) == (0, ["1"]), answer
    assert (program.scratch / "refusals.2").exists()
    assert "stream_delayed" in {e["type"] for e in program.events()}


def test_a_merge_that_the_machine_holds_up_says_so_and_goes_on(program: Program) -> None:
    """No stream waits then, so the run itself has to say what it waits for."""
    room, git = program.scratch / "room", shutil.which("git")
    fake = program.scratch / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f"""#!/bin/sh
case " $* " in *" update-ref refs/heads/anabranch/"*) test -e {room} || {{
    echo 'fatal: unable to create thread: Resource temporarily unavailable' >&2; exit 128; }} ;;
esac
exec {git} "$@"
"""
    )
    fake.chmod(0o700)
    program.plan({"s": "echo work > work.txt"})
    host = program.begin("run", "--headless", PATH=f"{fake.parent}:{os.environ['PATH']}")
    until(lambda: "! merging waits: no process or thread can be started" in host.err, "it is told")
    room.touch()
    answer = host.wait()
    assert (answer.code, "! going on" in answer.err) == (0, True), answer


def test_what_becomes_of_an_effect_is_heard_when_the_run_folder_is_gone(program: Program) -> None:
    """A stream that deletes the run's own folder fails, and the run comes to an end."""
    program.plan(
        {"s": f"sleep 1; rm -rf {program.state_home}/anabranch/projects/*/runs/*; echo x > x"},
        recovery={"max_retries": 0},
    )
    answer = program.run("run", "--headless")
    assert answer.code != 0, answer
    assert "Traceback" not in answer.err, answer


def test_a_machine_without_proc_is_refused_at_the_start(program: Program) -> None:
    """In one sentence with the way out, and nothing is left behind."""
    program.through = ("unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$@"', "sh")
    if program.run("--version").code != 0:
        pytest.skip("mounts cannot be changed here")
    program.plan({"s": "true"})
    answer = program.expect(3, "run", "--headless")
    assert "/proc is not there" in answer.err
    assert program.run_folders() == []


def test_an_old_git_is_refused_at_the_start(program: Program) -> None:
    """Not when the first results are merged."""
    old = program.scratch / "bin" / "git"
    old.parent.mkdir()
    old.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && exec echo git version 2.34.1
exec {shutil.which("git")} "$@"
"""
    )
    old.chmod(0o700)
    program.plan({"s": "true"})
    answer = program.begin("run", "--headless", PATH=f"{old.parent}:{os.environ['PATH']}").wait()
    assert answer.code == 3, answer
    assert "git version 2.34.1 is too old" in answer.err
    assert program.run_folders() == []


def test_doctor_repairs_a_damaged_journal_and_the_run_goes_on(program: Program) -> None:
    """What was lost is named, the damaged file is kept, and the run is resumed from there."""
    program.plan({"s": noting(program, "echo x > x.txt")})
    assert program.run("run", "--headless").code == 0
    journal = program.folder().journal
    database = apsw.Connection(str(journal))
    database.execute("DELETE FROM snapshot")
    database.execute("UPDATE event SET body = x'ff' WHERE seq > 7")
    database.close()
    assert "cannot be read" in program.asked(3, "doctor").out
    answer = program.asked(0, "doctor", "--repair").out
    assert "7 events saved" in answer
    assert "the damaged journal is kept" in answer
    assert program.asked(0, "doctor", "--repair", "--json").json()["repaired"] == []
    program.expect(0, "resume", "--headless")
    assert program.status()["state"] == "converged"
    assert attempts(program, "s") == ["1"], "what has run was heard of again, not run again"
