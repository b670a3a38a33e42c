"""What scripts rely on: keys, types, times, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from anabranch_console.app import ConsoleExit
from anabranch_console.followed_run import FollowedRun
from tests.e2e.program import PROGRAM, Program, until
from tests.engine.repositories import git, make_repository

RUN_STATES = {"running", "interrupted", "needs_operator", "converged", "failed", "stopped"}
STREAM_STATES = {
    "waiting",
    "queued",
    "starting",
    "running",
    "ready",
    "stalled",
    "recovering",
    "succeeded",
    "failed",
    "skipped",
    "quarantined",
    "stopped",
}
Shape = dict[str, type | tuple[type, ...]]
OPTIONAL_TEXT = (str, type(None))
OPTIONAL_NUMBER = (int, type(None))
STATUS: Shape = {
    "schema": int,
    "run": str,
    "plan": str,
    "state": str,
    "branch": OPTIONAL_TEXT,
    "commit": OPTIONAL_TEXT,
    "streams": list,
    "convergence": list,
    "overhead_share": (int, float),
}
STREAM: Shape = {
    "stream": str,
    "state": str,
    "attempt": int,
    "exit_code": OPTIONAL_NUMBER,
    "reason": str,
    "evidence": str,
    "pid": OPTIONAL_NUMBER,
    "started": OPTIONAL_TEXT,
    "ended": OPTIONAL_TEXT,
    "files_changed": OPTIONAL_NUMBER,
    "workspace": OPTIONAL_TEXT,
    "log": OPTIONAL_TEXT,
    "rescue": list,
}
POINT: Shape = {
    "point": str,
    "type": str,
    "state": str,
    "arrived": list,
    "waiting_for": list,
    "merged": list,
    "quarantined": list,
    "conflicts": list,
}
REPORT: Shape = {
    **STATUS,
    "wall_seconds": (int, float),
    "work_seconds": (int, float),
    "speedup": (int, float, type(None)),
    "lower_bound_seconds": (int, float, type(None)),
    "efficiency": (int, float, type(None)),
    "utilisation": (int, float, type(None)),
    "cpu_utilisation": (int, float, type(None)),
    "overhead": dict,
    "critical_path": dict,
    "recoveries": list,
    "integrity": dict,
    "timeline": dict,
    "partial": list,
    "rescue": list,
}


def assert_shape(found: dict[str, Any], shape: Shape) -> None:
    """Check that every promised key is there, with a value of its type."""
    for key, kinds in shape.items():
        assert key in found, f"{key} is missing: {sorted(found)}"
        assert isinstance(found[key], kinds), (key, found[key])


def moment(text: str) -> datetime:
    """Read a time, which must be in the form of RFC 3339 and have an offset."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text), text
    found = datetime.fromisoformat(text)
    assert found.utcoffset() == timedelta(0)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give the program in a project with one run that is over, and of everything a little."""
    place = tmp_path_factory.mktemp("finished")
    project = make_repository(place / "project", {"README.md": "a project\n"})
    program = Program(project, place / "state", place / "scratch")
    program.plan(
        {
            "one": "echo one > one.txt",
            "two": {"command": "echo two > two.txt", "depends_on": ["one"]},
            "again": {"command": 'echo x > x.txt; test "$ANABRANCH_ATTEMPT" = 2', "retries": 1},
            "bad": {"command": "exit 3", "retries": 0, "optional": True},
        },
        name="shapes",
    )
    program.expect(0, "run", "--headless")
    yield program
    program.end_everything()


def test_check_tells_the_plan(finished: Program) -> None:
    """Names, waves, critical path and estimate of a valid plan; exit 0."""
    answer = finished.asked(0, "check", "--json").json()
    assert answer["schema"] == 1
    assert answer["name"] == "shapes"
    assert answer["streams"] == ["one", "two", "again", "bad"]
    assert answer["waves"] == [["one", "again", "bad"], ["two"]]
    assert answer["critical_path"]
    assert set(answer["critical_path"]) <= set(answer["streams"])
    assert isinstance(answer["estimated_seconds"], int | float)
    assert answer["errors"] == []
    assert all({"code", "message"} <= warning.keys() for warning in answer["warnings"])


def test_runs_tells_every_run_newest_first(finished: Program) -> None:
    """Run, plan, project, state, times and how many streams are in which state."""
    answer = finished.asked(0, "runs", "--json").json()
    assert answer["schema"] == 1
    (run,) = answer["runs"]
    assert run["plan"] == "shapes"
    assert run["project"] == str(finished.project)
    assert run["state"] in RUN_STATES
    assert moment(run["started"]) <= moment(run["ended"])
    assert run["streams"] == {"succeeded": 3, "failed": 1}


def test_status_has_the_promised_shape(finished: Program) -> None:
    """Every key of the contract, of the run, its streams and its points."""
    answer = finished.asked(0, "status", "--json").json()
    assert_shape(answer, STATUS)
    assert answer["state"] == "converged"
    assert answer["branch"] == f"anabranch/{answer['run']}"
    assert git(finished.project, "rev-parse", answer["branch"]).strip() == answer["commit"]
    assert 0 <= answer["overhead_share"] <= 1
    for stream in answer["streams"]:
        assert_shape(stream, STREAM)
        assert stream["state"] in STREAM_STATES
        assert moment(stream["started"]) <= moment(stream["ended"])
        assert Path(stream["log"]).is_file()
        assert Path(stream["workspace"]).is_dir()
        assert stream["pid"] is None
    assert [s["exit_code"] for s in answer["streams"]] == [0, 0, 0, 3]
    (point,) = answer["convergence"]
    assert_shape(point, POINT)
    assert sorted(point["merged"]) == ["again", "one", "two"]
    assert point["waiting_for"] == []


def test_streams_tells_the_same_streams(finished: Program) -> None:
    """``streams --json`` is the streams of ``status --json``, and more about each."""
    answer = finished.asked(0, "streams", "--json").json()
    assert answer["schema"] == 1
    status = finished.asked(0, "status", "--json").json()["streams"]
    assert [one["stream"] for one in answer["streams"]] == [one["stream"] for one in status]
    for more, one in zip(answer["streams"], status, strict=True):
        assert more.items() >= one.items()
        assert set(more) - set(one) == {"capabilities", "liveness"}


def test_events_are_numbered_without_gaps(finished: Program) -> None:
    """Each line is an object with schema, seq, time, type, run and cause."""
    events = finished.asked(0, "events", "--json").json_lines()
    run = finished.folder().run
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    times = [moment(event["time"]) for event in events]
    assert times == sorted(times)
    for event in events:
        assert event["schema"] == 1
        assert event["run"] == run
        assert re.fullmatch(r"[a-z_]+", event["type"])
        assert event["cause"] is None or event["cause"] < event["seq"]
    kinds = {event["type"] for event in events}
    assert kinds >= {
        "run_started",
        "stream_registered",
        "stream_started",
        "stream_succeeded",
        "stream_failed",
        "convergence_arrived",
        "convergence_merged",
        "partial_captured",
        "run_converged",
    }
    only = finished.asked(0, "events", "--json", "--stream", "two").json_lines()
    assert {event["stream"] for event in only} == {"two"}


def test_report_has_the_promised_shape(finished: Program) -> None:
    """As JSON every key of the contract; as text and Markdown the same facts."""
    answer = finished.asked(0, "report", "--format", "json").json()
    assert_shape(answer, REPORT)
    assert answer == finished.asked(0, "report", "--json").json()
    assert answer == json.loads(finished.folder().report.read_bytes())
    assert answer["critical_path"].keys() >= {"predicted", "actual"}
    assert answer["integrity"].keys() >= {"journal", "state", "events"}
    assert answer["integrity"]["journal"] == "ok"
    assert (answer["timeline"]["check"], answer["timeline"]["out_of_order"]) == ("ok", 0)
    assert answer["timeline"]["events"] == answer["integrity"]["events"]
    assert all(isinstance(seconds, int | float) for seconds in answer["overhead"].values())
    latency = answer["decision_latency"]
    assert 0 < latency["p50_seconds"] <= latency["p99_seconds"] <= latency["max_seconds"] < 60
    assert latency["count"] >= len(answer["streams"])
    failures = answer["coordination_failures"]
    assert (failures["count"], failures["share"]) == (0, 0.0)
    assert failures["of"] >= 3 * len(answer["streams"])
    assert len(answer["recoveries"]) == 1
    assert len(answer["partial"]) == 1
    assert git(finished.project, "show", f"{answer['partial'][0]}:x.txt") == "x\n"
    for form in ("text", "md"):
        text = finished.asked(0, "report", "--format", form).out
        assert all(name in text for name in ("one", "two", "again", "bad", "exit 3"))
        assert "99 % within" in text
        assert f"none of {failures['of']} effects" in text


def test_the_report_tells_also_what_came_after_the_end(program: Program) -> None:
    """A first attempt's large workspace is still given back when the second one has ended."""
    crowd = "mkdir crowd; cd crowd; seq 12000 | xargs touch; exit 1"
    command = f'test "$ANABRANCH_ATTEMPT" = 2 || {{ echo crowd > .gitignore; {crowd}; }}'
    program.plan({"again": {"command": command, "retries": 1}})
    program.expect(0, "run", "--headless")
    events = program.events()
    assert "workspace_reclaimed" in [event["type"] for event in events]
    assert json.loads(program.folder().report.read_bytes())["integrity"]["events"] == len(events)


def test_schema_is_a_json_schema_of_plans(finished: Program) -> None:
    """It names its dialect and knows the tables."""
    answer = finished.asked(0, "schema").json()
    assert answer["$schema"].startswith("https://json-schema.org/")
    assert {"streams", "coordination", "convergence"} <= answer["properties"].keys()


def test_init_writes_a_plan_that_runs_and_never_overwrites(program: Program) -> None:
    """``init``, then ``check``; a second ``init`` is refused and the file is as it was."""
    program.asked(0, "init")
    path = program.project / "anabranch.toml"
    written = path.read_bytes()
    schema = program.project / written.decode().splitlines()[0].removeprefix("#:schema ")
    assert json.loads(schema.read_text("utf-8")) == program.asked(0, "schema").json()
    program.asked(0, "check")
    program.asked(2, "init")
    assert path.read_bytes() == written


@pytest.mark.parametrize("module", ["anabranch", "anabranch_console"])
def test_the_program_is_also_a_module(program: Program, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("anabranch, version ")


def waiting_plan(program: Program) -> None:
    """Write a plan of two streams that go on until they are ended, and one that waits for them."""
    wait = "trap 'echo asked > asked.txt; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    program.plan({"a": wait, "b": wait, "c": {"command": "true", "depends_on": ["a"]}})


def test_a_time_limit_stops_the_run(program: Program) -> None:
    """Exit 124; the streams were asked to end, and their work is kept."""
    waiting_plan(program)
    answer = program.expect(124, "run", "--headless", "--time-limit", "2s")
    assert "time limit" in answer.err
    assert program.status()["state"] == "stopped"
    assert {s["state"] for s in program.status()["streams"]} == {"stopped"}
    program.await_quiet()
    program.expect(124, "resume", "--headless", "--time-limit", "1s")  # from then on, not in all
    assert program.streams()["a"]["attempt"] == 2


def test_stopping_a_hosted_run_is_done_by_its_host(program: Program) -> None:
    """``stop`` returns when the run has ended; the host ends with 1; partial work is kept."""
    waiting_plan(program)
    host = program.begin("run", "--headless")
    for name in ("a", "b"):
        program.await_log(name, "ready")
    answer = program.asked(0, "stop")
    assert "is stopped" in answer.err
    assert program.status()["state"] == "stopped"
    assert host.wait().code == 1
    streams = program.streams()
    assert [streams[name]["state"] for name in "abc"] == ["stopped"] * 3
    kept = streams["a"]["partial"]
    assert git(program.project, "show", f"{kept[0]}:asked.txt") == "asked\n"
    program.await_quiet()
    assert "already ended" in program.asked(0, "stop").err


def test_stopping_a_run_that_nobody_hosts(program: Program) -> None:
    """``stop`` hosts it for as long as that takes; afterwards it can be resumed."""
    waiting_plan(program)
    host = program.begin("run", "--headless")
    for name in ("a", "b"):
        program.await_log(name, "ready")
    host.kill()
    until(lambda: program.status()["state"] == "interrupted", "nobody hosts the run")
    program.expect(0, "stop")
    assert program.status()["state"] == "stopped"
    program.await_quiet()
    resumed = program.begin("resume", "--headless")
    program.await_log("a", "ready", attempt=2)
    program.expect(0, "stop")
    assert resumed.wait().code == 1


def test_progress_without_a_terminal_is_plain_text(program: Program) -> None:
    """No colours, no cursor movements; the report on stdout, everything else on stderr."""
    program.plan({"s": "echo x > x.txt"}, name="plain")
    for name, value in (("TERM", "dumb"), ("CI", "1"), ("LC_ALL", "C")):
        answer = program.begin("run", **{name: value}).wait()
        assert answer.code == 0, answer
        assert "\x1b" not in answer.out + answer.err
        assert "started, pid" in answer.err
        assert "plain converged" in answer.out
        assert "started, pid" not in answer.out


def test_json_of_a_run_is_its_events_and_nothing_else(program: Program) -> None:
    """``run --json``: each line of stdout an event, the last one how it ended."""
    program.plan({"s": "echo x > x.txt; exit 1"}, recovery={"max_retries": 0})
    answer = program.run("run", "--json")
    assert answer.code == 1
    assert answer.json_lines() == program.events()
    assert answer.json_lines()[-1]["type"] == "run_failed"


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}, {}])
def test_headless_on_a_terminal_needs_nothing_of_it(program: Program, env: dict[str, str]) -> None:
    """On a terminal that shows no console, or with --headless: text and no screen."""
    program.plan({"s": "echo x > x.txt"}, name="terminal")
    arguments = ["run"] if env else ["run", "--headless"]
    ours, theirs = pty.openpty()
    environment = program.environment(**({"TERM": "xterm-256color"} | env))
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=program.project,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = bytearray()

    def has_ended() -> bool:
        while select.select([ours], [], [], 0)[0]:
            try:
                said.extend(os.read(ours, 65536))
            except OSError:
                break
        return process.poll() is not None

    try:
        until(has_ended, "the command ends")
    finally:
        process.kill()
        os.close(ours)
    text = said.decode()
    assert process.returncode == 0, text
    assert "terminal converged" in text
    assert "\x1b[?1049h" not in text
    assert "\x1b[2J" not in text


def test_a_closed_pipe_is_no_error(program: Program) -> None:
    """``anabranch events | head -1`` ends quietly."""
    program.plan({f"s{n}": "true" for n in range(20)})
    program.expect(0, "run", "--headless")
    script = f"{shlex.join(PROGRAM)} events --json | head -1"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=program.project,
        env=program.environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["type"] == "run_started"
    assert done.stderr == b""


def test_an_imported_plan_that_is_not_valid_is_told_with_the_lines_that_were_printed(
    program: Program,
) -> None:
    """It is printed, to be mended, and the exit code says that it has to be."""
    (program.project / "q.yaml").write_text(
        "coordination: {recovery: {max_retries: -1}}\nstreams: {a: no-such-program-anywhere}\n",
        "utf-8",
    )
    answer = program.asked(2, "import", "q.yaml")
    (place,) = [line for line in answer.err.splitlines() if "max_retries" in line]
    line = int(place.split(":")[1])
    assert answer.out.splitlines()[line - 1] == "max_retries = -1"
    (program.project / "Procfile").write_text("a: no-such-program-anywhere\n", "utf-8")
    assert "missing-program" in program.asked(0, "import", "Procfile").err


def test_looking_at_a_run_that_is_over_changes_nothing(
    finished: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console follows it; only what is to be done in it makes somebody host it."""
    hosting: list[str] = []

    def look(source: FollowedRun, *_: object) -> ConsoleExit:
        source.take(0)
        hosting.append(source.hosting)
        return ConsoleExit("")

    monkeypatch.setattr("anabranch_console.app.run_console", look)
    monkeypatch.setattr("anabranch_console.cli.console.why_no_console", lambda: None)
    before = finished.events()
    answer = finished.ask("console")
    assert (answer.code, hosting) == (0, ["nobody"])
    assert finished.events() == before


def test_each_event_says_what_it_is_about(program: Program) -> None:
    """Also one that brings no reason: how much the machine has, say."""
    program.plan({"a": "true"})
    program.expect(0, "run", "--headless")
    (line,) = (row for row in program.expect(0, "events").out.splitlines() if "measured" in row)
    assert "cores" in line
