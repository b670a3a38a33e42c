"""The short names of ``import anabranch``, in an engine's process and inside a stream."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anabranch
from anabranch.acting import client
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine.host import RunHost
from anabranch.engine.starting import start_run
from anabranch.plugins import load_plugins
from anabranch.testing.plans import plan_of, stream
from tests.engine.repositories import make_repository

DEADLINE_SECONDS = 30.0
UNTIL_GO = "until ab-stream inbox --wait 40 | grep -q go-now; do :; done"
INSIDE = """
import json, os, anabranch
found = {}
with anabranch.lock_manager.acquire_file_lock("src/inside.py") as lock:
    anabranch.AtomicFileOperations.atomic_write("inside.py", "whole")
    found["fence"] = lock.fence
absolute = os.path.join(os.environ["ANABRANCH_WORKSPACE"], "src/")
with anabranch.lock_manager.acquire_file_lock(absolute, mode="read") as lock:
    found["path"] = lock.path
found["contentions"] = anabranch.lock_manager.show_contentions()
found["version"] = anabranch.state_manager.update_state("inside", 1, "three")
found["next"] = anabranch.state_manager.create_new_version(
    lambda values: {**values, "inside": values["inside"] + 1}, "three"
).version
found["log"] = anabranch.state_manager.get_change_log(key="inside")
found["message"] = anabranch.coordinator.send_message("three", "operator", {"hello": 1})
found["active"] = [s["stream"] for s in anabranch.coordinator.list_active_streams()]
found["points"] = [p["point"] for p in anabranch.coordinator.convergence_status()]
found["folder"] = str(anabranch.allocate_stream_directory("three"))
found["beat"] = anabranch.send_heartbeat("three", {"status": "busy", "progress": 0.5})["ok"]
found["granted"] = anabranch.request_resources("three", {"db": 1}).outcome
found["registered"] = anabranch.register_stream({"id": "three"}).ok
try:
    anabranch.coordinator.send_message("one", "two", "as somebody else")
except anabranch.Refused as error:
    found["refused"] = [error.reason, error.hint]
try:
    anabranch.register_stream({"id": "stranger"})
except anabranch.Refused as error:
    found["not allowed"] = error.reason
print("TOLD " + json.dumps(found), flush=True)
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunHost]:
    """Give a run that this process hosts; its streams one and two live until they are told to go.

    The third one uses the names from inside.
    """
    tmp = tmp_path_factory.mktemp("quick")
    project = make_repository(tmp / "project", {"README.md": "a project\n"})
    inside = f"{shlex.quote(sys.executable)} -c {shlex.quote(INSIDE)}"
    plan = plan_of(
        stream("one", command=("sh", "-c", UNTIL_GO)),
        stream("two", command=("sh", "-c", UNTIL_GO)),
        stream("three", command=("sh", "-c", inside)),
        resources={"db": 1.0},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp / "state"))
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        for name in ("SOCKET", "STREAM", "TOKEN", "WORKSPACE"):
            patch.delenv(f"ANABRANCH_{name}", raising=False)
        host = start_run(project, plan, load_plugins().strategies)
        try:
            until(
                lambda: (
                    host.state.streams[StreamId("one")].pid
                    and host.state.streams[StreamId("two")].pid
                ),
                "pids",
            )
            until(lambda: host.state.streams[StreamId("three")].has_ended, "the third stream ends")
            yield host
        finally:
            host.submit(inputs.StopRun(reason="the test is over")).result(DEADLINE_SECONDS)
            host.wait(DEADLINE_SECONDS)
            host.close()


@pytest.fixture
def hosted(host: RunHost) -> Iterator[RunHost]:
    """Let the names mean the run that is hosted here."""
    with anabranch.hosting(host):
        yield host


def test_outside_of_any_run_they_say_what_to_do(host: RunHost) -> None:
    """Nothing is guessed: a process that is part of no run is told how to be part of one."""
    with pytest.raises(anabranch.Unreachable, match=r"hosting\(host\)"):
        anabranch.send_heartbeat("one", "alive")
    with pytest.raises(anabranch.Unreachable):
        anabranch.lock_manager.show_contentions()


def test_importing_the_package_imports_none_of_them() -> None:
    """Whoever only wants the engine, or a part of it, does not pay for the client."""
    program = (
        "import sys, anabranch; before = 'anabranch.quick' in sys.modules;"
        "anabranch.lock_manager; print(before, 'anabranch.quick' in sys.modules,"
        "bool({'asyncio', 'apsw', 'psutil', 'pydantic'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.split() == [b"False", b"True", b"False"]
    assert not hasattr(anabranch, "no_such_name")


def test_a_lock_is_held_in_a_block_and_waited_for_in_turn(hosted: RunHost) -> None:
    """Fences grow from grant to grant, and whoever waits is seen in the contentions."""
    locks = anabranch.lock_manager
    fences: list[int] = []

    def wait_for_it() -> None:
        with locks.acquire_file_lock("src/a.py", stream_id="two") as second:
            fences.append(second.fence)

    waiter = threading.Thread(target=wait_for_it)
    with locks.acquire_file_lock("src/a.py", mode="write", stream_id="one") as first:
        with pytest.raises(anabranch.NotGranted) as refused:
            locks.acquire_file_lock("src/", timeout_seconds=0)
        assert "one" in refused.value.reason
        assert refused.value.hint
        waiter.start()
        found = until(
            lambda: [c for c in locks.show_contentions() if c["outcome"] == "waiting"], "a wait"
        )
        assert (found[0]["stream"], found[0]["holder"], found[0]["path"]) == (
            "two",
            "one",
            "src/a.py",
        )
        assert not fences
    waiter.join(DEADLINE_SECONDS)
    assert fences
    assert fences[0] > first.fence
    assert first.lease_seconds > 0
    first.release()  # once more changes nothing


@pytest.mark.parametrize(("mode", "meant"), [("shared", "read"), ("exclusive", "write")])
def test_a_mode_has_two_names(hosted: RunHost, mode: Any, meant: str) -> None:
    """And any other one is refused in words."""
    locks = anabranch.lock_manager
    with locks.acquire_file_lock("src/mode.py", mode=mode, stream_id="one") as lock:
        assert lock.mode == meant
    other: Any = "append"
    with pytest.raises(anabranch.Refused, match="no mode 'append'"):
        locks.acquire_file_lock("src/mode.py", mode=other, stream_id="one")


def test_a_lock_that_was_lost_meanwhile_is_told_at_the_end(hosted: RunHost) -> None:
    """Work that was not protected to its end does not look as if it had been."""
    lock = anabranch.lock_manager.acquire_file_lock("src/b.py", stream_id="one")
    with client() as operator:
        operator.unlock("src/b.py").expect()
    with pytest.raises(anabranch.Refused), lock:
        pass


def test_a_deadlock_is_refused_with_its_ring(hosted: RunHost) -> None:
    """One of the two waits is given up and told why; the other gets what it waited for."""
    locks = anabranch.lock_manager
    refused: list[anabranch.Refused] = []
    got: list[str] = []

    def reach_for(path: str, name: str) -> None:
        try:
            with locks.acquire_file_lock(path, stream_id=name):
                got.append(name)
        except anabranch.Refused as error:
            refused.append(error)

    threads = [
        threading.Thread(target=reach_for, args=("ring/2", "one")),
        threading.Thread(target=reach_for, args=("ring/1", "two")),
    ]
    with (
        locks.acquire_file_lock("ring/1", stream_id="one"),
        locks.acquire_file_lock("ring/2", stream_id="two"),
    ):
        for thread in threads:
            thread.start()
        until(lambda: refused, "the ring is broken")
        assert not got
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert len(got) == 1
    assert {edge["stream"] for edge in refused[0].reply["cycle"]} == {"one", "two"}
    assert refused[0].hint


def test_versions_made_at_once_are_all_there(hosted: RunHost) -> None:
    """No update is lost, whoever was quicker; the log tells who, before and after."""
    state = anabranch.state_manager
    version = state.update_state("counter", 0, "one")

    def count(name: str) -> None:
        for _ in range(5):
            state.create_new_version(lambda v: {**v, "counter": v["counter"] + 1}, name)

    threads = [threading.Thread(target=count, args=(n,)) for n in ("one", "two", "operator")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    changes = state.get_change_log(since=version, key="counter")
    assert [(c["before"], c["after"]) for c in changes] == [(n, n + 1) for n in range(15)]
    assert {c["stream"] for c in changes} == {"one", "two", "operator"}
    with pytest.raises(anabranch.Refused, match="is at version"):
        state.update_state("counter", 1, "one", if_version=version)


def test_a_transformation_may_remove_keys_and_change_nothing(hosted: RunHost) -> None:
    """What is left out is removed; a version that would change nothing is not made."""
    state = anabranch.state_manager
    state.update_state("going", True, "one")
    state.update_state("staying", 1, "one")
    made = state.create_new_version(lambda v: {k: x for k, x in v.items() if k != "going"}, "one")
    assert "going" not in made
    assert made["staying"] == 1
    same = state.create_new_version(lambda values: values, "one")
    assert (same, same.version) == (made, made.version)
    after = state.create_new_version(lambda v: {**v, "staying": True}, "one")
    assert (after["staying"], after.version) == (True, made.version + 1)
    assert state.get_change_log(key="going")[-1]["after"] is None
    forgetful: Any = dict.clear
    with pytest.raises(anabranch.Refused, match="returned NoneType"):
        state.create_new_version(forgetful, "one")


def test_a_new_version_holds_what_others_wrote_meanwhile(hosted: RunHost) -> None:
    """What is returned is the state of that version, not what the function saw."""
    state = anabranch.state_manager
    state.update_state("mine", 0, "one")

    def meanwhile(values: dict[str, Any]) -> dict[str, Any]:
        state.update_state("theirs", "written meanwhile", "two")
        return {**values, "mine": 1}

    made = state.create_new_version(meanwhile, "one")
    assert (made["mine"], made["theirs"]) == (1, "written meanwhile")
    assert state.get_change_log(key="mine")[-1]["version"] == made.version


def test_messages_and_streams(hosted: RunHost) -> None:
    """Messages have ids; those who work now are listed, and where they will meet."""
    coordinator = anabranch.coordinator
    first = coordinator.send_message("one", "two", {"text": "hello"})
    assert coordinator.broadcast_message("two", "to all") > first
    active = {s["stream"]: s["state"] for s in coordinator.list_active_streams()}
    assert active.items() >= {"one": "running", "two": "running"}.items()
    (final,) = coordinator.convergence_status()
    assert final["point"] == "final"
    assert set(final["waiting_for"]) >= {"one", "two"}
    with pytest.raises(anabranch.Refused, match="no stream 'nobody'"):
        coordinator.send_message("nobody", "one", "hello")


def test_workspaces_heartbeats_and_resources(hosted: RunHost) -> None:
    """A stream's folder, a sign of life, and amounts that are granted or not."""
    folder = anabranch.allocate_stream_directory("one")
    assert (folder / "README.md").exists()
    with pytest.raises(anabranch.Refused):
        anabranch.allocate_stream_directory("nobody")
    assert "messages_waiting" in anabranch.send_heartbeat("one", "working")
    assert anabranch.request_resources("one", {"db": 1}).outcome == "granted"
    with pytest.raises(anabranch.Refused) as refused:
        anabranch.request_resources("two", {"db": 2})
    assert refused.value.hint


def test_a_stream_registered_here_can_be_acted_as(hosted: RunHost) -> None:
    """What joins from outside is a stream like the others."""
    found = anabranch.register_stream({"id": "guest", "capabilities": ["analysis"]}).expect()
    assert anabranch.send_heartbeat("guest", {"status": "looking"}).ok
    own = anabranch.allocate_stream_directory("guest")
    assert own == hosted.folder / "joined" / "guest"
    assert str(own) == found["directory"] == found["environment"]["ANABRANCH_WORKSPACE"]
    assert own.is_dir()
    active = {s["stream"]: s["state"] for s in anabranch.coordinator.list_active_streams()}
    assert active["guest"] == "joined"
    with pytest.raises(anabranch.Refused, match="'colour' is unknown"):
        anabranch.register_stream({"id": "x", "colour": "red"})


def test_the_quick_references_own_words_work_as_written(hosted: RunHost) -> None:
    """Each line of the quick reference, in its own words and with its own shapes."""
    lock_manager, state_manager = anabranch.lock_manager, anabranch.state_manager
    coordinator = anabranch.coordinator
    registered = anabranch.register_stream(
        {"id": "stream-1", "capabilities": ["code_gen", "testing"], "dependencies": ["three"]}
    )
    assert registered.outcome == "done"
    assert anabranch.send_heartbeat(
        "stream-1", {"status": "running", "progress": 0.25, "files_done": 3, "eta": None}
    ).ok
    kept = hosted.state.registry.joined[StreamId("stream-1")]
    assert (kept.status, kept.progress) == ("running", 0.25)
    assert kept.info == {"files_done": 3, "eta": None}
    with lock_manager.acquire_file_lock("src/quick.py", mode="write"):
        folder = anabranch.allocate_stream_directory("stream-1")
        anabranch.AtomicFileOperations.atomic_write(folder / "quick.py", "content")
    assert (folder / "quick.py").read_text("utf-8") == "content"
    assert lock_manager.show_contentions() is not None
    before = state_manager.update_state("key", "value", "stream-1")
    made = state_manager.create_new_version(lambda state: {**state, "key": "new"}, "stream-1")
    assert (made["key"], made.version > before) == ("new", True)
    assert state_manager.get_change_log()[-1]["key"] == "key"
    assert coordinator.send_message("stream-1", "one", {"type": "hello"}) > 0
    assert coordinator.broadcast_message("stream-1", "to all") > 0
    assert "stream-1" in {s["stream"] for s in coordinator.list_active_streams()}
    assert coordinator.convergence_status()[0]["point"] == "final"
    assert anabranch.request_resources("stream-1", {"cpu_cores": 0.1, "memory_mb": 1}).ok


@pytest.mark.parametrize("key", ["depends_on", "dependencies"])
def test_what_a_stream_depends_on_has_two_names(hosted: RunHost, key: str) -> None:
    """Either way it is looked at, and a single name need not stand in a list."""
    with pytest.raises(anabranch.Refused, match="no stream 'nobody' to depend on"):
        anabranch.register_stream({"id": f"by-{key}", key: "nobody"})


def test_inside_a_stream_all_of_them_work(host: RunHost) -> None:
    """The same names, through the socket that the environment names; as nobody but itself."""
    log = Path(host.state.streams[StreamId("three")].log or "").read_text("utf-8")
    assert "TOLD " in log, log
    found = json.loads(log.partition("TOLD ")[2].splitlines()[0])
    assert found["fence"] > 0
    assert found["path"] == "src/"
    assert found["contentions"] == []
    assert found["next"] > found["version"]
    assert [(c["before"], c["after"]) for c in found["log"]] == [(None, 1), (1, 2)]
    assert found["message"] > 0
    assert "three" in found["active"]
    assert found["points"] == ["final"]
    assert found["folder"] == str(host.folder / "workspaces" / "three")
    assert found["beat"]
    assert found["registered"]
    assert found["granted"] == "granted"
    assert found["refused"] == [
        "this process is stream three and cannot act as one",
        "use 'three'",
    ]
    assert "operator" in found["not allowed"]
