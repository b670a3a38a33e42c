"""Single handlers of a stream that has failed, tried again by a person: whole runs, real kills."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from anabranch.core.events import HandlerRecoveryRequested
from anabranch.engine.run_lock import holder_of
from anabranch.engine.runs import records_of
from tests.e2e.program import Program, until
from tests.e2e.test_run import content
from tests.engine.repositories import git, write


class Fan:
    """A stream of handlers, each of which fails until it is mended, and one that depends on it."""

    def __init__(self, program: Program, mended: Path, **more: Any) -> None:
        self.program, self._mended = program, mended
        mended.mkdir()
        command = (
            "echo {item} > {item}; echo {item} >> " + f"{mended}/done; "
            "echo {index} > $ANABRANCH_RESULT; " + f"test -e {mended}/{{item}}"
        )
        fan = {"each": list("abcd"), "command": command, "retries": 2, **more}
        take = {"command": "cat $ANABRANCH_RESULTS > found", "depends_on": ["fan"]}
        program.plan({"fan": fan, "take": take})

    def mend(self, items: str) -> None:
        for item in items:
            (self._mended / item).touch()

    @property
    def done(self) -> Counter[str]:
        """How often each item was handled."""
        return Counter((self._mended / "done").read_text().split())

    def counts(self) -> dict[str, int]:
        (fan, _) = self.program.expect(0, "status", "--json").json()["streams"]
        counts: dict[str, int] = fan["handlers"]
        return counts


@pytest.mark.parametrize(
    "more", [{}, {"handler_workspace": "each"}, {"retries": 0}], ids=["together", "each", "once"]
)
def test_one_after_another_is_mended_until_the_stream_has_succeeded(
    program: Program, tmp_path: Path, more: dict[str, Any]
) -> None:
    """Each runs alone; what is told is about all of them; in the end it is merged like others."""
    fan = Fan(program, tmp_path / "mended", **more)
    fan.mend("a")
    program.expect(1, "run", "--headless")
    tried = fan.done["b"]
    attempt = program.streams()["fan"]["attempt"]
    fan.mend("bcd")

    told = program.expect(0, "recover", "fan", "--handler", "1").err
    assert "handler 1 of fan is tried again: b" in told
    why = "exit 1: 2 handlers have failed, not tried again"
    assert f"fan has failed: {why}" in told
    assert program.streams()["fan"]["reason"] == why
    assert program.streams()["take"]["state"] == "skipped"
    counts = {"total": 4, "succeeded": 2, "failed": 2, "running": 0, "not_tried_again": 2}
    assert fan.counts() == counts
    (entry,) = program.expect(0, "report", "--format", "json").json()["handlers"]
    left = [(f["handler"], f["not_tried_again"]) for f in entry["failures"]]
    assert (left, entry["succeeded"]) == ([(2, True), (3, True)], 2)
    assert "2 of 4 done, 2 failed, 2 of them not tried again" in program.expect(0, "report").out
    suite = ElementTree.fromstring(program.expect(0, "report", "--format", "junit").out)
    cases = {case.get("name"): case.find("failure") for case in suite}
    assert cases["b"] is None
    assert cases["c"] is not None
    assert f"not tried again in attempt {attempt + 1}" in str(cases["c"].get("message"))

    program.expect(0, "recover", "fan", "--handler", "2")
    program.expect(0, "recover", "fan", "--handler", "3")
    assert fan.done == {"a": 1, **dict.fromkeys("bcd", tried + 1)}
    status = program.status()
    assert status["state"] == "converged"
    found = content(program, str(status["commit"]), "found").splitlines()
    assert [json.loads(line) for line in found] == [{"index": n, "result": n} for n in range(4)]
    assert content(program, str(status["commit"]), "b") == "b\n"
    assert fan.counts()["not_tried_again"] == 0
    (change,) = program.expect(0, "state", "log", "--json").json()["changes"]
    assert [one["result"] for one in change["after"]] == [0, 1, 2, 3]
    told = program.expect(2, "recover", "fan", "--handler", "1").err
    assert "fan has succeeded" in told


def test_what_cannot_be_tried_alone_is_refused_with_the_next_step(
    program: Program, tmp_path: Path
) -> None:
    fan = Fan(program, tmp_path / "mended", retries=0, max_failures=1, max_parallel=1)
    fan.mend("a")
    program.expect(1, "run", "--headless")
    told = program.expect(2, "recover", "fan", "--handler", "0").err
    assert "handler 0 of fan has succeeded" in told
    told = program.expect(2, "recover", "fan", "--handler", "3").err
    assert "fan has begun no handler 3" in told
    assert "anabranch recover fan hard runs all that are not done" in told
    told = program.expect(2, "recover", "take", "--handler", "0").err
    assert "take has no handlers" in told
    assert program.streams()["fan"]["attempt"] == 1


def test_a_task_comes_after_what_failed_before_it_and_what_waits_follows(
    program: Program, tmp_path: Path
) -> None:
    command = f"echo $ANABRANCH_INDEX >> {tmp_path}/done; test -e {tmp_path}/mended"
    names = {"a": [], "b": ["a"], "c": ["b"]}
    tasks = [{"id": name, "command": command, "after": after} for name, after in names.items()]
    write(program.project, {"tasks.json": json.dumps({"tasks": tasks})})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "graph")
    program.plan({"fan": {"each": {"graph": "tasks.json"}, "retries": 0}})
    program.expect(1, "run", "--headless")
    told = program.expect(2, "recover", "fan", "--handler", "2").err
    assert "handler 2 of fan comes after a, which failed" in told
    assert "anabranch recover fan --handler 0 tries that one again" in told
    (tmp_path / "mended").touch()
    program.expect(0, "recover", "fan", "--handler", "0")
    assert program.status()["state"] == "converged"
    assert (tmp_path / "done").read_text().split() == ["0", "0", "1", "2"]


def test_in_your_own_folder_what_you_have_mended_there_is_tried_again(program: Program) -> None:
    """Also where the inputs that it is known by have changed."""
    write(program.project, {"x.in": "1", "y.in": "1"})
    command = "echo {item} >> done; grep -q 2 {item}.in"
    fan = {"each": ["x", "y"], "command": command, "inputs": ["{item}.in"], "retries": 0}
    program.plan({"fan": fan}, isolation={"workspace": "shared"})
    program.expect(1, "run", "--headless")
    write(program.project, {"x.in": "2", "y.in": "2"})
    program.expect(0, "recover", "fan", "--handler", "1")
    assert (program.project / "done").read_text().split().count("x") == 1
    program.expect(0, "recover", "fan", "--handler", "0")
    assert program.status()["state"] == "converged"


@pytest.mark.parametrize("moment", ["requested", "started"])
def test_killed_after_the_request_it_is_done_by_whoever_comes_next(
    program: Program, tmp_path: Path, moment: str
) -> None:
    """Neither lost nor doubled; what is asked for while it runs is heard as well."""
    done, gate = tmp_path / "done", tmp_path / "gate"
    command = f"echo {{item}} >> {done}; test -e {tmp_path}/go || exit 1; "
    command += f"until test -e {gate}; do sleep 0.05; done"
    program.plan({"fan": {"each": list("abcd"), "command": command, "retries": 0}})
    program.expect(1, "run", "--headless")
    (tmp_path / "go").touch()
    asked = program.begin("recover", "fan", "--handler", "1")
    if moment == "requested":
        until(lambda: _requests(program), "the request is written down")
    else:
        until(lambda: done.read_text().split().count("b") == 2, "it runs")
    asked.kill()
    resumed = program.begin("resume", "--headless")
    until(lambda: holder_of(program.folder().lock) == resumed.pid, "somebody else hosts it")
    until(lambda: done.read_text().split().count("b") == 2, "it runs")
    program.expect(0, "recover", "fan", "--handler", "3")
    until(lambda: done.read_text().split().count("d") == 2, "the other one runs, too")
    gate.touch()
    assert resumed.wait().code == 1
    assert Counter(done.read_text().split()) == {"a": 1, "b": 2, "c": 1, "d": 2}
    assert [one.handler for one in _requests(program)] == [1, 3]
    assert program.streams()["fan"]["reason"] == "exit 1: 2 handlers have failed, not tried again"


def test_however_fast_they_are_asked_for_each_is_tried_once(
    program: Program, tmp_path: Path
) -> None:
    """Before, while and just after the attempt of another one runs."""
    done, items = tmp_path / "done", [str(n) for n in range(12)]
    command = f"echo {{item}} >> {done}; test -e {tmp_path}/mended"
    blocker = {"command": f"until test -e {tmp_path}/over; do sleep 0.05; done"}
    fan = {"each": items, "command": command, "retries": 0}
    program.plan({"fan": fan, "blocker": blocker})
    running = program.begin("run", "--headless", "--keep-going")
    until(
        lambda: program.run_folders() and program.streams()["fan"]["state"] == "failed",
        "the handlers have failed",
    )
    (tmp_path / "mended").touch()
    for place in items:
        program.expect(0, "recover", "fan", "--handler", place)
    until(lambda: program.streams()["fan"]["state"] == "succeeded", "all have succeeded")
    (tmp_path / "over").touch()
    assert running.wait().code == 0
    assert Counter(done.read_text().split()) == dict.fromkeys(items, 2)


def _requests(program: Program) -> list[HandlerRecoveryRequested]:
    events = (record.event for record in records_of(program.folder()))
    return [event for event in events if isinstance(event, HandlerRecoveryRequested)]
