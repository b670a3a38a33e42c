"""Processes of streams: they run once, end as they are told, and outlive the engine."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine.performers import process_zygote
from anabranch.engine.performers.holding_still import held_still
from anabranch.engine.performers.process_records import send_control
from anabranch.engine.process_table import is_still

if TYPE_CHECKING:
    from tests.e2e.conftest import Crew

CODES = (0, 1, 2, 77, 255)
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV)


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    status = Path(f"/proc/{pid}/stat").read_text()
    return int(status[status.rindex(")") + 2 :].split()[1])


def is_stopped(pid: int) -> bool:
    """Say whether a process is stopped by a signal."""
    status = Path(f"/proc/{pid}/stat").read_text()
    return status[status.rindex(")") + 2 :].startswith("T")


def pid_in(path: Path) -> int:
    """Return the process number a script has left in a file, or 0 while there is none."""
    return int(path.read_text() or 0) if path.exists() else 0


@pytest.mark.parametrize("tty", [False, True])
async def test_exit_codes_and_signals_are_exact(crew: Crew, tty: bool) -> None:
    """Whatever way a command ends, that is what is reported, after that it started, once."""
    for code in CODES:
        await crew.start(f"code-{code}", "/bin/sh", "-c", f"exit {code}", tty=tty)
    for number in SIGNALS:
        script = f"ulimit -c 0; kill -{number.value} $$"
        await crew.start(f"signal-{number.value}", "/bin/sh", "-c", script, tty=tty)
    for code in CODES:
        ended = await crew.exited(f"code-{code}")
        assert (ended.exit_code, ended.signal, ended.survivors_ended) == (code, None, 0)
    for number in SIGNALS:
        ended = await crew.exited(f"signal-{number.value}")
        assert (ended.exit_code, ended.signal) == (None, number.value)
    assert all(len(crew.of(report.stream)) == 2 for report in crew.reports)


async def test_what_a_command_has_used_is_reported(crew: Crew, tmp_path: Path) -> None:
    """Of all it has started, whether it waited for them or not."""
    burn = "import os\nwhile sum(os.times()[:2]) < 0.4: pass"
    eat = "x = bytearray(80 << 20)"
    python = f"{sys.executable} -I -S -c"
    done = f"{tmp_path}/done"
    orphan = f"({python} '{burn}'; touch {done}) &"
    wait = f"until test -e {done}; do sleep 0.02; done"
    script = f"({orphan}); {python} '{burn}'; {python} '{eat}'; {wait}"
    await crew.start("s", "/bin/sh", "-c", script)
    ended = await crew.exited("s")
    assert ended.cpu_seconds is not None
    assert ended.peak_memory_mb is not None
    assert 0.8 <= ended.cpu_seconds < 3.0
    assert 80 <= ended.peak_memory_mb < 160


async def test_output_is_complete_when_the_exit_is_reported(crew: Crew) -> None:
    """The log holds every byte as soon as it has exited, with a terminal or without."""
    lines = "".join(f"{number}\n" for number in range(1, 100_001))
    for tty in (False, True):
        await crew.start(f"tty-{tty}", "seq", "1", "100000", tty=tty)
    await crew.exited("tty-False")
    assert crew.log("tty-False") == lines
    await crew.exited("tty-True")
    written = (crew.run_folder / "logs" / "tty-True.1.log").read_bytes().decode()
    assert written == lines.replace("\n", "\r\n")


async def test_a_terminal_is_one_and_follows_resizes(crew: Crew) -> None:
    """A command with a terminal sees it, its first size, and its new one through SIGWINCH."""
    script = "stty size; trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.02; done"
    await crew.start(
        "sized", "/bin/sh", "-c", f"test -t 0 && test -t 1 && test -t 2; {script}", tty=True
    )
    await crew.says("sized", "24 80")
    await crew.says("sized", "ready")
    size: dict[str, str | int | float] = {"op": "resize", "rows": 50, "columns": 132}
    send_control(crew.run_folder / "attempts" / "sized.1", size)
    assert (await crew.exited("sized")).exit_code == 7
    assert "50 132" in crew.log("sized")


async def test_without_a_terminal_there_is_none_and_no_input(crew: Crew) -> None:
    """A plain stream reads nothing from its input and has no controlling terminal."""
    script = "test -t 0 || test -t 1 && exit 3; cat; (: </dev/tty) 2>/dev/null && exit 4; exit 0"
    await crew.start("plain", "/bin/sh", "-c", script)
    await crew.processes.write_input(StreamId("plain"), 1, b"nobody reads this\n")
    assert (await crew.exited("plain")).exit_code == 0


async def test_input_reaches_a_terminal(crew: Crew) -> None:
    """What is typed is read, more of it than a terminal takes at once too."""
    script = "stty -echo; echo ready; read line; echo got $line; wc -l; exit 5"
    await crew.start("typed", "/bin/sh", "-c", script, tty=True)
    await crew.says("typed", "ready")
    await crew.processes.write_input(StreamId("typed"), 1, b"hello\n")
    await crew.says("typed", "got hello")
    await crew.processes.write_input(StreamId("typed"), 1, b"0123456789\n" * 9000 + b"\x04")
    assert (await crew.exited("typed")).exit_code == 5
    assert "9000" in crew.log("typed")


LIBC_SIGNALS = 0b11 << 31
"""Signals 32 and 33: the C library keeps them to itself, so nobody can reset what it inherited."""


async def test_a_command_starts_clean(crew: Crew) -> None:
    """It leads its own session and has three open files, default signals and a raised OOM score."""
    program = (
        "import os, signal, json, pathlib; s = pathlib.Path('/proc/self/status').read_text();"
        "print(json.dumps([sorted(map(int, os.listdir('/proc/self/fd')))[:-1],"
        "os.getsid(0) == os.getpid(),"
        "[l.split()[1] for l in s.splitlines() if l.startswith(('SigIgn', 'SigBlk'))],"
        "int(pathlib.Path('/proc/self/oom_score_adj').read_text()) > 0]))"
    )
    # What Python itself ignores at its start is undone by looking through another program.
    looked = "grep -E 'Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd | tr '\\n' ' '; "
    await crew.start("clean", "/bin/sh", "-c", looked + f'exec {sys.executable} -c "$0"', program)
    await crew.exited("clean")
    log = crew.log("clean")
    masks = [int(line.split("\t")[1], 16) for line in log.splitlines()[:2]]
    assert [mask & ~LIBC_SIGNALS for mask in masks] == [0, 0], log
    assert "0 1 2 3 " in log  # 3 is ls reading the folder
    files, leads_session, _, oom_raised = json.loads(log.splitlines()[-1].split(" ", 4)[-1])
    assert (files, leads_session, oom_raised) == ([0, 1, 2], True, True)


@pytest.mark.parametrize(
    ("argv", "cwd", "code", "reason"),
    [
        (("no-such-program-here",), "/", 127, "cannot find no-such-program-here"),
        (("/no/such/program",), "/", 127, "cannot find /no/such/program"),
        (("/etc/passwd",), "/", 126, "cannot run /etc/passwd: Permission denied"),
        (("/bin/true",), "/no/such/folder", 126, "cannot enter /no/such/folder: No such file"),
    ],
)
async def test_a_command_that_cannot_run_says_why(
    crew: Crew, argv: tuple[str, ...], cwd: str, code: int, reason: str
) -> None:
    """Exit 127 is not found, 126 cannot be run; the text names what and why."""
    await crew.start("wrong", *argv, cwd=cwd)
    ended = await crew.exited("wrong")
    assert ended.exit_code == code
    assert ended.error is not None
    assert ended.error.startswith(reason)


async def test_stop_ends_a_tree_that_ignores_it(crew: Crew, tmp_path: Path) -> None:
    """After the grace all of it is killed: what ignores SIGTERM and what left its session."""
    daemon = tmp_path / "daemon"
    script = (
        "trap '' TERM; "
        f"setsid -f sh -c 'echo $$ > {daemon}; exec sleep 300'; (sleep 300) & echo ready; wait"
    )
    await crew.start("stubborn", "/bin/sh", "-c", script)
    started = await crew.begun("stubborn")
    await crew.says("stubborn", "ready")
    await crew.until(lambda: bool(pid_in(daemon)), "the daemon runs")
    await crew.stop("stubborn", 0.2)
    await crew.stop("stubborn", 0.2)
    ended = await crew.exited("stubborn")
    assert (ended.exit_code, ended.signal) == (None, signal.SIGKILL)
    assert ended.happened_at - started.happened_at >= 0.2
    await crew.gone(pid_in(daemon))


async def test_stop_asks_once_and_waits(crew: Crew) -> None:
    """A command that cleans up on SIGTERM gets the time, one signal, and its own exit code."""
    script = "trap 'echo asked; kill $!; sleep 0.1; exit 9' TERM; echo ready; sleep 300 & wait"
    await crew.start("tidy", "/bin/sh", "-c", script)
    await crew.says("tidy", "ready")
    await crew.stop("tidy", 15.0)
    await crew.stop("tidy", 15.0)
    assert (await crew.exited("tidy")).exit_code == 9
    assert crew.log("tidy").count("asked") == 1


async def test_what_a_command_starts_because_it_is_asked_to_end_is_not_ended(crew: Crew) -> None:
    """Its first process is asked first, and cleans up while the many others are being asked."""
    cleans = "sh -c 'sleep 0.2; echo cleaned'; exit 9"
    many = "for i in $(seq 300); do sleep 300 & done"
    script = f'trap "{cleans}" TERM; {many}; echo ready; while :; do wait; done'
    await crew.start("tidy", "/bin/sh", "-c", script)
    await crew.says("tidy", "ready")
    await crew.stop("tidy", 15.0)
    assert (await crew.exited("tidy")).exit_code == 9
    assert "cleaned" in crew.log("tidy")


async def test_a_paused_tree_can_be_stopped(crew: Crew) -> None:
    """A stopped process is woken to receive SIGTERM, and so is its holder."""
    await crew.start("paused", "sleep", "300")
    started = await crew.begun("paused")
    await crew.processes.signal(StreamId("paused"), 1, signal.SIGSTOP)
    status = Path(f"/proc/{started.pid}/stat")
    await crew.until(lambda: status.read_text().split()[2] == "T", "the command is paused")
    os.kill(started.holder_pid, signal.SIGSTOP)
    await crew.stop("paused", 10.0)
    assert (await crew.exited("paused")).signal == signal.SIGTERM


async def test_what_a_command_leaves_behind_is_ended(crew: Crew, tmp_path: Path) -> None:
    """Daemons end with their command, are counted, and do not change its exit code."""
    daemon = tmp_path / "daemon"
    script = (
        f"setsid -f sh -c 'echo $$ > {daemon}; exec sleep 300';"
        f"while ! test -s {daemon}; do sleep 0.01; done; exit 3"
    )
    await crew.start("parent", "/bin/sh", "-c", script)
    ended = await crew.exited("parent")
    assert (ended.exit_code, ended.survivors_ended) == (3, 1)
    await crew.gone(pid_in(daemon))


async def test_starting_twice_runs_once(crew: Crew, tmp_path: Path) -> None:
    """An attempt asked for again, at once or after its end, is not run again: what is known of it
    is said once more."""
    ran = tmp_path / "ran"
    spec = crew.spec("once", "/bin/sh", "-c", f"echo ran >> {ran}")
    await asyncio.gather(*(crew.processes.start(spec) for _ in range(5)))
    await crew.exited("once")
    await crew.processes.start(spec)
    assert crew.processes.survey() == []
    assert ran.read_text() == "ran\n"
    assert len(crew.reports) == 4
    assert crew.reports[2:] == crew.reports[:2]


async def test_stopping_what_has_not_begun_prevents_it(
    crew: Crew, crews: Callable[[Path], Crew], tmp_path: Path
) -> None:
    """An attempt stopped before it began is reported so and never begins, here or later."""
    ran = tmp_path / "ran"
    spec = crew.spec("never", "/bin/sh", "-c", f"echo ran >> {ran}")
    await crew.stop("never", 1.0)
    assert isinstance(await crew.ended("never"), inputs.EffectFailed)
    await crew.processes.start(spec)
    later = crews(crew.run_folder)
    await later.processes.open()
    await later.processes.start(spec)
    assert isinstance(await later.ended("never"), inputs.EffectFailed)
    assert not ran.exists()


async def test_a_stop_that_overtakes_the_start_is_not_lost(crew: Crew) -> None:
    """Streams stopped in the very moment they are started end, and end exactly."""
    streams = [f"brief-{number}" for number in range(20)]
    for stream in streams:
        await crew.start(stream, "sleep", "300", tty=True)
        await crew.stop(stream, 10.0)
    for stream in streams:
        assert (await crew.exited(stream)).signal == signal.SIGTERM


async def test_a_killed_zygote_is_replaced(crew: Crew) -> None:
    """Streams run on without it, and the next one starts through a new one."""
    await crew.start("first", "/bin/sh", "-c", "read line; exit 11", tty=True)
    started = await crew.begun("first")
    os.kill(parent_of(started.holder_pid), signal.SIGKILL)
    await crew.start("second", "/bin/sh", "-c", "exit 12")
    assert (await crew.exited("second")).exit_code == 12
    await crew.processes.write_input(StreamId("first"), 1, b"go\n")
    assert (await crew.exited("first")).exit_code == 11


async def test_a_killed_holder_is_a_lost_attempt(crew: Crew, tmp_path: Path) -> None:
    """Its command and all that belongs to it are gone before the loss is reported."""
    child = tmp_path / "child"
    script = f"setsid -f sh -c 'echo $$ > {child}; exec sleep 300'; sleep 300; true"
    await crew.start("lost", "/bin/sh", "-c", script)
    started = await crew.begun("lost")
    await crew.until(lambda: bool(pid_in(child)), "the child runs")
    os.kill(started.holder_pid, signal.SIGKILL)
    ended = await crew.ended("lost")
    assert isinstance(ended, inputs.ProcessLost)
    await crew.gone(started.pid)
    await crew.gone(pid_in(child))
    await crew.stop("lost", 1.0)
    assert len(crew.of("lost")) == 2


async def test_a_folder_made_anew_is_not_written_by_the_old_holder(crew: Crew) -> None:
    """A holder whose folder was removed is ended; the new folder's attempt is another matter."""
    await crew.start("moved", "/bin/sh", "-c", "read line; exit 3", tty=True)
    started = await crew.begun("moved")
    folder = crew.run_folder / "attempts" / "moved.1"
    shutil.rmtree(folder)
    folder.mkdir()
    assert isinstance(await crew.ended("moved"), inputs.ProcessLost)
    await crew.gone(started.holder_pid)
    await crew.gone(started.pid)
    assert list(folder.iterdir()) == []


async def test_a_reboot_loses_what_was_running(
    crews: Callable[[Path], Crew], tmp_path: Path
) -> None:
    """An attempt begun in another boot of the machine is lost, and nobody else is harmed."""
    folder = tmp_path / "attempts" / "old.1"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "start").write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "starttime": 1,
                "boot_id": "another",
                "holder_pid": os.getpid(),
                "holder_starttime": 1,
                "wall": 0.0,
                "monotonic": 0.0,
            }
        )
    )
    (tmp_path / "attempts" / "torn.1").mkdir()
    (tmp_path / "attempts" / "torn.1" / "start").touch()
    begun, old, torn = crews(tmp_path).processes.survey()
    assert isinstance(begun, inputs.ProcessStarted)
    assert old == inputs.ProcessLost(
        stream=StreamId("old"), attempt=1, reason="the machine was restarted while it ran"
    )
    assert torn == inputs.ProcessLost(
        stream=StreamId("torn"), attempt=1, reason="its holder was killed"
    )


async def test_long_folder_names_do_not_matter(
    crews: Callable[[Path], Crew], tmp_path: Path
) -> None:
    """Sockets work in folders whose path is longer than a socket's address."""
    crew = crews(tmp_path / ("long" * 30) / "run")
    await crew.processes.open()
    await crew.start("deep", "sleep", "300")
    await crew.begun("deep")
    await crew.stop("deep", 5.0)
    assert (await crew.exited("deep")).signal == signal.SIGTERM


ENGINE = """
import asyncio, os, sys
from pathlib import Path
from anabranch.engine.clock import RunClock
from anabranch.engine.performers.process_observations import Observations
from anabranch.engine.performers.processes import Processes, ProcessSpec
from anabranch.paths import RunFolder
async def main(run, count):
    folder = RunFolder(Path(run))
    observations = Observations(folder, RunClock.begin())
    processes = Processes(folder, lambda _: print("report", flush=True), observations)
    await processes.open()
    for number in range(count):
        script = f"echo {number} >> {run}/ran; read line < {run}/gate; exit {number}"
        env = {"PATH": os.environ["PATH"]}
        argv = ("/bin/sh", "-c", script)
        await processes.start(ProcessSpec(f"s{number}", 1, argv, "/", env, number % 2 == 0))
        print("asked", flush=True)
    await asyncio.Event().wait()
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
STREAMS = 10


@pytest.mark.parametrize("kill_at_line", [1, 4, 9, 14, 20])
async def test_streams_outlive_a_killed_engine(
    crews: Callable[[Path], Crew], tmp_path: Path, kill_at_line: int
) -> None:
    """However far the engine came, its successor finds every stream to have run exactly once."""
    run = tmp_path / "run"
    run.mkdir()
    os.mkfifo(run / "gate")
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(run), str(STREAMS), stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    for _ in range(kill_at_line):
        assert await engine.stdout.readline()
    engine.kill()
    await engine.wait()

    crew = crews(run)
    crew.reports += crew.processes.survey()
    await crew.processes.open()
    for number in range(STREAMS):
        script = f"echo {number} >> {run}/ran; read line < {run}/gate; exit {number}"
        await crew.start(f"s{number}", "/bin/sh", "-c", script)
    for number in range(STREAMS):
        await crew.begun(f"s{number}")
    gate = os.open(run / "gate", os.O_RDWR)
    os.write(gate, b"go\n" * STREAMS)
    ends = [await crew.exited(f"s{number}") for number in range(STREAMS)]
    os.close(gate)
    assert [ended.exit_code for ended in ends] == list(range(STREAMS))
    assert sorted(map(int, (run / "ran").read_text().split())) == list(range(STREAMS))


async def test_what_ended_meanwhile_is_found(crews: Callable[[Path], Crew], tmp_path: Path) -> None:
    """An engine that left finds, when it comes back, the exact exit of what ended without it."""
    first = crews(tmp_path)
    await first.processes.open()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    await first.start("left", "/bin/sh", "-c", f"read line < {gate}; exit 21")
    started = await first.begun("left")
    first.reports.clear()
    await first.processes.close()
    gate.write_text("go\n")
    second = crews(tmp_path)
    await second.gone(started.holder_pid)
    again, found = second.processes.survey()
    assert again == started
    assert isinstance(found, inputs.ProcessExited)
    assert found.exit_code == 21


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"may not mount a small tmpfs: {os.strerror(ctypes.get_errno())}")
    yield disk
    libc.umount2(bytes(disk), 2)


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits, and return it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


async def test_a_flood_is_bounded_and_told(crew: Crew) -> None:
    """What writes without end takes no more room than a log may, and somebody hears of it."""
    await crew.start("flood", "/bin/sh", "-c", "echo begins; yes | head -c 200000000; echo ends")
    assert (await crew.exited("flood")).exit_code == 0
    (answer, *_) = [r for r in crew.of("flood") if isinstance(r, inputs.OutputLeftOut)]
    assert answer.left_out_bytes > 1_000_000
    log = crew.log("flood")
    assert len(log) < 70_000_000
    assert log.startswith("begins\n")
    assert log.endswith("ends\n")


async def test_a_stopped_zygote_is_replaced(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for its answer waits for a while only; nothing starts twice."""
    monkeypatch.setattr(process_zygote, "ANSWER_SECONDS", 0.5)
    await crew.start("first", "/bin/true")
    await crew.exited("first")
    zygote = crew.processes._zygote._process
    assert zygote is not None
    zygote.send_signal(signal.SIGSTOP)
    await crew.start("second", "/bin/sh", "-c", "echo once")
    assert (await crew.exited("second")).exit_code == 0
    assert crew.log("second") == "once\n"


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 10**30},
        {"holder_pid": -1},
        {"starttime": 1e300},
        {"wall": 1e300, "monotonic": 1e300},
        {"monotonic": -1e300},
    ],
)
async def test_an_absurd_start_record_ends_nothing(
    crews: Callable[[Path], Crew], tmp_path: Path, change: dict[str, float]
) -> None:
    """What a stream wrote in its own record's place is taken for no more than it can mean."""
    crew = crews(tmp_path / "run")
    await crew.processes.open()
    start = tmp_path / "run" / "attempts" / "odd.1" / "start"
    rewrite = f"until [ -e {start} ]; do sleep 0.05; done; cp {tmp_path}/odd {start}; exit 5"
    record = {"pid": 1, "starttime": 1, "boot_id": "b", "holder_pid": 1, "holder_starttime": 1}
    odd = json.dumps({**record, "wall": 1.0, "monotonic": 1.0, **change})
    (tmp_path / "odd").write_text(odd)
    await crew.start("odd", "/bin/sh", "-c", rewrite)
    assert (await crew.exited("odd")).exit_code == 5


async def test_a_full_disk_stops_neither_output_nor_exit(
    crews: Callable[[Path], Crew], small_disk: Path
) -> None:
    """What does not fit is counted; the exit is exact; a new stream waits, and begins later."""
    crew = crews(small_disk)
    await crew.processes.open()
    await crew.start("full", "/bin/sh", "-c", "read line; seq 1 20000; exit 33", tty=True)
    await crew.begun("full")
    ballast = fill(small_disk)
    await crew.processes.write_input(StreamId("full"), 1, b"go\n")
    ended = await crew.exited("full")
    assert ended.exit_code == 33
    assert ended.lost_bytes > 100_000
    await crew.start("next", "/bin/true")
    await crew.until(lambda: bool(crew.of("next")), "next is heard of")
    assert crew.of("next") == [
        inputs.EffectDelayed(stream=StreamId("next"), attempt=1, reason="the disk is full")
    ]
    ballast.unlink()
    assert (await crew.exited("next")).exit_code == 0


@pytest.mark.parametrize("lets_go", [True, False])
async def test_a_tree_is_held_still_for_a_moment_and_no_longer(
    crew: Crew, tmp_path: Path, lets_go: bool
) -> None:
    """All of it; what had stopped itself stays stopped, and it goes on though nobody says so."""
    script = (
        f"cd {tmp_path}; (sh -c 'echo $$ > still; kill -STOP $$; echo woken > woken') & "
        "(while :; do echo >> beats; sleep 0.01; done) & wait"
    )
    await crew.start("s", "/bin/sh", "-c", script)
    begun = await crew.begun("s")
    beats = tmp_path / "beats"
    await crew.until(beats.exists, "it beats")
    still = tmp_path / "still"
    await crew.until(lambda: (pid := pid_in(still)) > 0 and is_stopped(pid), "one has stopped")
    folder = crew.run_folder / "attempts" / "s.1"

    def hold() -> bool:
        with held_still(folder, begun.holder_pid) as is_held:
            return is_held and is_still(begun.holder_pid, or_waits=True)

    assert await asyncio.to_thread(hold)
    size = beats.stat().st_size
    await crew.until(lambda: beats.stat().st_size > size, "it goes on")
    if not lets_go:
        send_control(folder, {"op": "pause", "seconds": 0.2})
        await crew.until(lambda: is_still(begun.holder_pid, or_waits=True), "it is still")
        size = beats.stat().st_size
        await crew.until(lambda: beats.stat().st_size > size, "it goes on by itself")
    assert not (tmp_path / "woken").exists()


async def test_no_message_ends_a_holder_or_makes_its_stream_unstoppable(crew: Crew) -> None:
    """A stream can reach the socket too: numbers without end, none at all, nesting, no text."""
    await crew.start("s", "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await crew.begun("s")
    await crew.says("s", "ready")
    folder = crew.run_folder / "attempts" / "s.1"
    strange: list[dict[str, Any]] = [
        {"op": "signal", "signal": float("inf")},
        {"op": "resize", "rows": 1e300, "columns": -1},
        {"op": "pause", "seconds": float("nan")},
        {"op": "input", "data": "\ud800"},
        {"op": "stop", "grace_seconds": 1e300},
        {"op": "stop", "grace_seconds": 60.0},
        {"op": "stop", "grace_seconds": float("nan")},
    ]
    for message in strange:
        send_control(folder, message)
    assert (await crew.exited("s")).signal == signal.SIGKILL


async def test_what_is_held_still_can_be_stopped(crew: Crew) -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    await crew.start("s", "/bin/sh", "-c", script)
    begun = await crew.begun("s")
    await crew.says("s", "ready")
    folder = crew.run_folder / "attempts" / "s.1"
    send_control(folder, {"op": "pause", "seconds": 2.0})
    await crew.until(lambda: is_still(begun.holder_pid, or_waits=True), "it is still")
    await crew.stop("s", 5.0)
    assert (await crew.exited("s")).exit_code == 7
