"""Ceilings, with real processes: who takes too much is ended, and tried again alone.

The control groups of cgroup v2 are imitated by a folder, as few machines hand them on; that
processes are moved, and groups taken away, is tried with real ones where they can be made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine import ceilings
from anabranch.engine.ceilings import Way
from tests.e2e.conftest import Crew
from tests.e2e.program import Program, until

MIB = 1 << 20
PROCESSORS = len(os.sched_getaffinity(0))

EATS = """
import os, sys, time
mb, processes = int(sys.argv[1]), int(sys.argv[2])
if os.environ["ANABRANCH_ATTEMPT"] == "1":
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    held = bytearray(mb << 20)
    print("has it", flush=True)
    time.sleep(60)
print("enough", flush=True)
"""


@pytest.fixture
def eats(program: Program) -> str:
    """Give a command that has too much of memory in its first attempt; what and how many follow."""
    script = program.scratch / "eats.py"
    script.write_text(EATS)
    return f"{sys.executable} {script}"


def test_a_tree_above_its_ceiling_is_ended_and_tried_again_alone(
    program: Program, eats: str
) -> None:
    """None of its processes is: they are together. Others go on, and its retries are untouched."""
    program.plan(
        {
            "greedy": {"command": f"{eats} 50 4; true", "limits": {"memory_mb": 120}},
            "calm": {"command": "until test -e go; do sleep 0.05; done; rm go"},
            "later": {"command": "echo later", "depends_on": ["calm"]},
        },
        recovery={"max_retries": 0},
        max_parallel=3,
    )
    host = program.begin("run", "--headless")
    program.await_log("greedy", "has it")
    until(lambda: program.streams()["greedy"]["attempt"] == 2, "it is to be tried again")
    assert program.streams()["calm"]["state"] == "running"
    assert "runs once nothing else does" in program.streams()["greedy"]["reason"]
    workspace = program.streams()["calm"]["workspace"]
    Path(workspace, "go").touch()
    assert host.wait().code == 0
    events = program.events()
    (overran,) = [e for e in events if e["type"] == "stream_overran"]
    assert (overran["stream"], overran["attempt"], overran["limit"]) == ("greedy", 1, 120)
    assert 120 < overran["used"] < 400
    assert overran["rule"] == "it is above its own ceiling, the most in proportion"
    (again,) = [e for e in events if e["type"] == "retry_scheduled"]
    assert (again["failure_class"], again["alone_mb"]) == ("out of memory", overran["used"])
    order = [(e["type"], e["stream"]) for e in events if e["type"].startswith("stream_s")]
    assert order[-4:] == [
        ("stream_started", "greedy"),
        ("stream_succeeded", "greedy"),
        ("stream_started", "later"),
        ("stream_succeeded", "later"),
    ]
    assert program.log("greedy", 2) == "enough\n"


def test_a_process_cannot_have_twice_its_ceiling_between_two_looks(program: Program) -> None:
    """It fails by itself then, and is of the same kind."""
    program.plan(
        {
            "jumps": {
                "command": f"{sys.executable} -c 'bytearray(900 << 20)'",
                "limits": {"memory_mb": 100},
            }
        },
        recovery={"max_retries": 0},
    )
    assert program.run("run", "--headless").code == 1
    found = [e for e in program.events() if e["type"] == "stream_overran"]
    assert [e["rule"] for e in found] == ["it could get no more below its ceiling"] * 3
    assert "out of memory" in program.streams()["jumps"]["reason"]


@pytest.mark.skipif(PROCESSORS < 2, reason="there is one processor only")
def test_a_stream_runs_on_so_many_processors_and_others_on_theirs(program: Program) -> None:
    """Whatever it starts; and one without a ceiling runs on all of them."""
    look = f"{sys.executable} -c 'import os; print(sorted(os.sched_getaffinity(0)))'"
    held = f"{look}; until test -e {program.scratch}/go; do sleep 0.05; done"
    program.plan(
        {
            "one": {"command": held, "limits": {"cpu_cores": 1}},
            "two": {
                "command": held,
                "limits": {"cpu_cores": 0.5},
                "depends_on": {"one": {"condition": "started"}},
            },
            "free": held,
        },
        max_parallel=3,
    )
    host = program.begin("run", "--headless")
    for name in ("one", "two", "free"):
        program.await_log(name, "]")
    (program.scratch / "go").touch()
    assert host.wait().code == 0
    one, two, free = (json.loads(program.log(name)) for name in ("one", "two", "free"))
    assert (len(one), len(two), len(free)) == (1, 1, PROCESSORS)
    assert one != two


def test_handlers_are_held_to_the_ceiling_of_their_stream_together(program: Program) -> None:
    """What is done stays done, and half as many run at a time afterwards."""
    script = program.scratch / "handler.py"
    script.write_text(
        "import os, sys, time\n"
        "held = bytearray(60 << 20)\n"
        "print(sys.argv[1], flush=True)\n"
        "is_first = os.environ['ANABRANCH_ATTEMPT'] == '1'\n"
        "time.sleep(0 if sys.argv[1] == 'a' else 60 if is_first else 0.1)\n"
    )
    program.plan(
        {
            "fan": {
                "command": f"{sys.executable} {script} {{item}}",
                "each": ["a", "b", "c", "d", "e"],
                "max_parallel": 4,
                "limits": {"memory_mb": 150},
            }
        },
        recovery={"max_retries": 0},
    )
    program.expect(0, "run", "--headless")
    events = program.events()
    assert len([e for e in events if e["type"] == "stream_overran"]) == 1
    ended = [e for e in events if e["type"] == "handler_finished" and e["outcome"] == "succeeded"]
    assert sorted(e["item"] for e in ended) == ["a", "b", "c", "d", "e"]
    assert [e["attempt"] for e in ended if e["item"] == "a"] == [1]
    job = json.loads((program.folder().handlers(StreamId("fan")) / "job").read_bytes())
    assert job["width"] == 2


def test_a_killed_engine_forgets_neither_the_victim_nor_that_it_runs_alone(
    program: Program, eats: str
) -> None:
    go = program.scratch / "go"
    program.plan(
        {
            "greedy": {"command": f"{eats} 150 1", "limits": {"memory_mb": 100}},
            "calm": {"command": f"until test -e {go}; do sleep 0.05; done"},
        },
        recovery={"max_retries": 0},
        max_parallel=2,
    )
    host = program.begin("run", "--headless")
    until(lambda: program.run_folders() and overruns(program), "it is ended")
    host.kill()
    host = program.begin("resume", "--headless")
    until(lambda: program.streams()["greedy"]["attempt"] == 2, "it is to be tried again")
    assert program.streams()["greedy"]["state"] == "queued"
    host.kill()
    go.touch()
    program.expect(0, "resume", "--headless")
    assert len(overruns(program)) == 1
    assert program.streams()["greedy"]["attempt"] == 2


def overruns(program: Program) -> list[dict[str, object]]:
    return [e for e in program.events() if e["type"] == "stream_overran"]


# --- a machine that runs out of memory -----------------------------------------------------------


@pytest.fixture
def small_machine(program: Program) -> Iterator[Path]:
    """Give a control group (cgroup v1) of 400 MB, and have what the program starts be in it."""
    places = [
        line.split(":", 2)[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.split(":")[1] == "memory"
    ]
    if not places:
        pytest.skip("memory has no control group of cgroup v1 here")
    group = Path(f"/sys/fs/cgroup/memory{places[0]}", f"anabranch-{secrets.token_hex(4)}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(400 * MIB))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    program.through = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    yield group
    program.end_everything()
    until(lambda: _is_removed(group), "the group is taken away")


def _is_removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_the_console_lives_on_where_memory_runs_out_and_the_stream_is_tried_again(
    program: Program, small_machine: Path
) -> None:
    """The kernel ends the stream, not its holder nor the host, which answers all the time."""
    script = program.scratch / "eats.py"
    script.write_text(
        "import os, time\n"
        "held = []\n"
        "while os.environ['ANABRANCH_ATTEMPT'] == '1' and len(held) < 80:\n"
        "    held.append(bytearray(10 << 20))\n"
        "    time.sleep(0.03)\n"
        "print('enough', len(held), flush=True)\n"
    )
    go = program.scratch / "go"
    program.plan(
        {
            "greedy": f"{sys.executable} {script}; exit $?",
            "calm": f"until test -e {go}; do sleep 0.05; done; echo calm",
        },
        recovery={"max_retries": 0},
        max_parallel=2,
    )
    host, slowest = program.begin("run", "--headless"), 0.0
    program.through = ()
    until(lambda: program.run_folders(), "the run has begun")
    until(lambda: program.streams()["greedy"]["state"] == "running", "it eats")
    names = ["plan-order", "longest-first"]
    while program.streams()["greedy"]["attempt"] == 1:
        began = time.monotonic()
        program.asked(0, "choose", "balancer", names[0])
        slowest, names = max(slowest, time.monotonic() - began), names[::-1]
        assert not host.has_ended
    assert slowest < 10.0
    go.touch()
    assert host.wait().code == 0
    (overran,) = overruns(program)
    assert overran["rule"] == "the kernel has killed it for want of memory"
    assert program.log("greedy", 2) == "enough 0\n"
    assert program.log("calm") == "calm\n"
    assert "run_resumed" not in [e["type"] for e in program.events()]


def test_the_kernel_prefers_a_command_to_its_holder_and_the_engine(program: Program) -> None:
    """By a score that what the command starts inherits."""
    go = program.scratch / "go"
    look = (
        f"sh -c 'echo $$ $(cat /proc/self/oom_score_adj)'; until test -e {go}; do sleep 0.05; done"
    )
    program.plan({"a": look})
    host = program.begin("run", "--headless")
    program.await_log("a", "\n")
    (holder,) = [pid for pid, name in program.processes().items() if name == "ab-holder"]
    scores = [int(Path(f"/proc/{p}/oom_score_adj").read_text()) for p in (host.pid, holder)]
    go.touch()
    assert host.wait().code == 0
    assert int(program.log("a").split()[1]) >= max(scores) + 100


# --- control groups ------------------------------------------------------------------------------


async def test_a_holder_writes_what_its_group_may_have_and_moves_the_command_in(
    crew: Crew, tmp_path: Path
) -> None:
    """A folder stands for the group: no kernel acts on it, but what is written can be read."""
    group = tmp_path / "anabranch-r-a.1"
    group.mkdir()
    names = ("memory.max", "memory.oom.group", "memory.swap.max", "cpu.max", "cgroup.procs")
    for name in names:
        (group / name).touch()
    (group / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (group / "memory.peak").write_text(f"{123 * MIB}\n")
    limits = {"group": str(group), "memory_mb": 64.0, "cpu_cores": 1.5, "processors": [0]}
    look = f"import os; print(open('{group}/cgroup.procs').read(), os.getpid() > 0, flush=True)"
    spec = crew.spec("a", sys.executable, "-c", f"{look}; os.kill(os.getpid(), 9)")
    await crew.processes.start(replace(spec, ceilings=limits))
    ended = await crew.exited("a")
    written = {name: (group / name).read_text() for name in names}
    assert written == {
        "memory.max": str(64 * MIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "cgroup.procs": "0",
    }
    assert crew.log("a").startswith("0 ")
    assert (ended.memory_kills, ended.peak_memory_mb) == (2, 123)


async def test_without_a_group_that_can_be_made_processes_are_limited(
    crew: Crew, tmp_path: Path
) -> None:
    """Nothing runs without its ceilings because the machine has changed."""
    look = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)"
    for name, group in (("a", ""), ("b", str(tmp_path / "nowhere" / "b")), ("c", str(tmp_path))):
        spec = crew.spec(name, sys.executable, "-c", look)
        await crew.processes.start(replace(spec, ceilings={"group": group, "memory_mb": 200.0}))
        assert (await crew.exited(name)).exit_code == 0
        assert crew.log(name) == "400\n"


@pytest.fixture
def real_groups() -> Iterator[Path]:
    """Give a real group of cgroup v2 to make others in, with controllers or without."""
    root = Path("/sys/fs/cgroup")
    root = root if (root / "cgroup.controllers").exists() else root / "unified"
    parent = root / f"anabranch-test-{secrets.token_hex(4)}"
    try:
        parent.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield parent
    until(lambda: _is_removed(parent), "the group is taken away")


@pytest.mark.parametrize("kills_holder", [False, True])
async def test_a_real_group_holds_the_tree_from_its_first_moment_and_is_taken_away(
    crew: Crew, real_groups: Path, monkeypatch: pytest.MonkeyPatch, kills_holder: bool
) -> None:
    """Also when the holder is killed, and what had left its session with it."""
    group = real_groups / f"anabranch-{crew.run_folder.name}-a.1"
    monkeypatch.setattr(ceilings, "way", lambda: Way(str(real_groups)))
    script = "cat /proc/self/cgroup; setsid sleep 300 & echo there; sleep 300"
    spec = crew.spec("a", "/bin/sh", "-c", script)
    await crew.processes.start(replace(spec, ceilings={"group": str(group)}))
    begun = await crew.begun("a")
    await crew.says("a", "there")
    assert group.name in crew.log("a")
    inside = (group / "cgroup.procs").read_text().split()
    assert str(begun.pid) in inside
    assert len(inside) >= 2
    if kills_holder:
        os.kill(begun.holder_pid, signal.SIGKILL)
        assert isinstance(await crew.ended("a"), inputs.ProcessLost)
    else:
        await crew.stop("a", 2.0)
        await crew.exited("a")
    await asyncio.to_thread(until, lambda: not group.exists(), "the group is gone")
