"""A plugin that brings no strategy: importer, report format, observer, probe, executor, at work."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from tests.e2e.program import Program, until
from tests.engine.repositories import write
from tests.plugins.trace_rules import checked
from tests.plugins.wheels import write_wheel

SOURCE = """
import os
from anabranch.extending import Imported, NotThisFormat
from anabranch.hookspecs import hookimpl

class Lines:
    name = "lines"
    file_names = ("*.lines",)
    def convert(self, text):
        if "boom" in text:
            raise ValueError("boom")
        return Imported({"streams": {f"s{n}": l for n, l in enumerate(text.split(), 1)}}, ("all",))

class Short:
    name = "short"
    def render(self, report, events):
        return f"{report['plan']}: {report['state']}, {len(events)} events" + chr(10)

class Diary:
    name = "diary"
    def saw(self, event):
        with open(os.environ.get("DIARY", os.devnull), "a") as file:
            file.write(event["type"] + chr(10))

class Seats:
    name = "seats"
    def amount(self):
        return 2

class Marked:
    name = "marked"
    def command_line(self, launch):
        return ["/bin/sh", "-c", "echo run by $0; exec \\"$@\\"", self.name, *launch.command]

@hookimpl
def anabranch_importers(): return [Lines()]
@hookimpl
def anabranch_report_formats(): return [Short()]
@hookimpl
def anabranch_observers(): return [Diary()]
@hookimpl
def anabranch_resource_probes(): return [Seats()]
@hookimpl
def anabranch_executors(): return [Marked()]
"""


def test_what_a_tool_reads_beside_its_file_is_named(program: Program) -> None:
    """Foreman reads ``.env`` unasked; a plan says so for each stream, or has nothing of it."""
    write(program.project, {"Procfile": "web: true\n"})
    assert ".env" not in program.expect(0, "import", "Procfile").err
    write(program.project, {".env": "A=1\n"})
    assert "env_file = ['.env']" in program.expect(0, "import", "Procfile").err


def test_a_plugin_brings_all_five_and_each_works(program: Program) -> None:
    """Imported, run, observed and told: an end to end round with an installed plugin."""
    made = write_wheel(program.scratch, "anabranch-extras", SOURCE)
    program.expect(0, "plugins", "install", str(made), "--no-index", "--yes")
    (program.project / "x.lines").write_text("true\ntrue\n")
    answer = program.expect(0, "import", "x.lines")
    assert 's2 = "true"' in answer.out
    assert "left out: all" in answer.err
    marked = '[streams.m]\ncommand = "true"\nexecutor = "marked"\n'
    (program.project / "anabranch.toml").write_text(f"{answer.out}\n{marked}")
    diary = program.scratch / "diary"
    running = program.begin("run", "--headless", DIARY=str(diary))
    assert running.wait().code == 0
    until(lambda: "run_converged" in diary.read_text(), "the observer has seen the end")
    assert diary.read_text().split()[0] == "run_started"
    assert program.log("m") == "run by marked\n"
    shown = program.expect(0, "report", "--format", "short").out
    assert f"converged, {len(program.events())} events" in shown
    too_much = "version = 1\n[streams.a]\ncommand = 'true'\nresources = { seats = 3 }\n"
    (program.project / "anabranch.toml").write_text(too_much)
    answer = program.expect(2, "run", "--headless")  # known before anything starts
    assert "needs 3 seats, and there are only 2" in answer.err
    one_more = {"command": "ab-stream request seats=1", "resources": {"seats": 1}}
    program.plan({"a": one_more})
    program.expect(0, "run", "--headless")  # as many as were measured, not as the plan asks for
    program.expect(2, "--safe-mode", "report", "--format", "short")


def test_an_importer_that_fails_is_named(program: Program) -> None:
    made = write_wheel(program.scratch, "anabranch-extras", SOURCE)
    program.expect(0, "plugins", "install", str(made), "--no-index", "--yes")
    (program.project / "x.lines").write_text("boom\n")
    answer = program.expect(2, "import", "x.lines")
    assert "as lines: ValueError: boom" in answer.err


EXECUTORS = """
from anabranch.hookspecs import hookimpl

class Wrapped:
    name = "wrapped"
    def command_line(self, launch):
        words = f"{launch.stream} {launch.attempt}"
        return ["/bin/sh", "-c", "echo by $0 > by.txt; exec \\"$@\\"", words, *launch.command]

class Lost:
    name = "lost"
    def command_line(self, launch):
        raise RuntimeError("no room on the cluster")

@hookimpl
def anabranch_executors():
    return [Wrapped(), Lost()]
"""


def test_an_executor_says_how_a_stream_is_run_and_without_it_nothing_runs(
    program: Program,
) -> None:
    made = write_wheel(program.scratch, "anabranch-executors", EXECUTORS)
    program.expect(0, "plugins", "install", str(made), "--no-index", "--yes")
    setup = {"setup": "cat by.txt", "setup_inputs": ["README.md"]}
    program.plan({"a": {"command": "cat by.txt", "executor": "wrapped"}}, isolation=setup)
    program.expect(0, "run", "--headless")
    assert program.log("a") == "by a 1\n"
    why_not, said = program.run("logs", "a", "--setup").out.splitlines()
    assert "no earlier result is used, nor is this one kept: the executor 'wrapped'" in why_not
    assert said == "by a 1"
    program.plan({"a": {"command": "true", "executor": "lost", "retries": 0}})
    program.expect(1, "run", "--headless")
    assert "'lost' did not say how to run it" in program.streams()["a"]["reason"]
    faults = [e["fault"] for e in program.events() if e["type"] == "strategy_faulted"]
    assert faults[0] == "RuntimeError: no room on the cluster"
    program.plan({"a": {"command": "true", "executor": "wraped"}})
    assert "did you mean `wrapped`?" in program.expect(2, "check").err


def test_the_trace_of_a_real_run_keeps_the_rules_and_has_an_arrow_a_dependency(
    program: Program,
) -> None:
    """With another try, handlers, a wait for a lock and one for a rate; each arrow where it is."""
    again = 'test "$ANABRANCH_ATTEMPT" -gt 1'
    gate = program.scratch / "gate"
    program.plan(
        {
            "first": {"command": again, "retries": 1, "rate": {"at_most": 1, "per": "3s"}},
            "fan": {"command": "sleep 0.0{item}", "each": ["1", "2", "3"], "depends_on": ["first"]},
            "left": f"ab-stream lock file; touch {gate}; sleep 0.5; ab-stream unlock file",
            "right": f"until test -e {gate}; do sleep 0.02; done; ab-stream lock file --wait 30",
            "last": {"command": "true", "depends_on": ["fan", "left"]},
        }
    )
    program.expect(0, "run", "--headless")
    found = checked(program.expect(0, "report", "--format", "trace").out)
    arrows = {e["name"] for e in found if e["ph"] == "s"}
    assert arrows == {
        "fan needs first",
        "last needs fan",
        "last needs left",
    }
    slices = [e for e in found if e["ph"] == "X"]
    attempts = sorted(e["name"] for e in slices if e["cat"] == "attempt")
    assert attempts == ["fan", "first", "first, attempt 2", "last", "left", "right"]
    assert sum(e["cat"] == "handler" for e in slices) == 3
    kinds = {e["args"]["kind"] for e in slices if e["cat"] == "wait"}
    assert {"dependency", "time", "lock"} <= kinds


def test_junit_and_the_trace_of_a_real_run(program: Program) -> None:
    """Every sort of outcome that continuous integration asks about, from one run's own report."""
    program.plan(
        {
            "good": "touch good",
            "left": "echo left > both",
            "right": "echo right > both",
            "bad": {"command": r"printf 'it said <&>\033\n'; echo x > kept; exit 3", "retries": 0},
            "after": {"command": "true", "depends_on": ["bad"]},
        }
    )
    program.expect(4, "run", "--keep-going")
    suite = ElementTree.fromstring(program.expect(0, "report", "--format", "junit").out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("6", "2", "1")
    assert [case.get("name") for case in suite if len(case) == 0] == ["good", "left", "right"]
    failure = suite.find("testcase[@name='bad']/failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("failed", "exit 3")
    assert "refs/anabranch/partial/" in (failure.text or "")
    assert suite.findtext("testcase[@name='bad']/system-out") == "it said <&>\\x1b"
    assert suite.find("testcase[@name='after']/skipped") is not None
    assert suite.findtext("testcase[@name='final']/failure") == "conflicts: both"
    trace = json.loads(program.expect(0, "report", "--format", "trace").out)["traceEvents"]
    attempts = {e["name"] for e in trace if e.get("cat") == "attempt"}
    assert len(attempts) == 4
