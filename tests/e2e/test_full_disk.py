"""The disk fills up during a run: it says so, loses nothing it has told, and goes on by itself.

The disk is a small file system in memory. Where mounting one is not allowed the tests are skipped.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from anabranch.core.model.state import RunPhase
from anabranch.paths import RunFolder
from tests.e2e.program import Program, until
from tests.engine.repositories import git, make_repository

MEBIBYTE = 1024 * 1024
DISK_MEBIBYTES = 24
DISK_FILES = 4_000
READ_ONLY, REMOUNT = 1, 32
UNMOUNT_LAZILY = 2


class Disk:
    """A small disk that can be filled, and emptied again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        self._files = path / "files"

    def fill(self) -> None:
        """Take all the room there is, to the last block."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (MEBIBYTE, 4096, 1):
                _write_until_full(file.fileno(), bytes(size))

    def reserve(self, mebibytes: int) -> None:
        """Take a part of the room, to be given back later."""
        self._ballast.write_bytes(bytes(mebibytes * MEBIBYTE))

    def fill_with_files(self, spare: int = 0) -> None:
        """Take all the files there can be, and give some back."""
        self._files.mkdir()
        with suppress(OSError):
            for n in range(DISK_FILES):
                (self._files / str(n)).touch()
        for n in range(spare):
            (self._files / str(n)).unlink()

    def make_room(self) -> None:
        """Give all of it back."""
        self._ballast.unlink(missing_ok=True)
        shutil.rmtree(self._files, ignore_errors=True)

    def mount_anew(self, *, read_only: bool) -> None:
        """Let it take nothing any more, as a disk with errors does, or everything again."""
        flags = REMOUNT | (READ_ONLY if read_only else 0)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mount(None, bytes(self.path), None, flags, None) == 0, ctypes.get_errno()

    @property
    def is_full(self) -> bool:
        return os.statvfs(self.path).f_bavail == 0


def _write_until_full(file: int, block: bytes) -> None:
    try:
        while os.write(file, block):
            continue
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Give a small disk; unmounted in the end, whatever happened."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={DISK_MEBIBYTES}m,nr_inodes={DISK_FILES}".encode()
    if libc.mount(b"none", bytes(place), b"tmpfs", 0, options) != 0:
        pytest.skip(f"may not mount a small tmpfs: {os.strerror(ctypes.get_errno())}")
    try:
        yield Disk(place)
    finally:
        libc.umount2(bytes(place), UNMOUNT_LAZILY)


@pytest.fixture
def program(disk: Disk, tmp_path: Path) -> Iterator[Program]:
    """Give the program in a project on a big disk, with its state on the small one."""
    project = make_repository(tmp_path / "project", {"README.md": "a project\n"})
    program = Program(project, disk.path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def gated(program: Program, then: str) -> str:
    """Return a command that waits until the test opens the gate."""
    gate = program.scratch / "gate"
    return f"echo ready; until test -e {gate}; do sleep 0.05; done; {then}"


def open_gate(program: Program) -> None:
    """Let every stream that waits at the gate go on."""
    (program.scratch / "gate").touch()


def plan_of_six(program: Program) -> None:
    """Write a plan of six streams that wait, then write log and workspace, and of two more."""
    work = "seq 1 2000; seq 1 2000 > $ANABRANCH_STREAM.txt"
    streams: dict[str, object] = {f"s{n}": gated(program, work) for n in range(6)}
    streams["after"] = {"command": "echo after > after.txt", "depends_on": ["s0", "s1"]}
    streams["last"] = {"command": "echo last > last.txt", "depends_on": ["after"]}
    program.plan(streams, max_parallel=6, recovery={"max_retries": 5})


def assert_result(program: Program) -> None:
    """Check that the run converged with the work of every stream in it."""
    assert program.state().phase is RunPhase.CONVERGED
    commit = program.status()["commit"]
    files = git(program.project, "ls-tree", "--name-only", commit).split()
    expected = [f"s{n}.txt" for n in range(6)] + ["after.txt", "last.txt", "README.md"]
    assert sorted(files) == sorted(expected)
    lines = "".join(f"{n}\n" for n in range(1, 2001))
    for n in range(6):
        assert git(program.project, "show", f"{commit}:s{n}.txt") == lines


def test_a_run_waits_for_room_and_goes_on_by_itself(program: Program, disk: Disk) -> None:
    """Filled while streams run: it is told clearly, and with room again the run converges."""
    plan_of_six(program)
    host = program.begin("run", "--headless")
    for n in range(6):
        program.await_log(f"s{n}", "ready")
    disk.fill()
    assert disk.is_full
    open_gate(program)
    until(lambda: "disk is full" in host.err, "the full disk is told")
    assert not host.has_ended
    assert program.asked(0, "status").out
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert "Traceback" not in answer.err
    assert_result(program)
    program.events()


def test_what_was_told_as_an_event_is_in_the_journal(program: Program, disk: Disk) -> None:
    """Every event that ``--json`` printed, before, in and after the shortage, is there."""
    plan_of_six(program)
    host = program.begin("run", "--headless", "--json")
    for n in range(6):
        program.await_log(f"s{n}", "ready")
    disk.fill()
    open_gate(program)
    until(lambda: "disk is full" in host.err, "the full disk is told")
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert answer.json_lines() == program.events()
    assert_result(program)


def test_a_console_that_dies_on_a_full_disk_can_be_followed_by_another(
    program: Program, disk: Disk
) -> None:
    """Killed in the shortage, what it had told stays; resuming says why not, later it works."""
    plan_of_six(program)
    host = program.begin("run", "--headless", "--json")
    for n in range(6):
        program.await_log(f"s{n}", "ready")
    disk.fill()
    open_gate(program)
    until(lambda: "disk is full" in host.err, "the full disk is told")
    host.kill()
    acknowledged = [json.loads(line) for line in host.out.splitlines()]
    refused = program.run("resume", "--headless")
    assert refused.code != 0
    assert "full" in refused.err, refused
    assert "Traceback" not in refused.err
    disk.make_room()
    answer = program.run("resume", "--headless")
    assert answer.code == 0, answer
    assert program.events()[: len(acknowledged)] == acknowledged
    assert_result(program)


def test_stopping_a_run_on_a_full_disk_is_answered(program: Program, disk: Disk) -> None:
    """With no room for the request, ``stop`` says so; with room again it stops the run."""
    program.plan({"s": gated(program, "true")})
    host = program.begin("run", "--headless")
    program.await_log("s", "ready")
    disk.fill()
    assert "full" in program.asked(3, "stop").err
    assert not host.has_ended
    disk.make_room()
    program.expect(0, "stop")
    assert host.wait().code == 1
    assert program.status()["state"] == "stopped"


def test_a_run_that_cannot_begin_for_want_of_room_leaves_nothing(
    program: Program, disk: Disk
) -> None:
    """No room for even the journal: exit 3 with words and a hint, and no half a run in the way."""
    program.plan({"s": "true"})
    disk.fill()
    answer = program.expect(3, "run", "--headless")
    assert "full" in answer.err or "No space left" in answer.err
    disk.make_room()
    assert program.run_folders() == []
    assert program.asked(0, "runs", "--json").json()["runs"] == []
    assert program.run("run", "--headless").code == 0


@pytest.mark.parametrize("free", range(6, 0, -1))
def test_a_folder_that_is_only_half_made_is_not_left_behind(disk: Disk, free: int) -> None:
    """Wherever files run out while the folder of a run is made, all of it is there or nothing."""
    home = RunFolder(disk.path / "runs" / "one")
    disk.fill_with_files(spare=free)
    try:
        home.create()
    except OSError:
        assert not home.path.exists()
    else:
        assert home.workspaces.is_dir()


def test_a_project_on_a_full_disk_waits_for_room(disk: Disk, tmp_path: Path) -> None:
    """The repository's own disk is full: results wait for room; the run says so, then converges."""
    project = make_repository(disk.path / "project", {"README.md": "a project\n"})
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    try:
        plan_of_six(program)
        host = program.begin("run", "--headless")
        for n in range(6):
            program.await_log(f"s{n}", "ready")
        disk.fill()
        open_gate(program)
        until(lambda: "disk is full" in host.err, "the full disk is told")
        assert any("full" in s["reason"] for s in program.status()["streams"])
        disk.make_room()
        answer = host.wait()
        assert answer.code == 0, answer
        assert_result(program)
        assert git(project, "status", "--porcelain") == "?? anabranch.toml\n"
    finally:
        program.end_everything()


def test_a_stop_needs_no_room(program: Program, disk: Disk) -> None:
    """The processes end while the disk is full; the run says so once there is room."""
    program.plan({"one": "echo ready; exec sleep 300"})
    host = program.begin("run", "--headless")
    program.await_log("one", "ready")
    pid = program.streams()["one"]["pid"]
    disk.fill()
    assert "full" in program.asked(3, "stop").err
    until(lambda: not is_alive(pid), "the stream has ended")
    assert disk.is_full
    disk.make_room()
    until(lambda: program.status()["state"] == "stopped", "the run says so")
    host.wait()


def test_a_stop_needs_no_new_file(program: Program, disk: Disk) -> None:
    """Where not even an empty file can be made, a run is stopped as well."""
    program.plan({"one": "echo ready; exec sleep 300"})
    host = program.begin("run", "--headless")
    program.await_log("one", "ready")
    pid = program.streams()["one"]["pid"]
    disk.fill_with_files()
    assert "full" in program.asked(3, "stop").err
    until(lambda: not is_alive(pid), "the stream has ended")
    disk.make_room()
    until(lambda: program.status()["state"] == "stopped", "the run says so")
    host.wait()


@pytest.mark.parametrize("fill", [Disk.fill, Disk.fill_with_files])
def test_a_stop_needs_no_room_when_nobody_hosts_the_run(
    program: Program, disk: Disk, fill: Callable[[Disk], None]
) -> None:
    """The processes end; that they were stopped is noted by the next stop, with room again."""
    program.plan({"one": "echo ready; exec sleep 300"})
    host = program.begin("run", "--headless")
    program.await_log("one", "ready")
    pid = program.streams()["one"]["pid"]
    host.send(signal.SIGKILL)
    host.wait()
    fill(disk)
    answer = program.asked(3, "stop").err
    assert "the disk is full" in answer
    assert "being ended all the same" in answer
    until(lambda: not is_alive(pid), "the stream has ended")
    disk.make_room()
    program.asked(0, "stop")
    assert program.status()["state"] == "stopped"


def test_a_project_on_a_disk_that_takes_nothing_is_waited_for(disk: Disk, tmp_path: Path) -> None:
    """A disk with errors is mounted read-only: work is captured when it takes something again."""
    project = make_repository(disk.path / "project", {"README.md": "a project\n"})
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    try:
        plan_of_six(program)
        host = program.begin("run", "--headless")
        for n in range(6):
            program.await_log(f"s{n}", "ready")
        disk.mount_anew(read_only=True)
        open_gate(program)
        until(lambda: "mounted read-only" in host.err, "it is told")
        disk.mount_anew(read_only=False)
        answer = host.wait()
        assert answer.code == 0, answer
        assert_result(program)
        assert "could not be captured" not in answer.err
    finally:
        program.end_everything()


def is_alive(pid: int) -> bool:
    """Whether a process that is no child of ours is there; nothing is sent to it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_who_fills_the_disk_is_held_first_and_the_others_get_on(
    program: Program, disk: Disk
) -> None:
    """It stands still while the rest of the run ends; with room again it goes on by itself."""
    disk.reserve(4)
    writes = "dd if=/dev/zero of=big.$n bs=64K count=2 2>/dev/null; sleep 0.02"
    fills = f"n=0; until test -e {program.scratch / 'gate'}; do n=$((n+1)); {writes}; done"
    program.plan(
        {
            "filler": f"echo 'big.*' > .gitignore; {fills}; rm big.*; echo done > filler.txt",
            "other": {"command": "seq 1 2000 > other.txt", "depends_on": []},
            "after": {"command": "echo after > after.txt", "depends_on": ["other"]},
        }
    )
    host = program.begin("run", "--headless")
    until(lambda: "filler" in host.err and "held: only" in host.err, "who fills it is held")
    until(lambda: program.streams()["after"]["state"] == "succeeded", "the others get on")
    assert not disk.is_full
    held = program.streams()["filler"]
    assert [wait["kind"] for wait in held["waits_for"]] == ["disk"]
    assert "MB are free" in held["reason"]
    open_gate(program)
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert "disk is full" not in answer.err
    kinds = [event["type"] for event in program.events()]
    assert "stream_stalled" not in kinds
    assert kinds.count("stream_held") == kinds.count("stream_let_go") >= 1
    assert git(program.project, "show", f"{program.status()['commit']}:filler.txt") == "done\n"


def test_who_makes_the_last_files_is_held_too(program: Program, disk: Disk) -> None:
    """Bytes are left, and hardly a file can be made: the others get on all the same."""
    makes = "n=$((n+1)); echo > many.$n || sleep 1; test $((n % 20)) != 0 || sleep 0.02"
    filler = f"echo 'many.*' > .gitignore; n=0; while :; do {makes}; done"
    program.plan({"filler": filler, "other": gated(program, "seq 1 20 > other.txt")})
    host = program.begin("run", "--headless")
    until(lambda: "held: only" in host.err, "who makes them is held")
    assert "files can be made" in program.streams()["filler"]["reason"]
    open_gate(program)
    until(lambda: program.streams()["other"]["state"] == "succeeded", "the other gets on")
    program.asked(0, "stop")
    host.wait()
    assert program.streams()["filler"]["attempt"] == 1


@pytest.fixture
def small_project(disk: Disk, tmp_path: Path) -> Iterator[Program]:
    """Give the program in a project on the small disk, with its state on a big one."""
    project = make_repository(disk.path / "project", {"README.md": "a project\n"})
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def fan_of_four(program: Program) -> None:
    """Write a plan of four handlers that wait, and then write, each in its own workspace."""
    work = f"touch {program.scratch}/at-{{index}}; " + gated(program, "seq 1 2000 > of-{item}")
    stream = {"each": list(range(4)), "command": work, "max_parallel": 4, "retries": 5}
    program.plan({"fan": stream | {"handler_workspace": "each"}})


def assert_fan(program: Program) -> None:
    commit = program.status()["commit"]
    lines = "".join(f"{n}\n" for n in range(1, 2001))
    for n in range(4):
        assert git(program.project, "show", f"{commit}:of-{n}") == lines


def test_handlers_wait_until_there_is_room_to_merge_their_work(
    small_project: Program, disk: Disk
) -> None:
    """None fails and none is run again: their workspaces hold what they did meanwhile."""
    program = small_project
    fan_of_four(program)
    host = program.begin("run", "--headless")
    until(lambda: len(list(program.scratch.glob("at-*"))) == 4, "all four have started")
    disk.fill()
    open_gate(program)
    until(lambda: "workspaces wait: the disk is full" in program.log("fan"), "it is said")
    assert not host.has_ended
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert "4 of 4 handlers succeeded, 0 failed" in program.log("fan", 1)
    assert_fan(program)


def test_handlers_on_a_full_disk_lose_nothing(program: Program, disk: Disk) -> None:
    """With their workspaces on it they fail; with room again they are run, and merged once."""
    fan_of_four(program)
    host = program.begin("run", "--headless")
    until(lambda: len(list(program.scratch.glob("at-*"))) == 4, "all four have started")
    disk.fill()
    open_gate(program)
    until(lambda: "disk is full" in host.err, "the full disk is told")
    assert not host.has_ended
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert "Traceback" not in answer.err + program.log("fan", 1)
    assert_fan(program)


def test_what_handlers_have_done_is_written_down_when_there_is_room_again(
    program: Program, disk: Disk
) -> None:
    """Their book, outputs and results wait for it; none has failed for that, or is run again."""
    done = program.scratch / "done"
    work = f"touch {program.scratch}/at-{{index}}; {gated(program, f'echo {{index}} >> {done}')}"
    stream = {"each": list(range(8)), "command": work, "max_parallel": 4, "retries": 0}
    program.plan({"fan": stream})
    host = program.begin("run", "--headless")
    until(lambda: len(list(program.scratch.glob("at-*"))) == 4, "four have started")
    disk.fill()
    open_gate(program)
    until(lambda: done.exists() and len(done.read_text().split()) == 4, "four have ended")
    until(lambda: "disk is full" in host.err, "the full disk is told")
    assert not host.has_ended
    disk.make_room()
    answer = host.wait()
    assert answer.code == 0, answer
    assert "8 of 8 handlers succeeded, 0 failed" in program.log("fan", 1)
    assert sorted(done.read_text().split()) == [str(n) for n in range(8)]
