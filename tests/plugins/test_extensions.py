"""What plugins bring besides strategies: it works, and what is wrong with it costs nobody else."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from anabranch.core import inputs
from anabranch.engine.guarded_strategies import MOST_FAULTS, Guard
from anabranch.engine.observing import Observing
from anabranch.engine.probing import measured_capacity
from anabranch.extending import Imported, NotThisFormat
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream
from anabranch.testing.clock import FakeClock
from anabranch.testing.trying import strategies_with

# --- the built-in ones ---------------------------------------------------------------------------

IMPORTERS = load_plugins().extensions.importers

GIVEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "procfile": (
        "# comment\nweb: ./web --port 80\nworker: ./work\n",
        {"streams": {"web": "./web --port 80", "worker": "./work"}},
        "",
    ),
    "process-compose": (
        "processes:\n  a b: {command: ./a, availability: {restart: on_failure}}\n"
        "  c:\n    command: ./c\n    depends_on: {a b: {condition: process_completed}}\n"
        "    readiness_probe: {}\n",
        {
            "streams": {
                "a-b": {"command": "./a", "retries": 3},
                "c": {
                    "command": "./c",
                    "retries": 0,
                    "depends_on": {"a-b": {"condition": "completed"}},
                },
            }
        },
        "c.readiness_probe",
    ),
    "compose": (
        "services:\n  db: {image: x}\n  job: {command: ['./j', '1'], depends_on: [db]}\n",
        {"streams": {"job": {"command": ["./j", "1"], "retries": 0}}},
        "job.depends_on.db",
    ),
    "quick-reference": (
        "coordination:\n  convergence_type: barrier\n  isolation: {workspace: isolated}\n"
        "  recovery: {max_retries: 3, mood: calm}\n",
        {
            "coordination": {
                "convergence_type": "barrier",
                "isolation": {"workspace": "isolated"},
                "recovery": {"max_retries": 3},
            },
            "streams": {"example": "echo replace me"},
        },
        "coordination.recovery.mood",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_each_importer_carries_what_a_plan_can_say_and_names_the_rest(name: str) -> None:
    text, plan, left_out = GIVEN[name]
    found = IMPORTERS[name].convert(text)
    assert found.plan == plan
    assert left_out in " ".join(found.left_out)


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("text", ["", "[1, 2]", "x: [", "a: !!python/object:os.system x", "a: 1"])
def test_what_is_of_another_format_is_refused_in_words(name: str, text: str) -> None:
    if (name, text) == ("procfile", "a: 1"):
        pytest.skip("that is a Procfile")
    if name == "procfile" and text.startswith(("a:", "x:")):
        assert isinstance(IMPORTERS[name].convert(text), Imported)
        return
    with pytest.raises(NotThisFormat):
        IMPORTERS[name].convert(text)


FORMATS = load_plugins().extensions.report_formats


def a_report() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    part = {"log": "/l", "partial": ["refs/x"], "started": "2026-11-28T08:40:26.568Z"}
    streams = [
        {"stream": "a", "state": "succeeded", "reason": "exit 0", "ended": None, **part},
        {"stream": "b\x1b", "state": "failed", "reason": "exit 1 <&>", "ended": None, **part},
        {"stream": "c", "state": "skipped", "reason": "b failed", "ended": None, **part},
    ]
    streams[1]["last_words"] = ["it said", "no\x1b"]
    point: dict[str, Any] = {"point": "final", "state": "blocked", "reason": "a and b"}
    point["conflicts"] = [{"paths": ["f.txt", "g.txt"], "streams": ["a", "b"]}]
    good = {"point": "first", "state": "merged", "reason": "", "conflicts": []}
    report = {"plan": "p", "run": "r", "state": "failed", "wall_seconds": 1.5}
    events = [
        {"type": "stream_started", "stream": "a", "attempt": 1, "time": "2026-11-28T08:40:26.568Z"},
        {"type": "stream_stalled", "stream": "a", "attempt": 1, "time": "2026-11-28T08:40:27.000Z"},
        {"type": "stream_exited", "stream": "a", "attempt": 1, "time": "2026-11-28T08:40:27.568Z"},
    ]
    return {**report, "streams": streams, "convergence": [good, point]}, events


@pytest.mark.parametrize("state", ["failed", "stopped", "interrupted", "running"])
def test_junit_is_never_all_green_for_a_run_that_did_not_converge(state: str) -> None:
    """Also when every stream that it knows of has done well."""
    report, events = a_report()
    good = {**report, "streams": report["streams"][:1], "convergence": [], "reason": "why"}
    suite = ElementTree.fromstring(FORMATS["junit"].render({**good, "state": state}, events))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    converged = FORMATS["junit"].render({**good, "state": "converged"}, events)
    assert ElementTree.fromstring(converged).get("failures") == "0"


def test_junit_tells_failures_and_skips_and_is_sound_xml() -> None:
    suite = ElementTree.fromstring(FORMATS["junit"].render(*a_report()))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "exit 1 <&>"
    assert "refs/x" in (failure.text or "")
    assert suite.findtext("testcase[@classname='p.streams']/system-out") == "it said\nno\ufffd"
    blocked = suite.findtext("testcase[@classname='p.convergence']/failure")
    assert blocked == "conflicts: f.txt, g.txt"
    assert [case.get("name") for case in suite if case.get("classname") == "p.convergence"] == [
        "final"
    ]


def test_junit_can_be_shown_on_a_terminal() -> None:
    report, events = a_report()
    report["streams"][1]["reason"] = "\x9b2J \u202e é"
    found = FORMATS["junit"].render(report, events)
    assert all(char.isprintable() for line in found.splitlines() for char in line)
    failure = ElementTree.fromstring(found).find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "\x9b2J \u202e é"


def an_end(handler: int, item: str, outcome: str = "succeeded", **more: Any) -> dict[str, Any]:
    facts = {"stream": "a", "attempt": 1, "tries": 1, "slot": handler % 2, "reason": ""}
    code = 0 if outcome == "succeeded" else 3
    times = {"seconds": 0.25, "began_at": 0.5, "exit_code": code, "signal": None}
    about = {"type": "handler_finished", "handler": handler, "item": item, "outcome": outcome}
    return {**about, **facts, **times, "time": "2026-11-28T08:40:27.000Z", **more}


def test_junit_has_a_case_a_handler_and_its_last_try_counts() -> None:
    report, events = a_report()
    ends = [an_end(0, "x", "failed"), an_end(1, 'a"<&>\x1b\n', "failed", reason="it <hung>")]
    found = FORMATS["junit"].render(report, [*events, *ends, an_end(0, "x", tries=2)])
    suite = ElementTree.fromstring(found)
    cases = [case for case in suite if case.get("classname") == "p.streams.a"]
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("6", "3", 6)
    assert [(case.get("name"), case.get("time")) for case in cases] == [
        ("x", "0.250"),
        ('a"<&>\ufffd\n', "0.250"),
    ]
    assert cases[0].find("failure") is None
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "it <hung>"
    assert failure.text == "anabranch logs a --handler 1 --run r"


def test_a_case_says_that_the_newest_attempt_has_left_it_as_it_had_failed() -> None:
    report, events = a_report()
    newer = [{**stream, "attempt": 2} for stream in report["streams"]]
    ends = [an_end(0, "x", "failed"), an_end(1, "y", "failed", attempt=2)]
    found = FORMATS["junit"].render({**report, "streams": newer}, [*events, *ends])
    suite = ElementTree.fromstring(found)
    failures = [case.find("failure") for case in suite if case.get("name") in ("x", "y")]
    messages = [failure.get("message") for failure in failures if failure is not None]
    assert messages == ["exit 3; not tried again in attempt 2", "exit 3"]


# --- hostile ones --------------------------------------------------------------------------------


class Observer:
    """An observer made of one function."""

    name = "made"

    def __init__(self, saw: Any) -> None:
        self.saw = saw


def test_an_observer_that_raises_is_set_aside_and_the_others_hear_everything() -> None:
    heard: list[str] = []
    all_heard = threading.Event()

    def listens(event: Mapping[str, Any]) -> None:
        heard.append(event["type"])
        if len(heard) == len(run.records):
            all_heard.set()

    def raises(event: Mapping[str, Any]) -> None:
        raise SystemExit(3)

    run = ByHand(plan_of(stream("a"), stream("b")), strategies_with())
    guard = Guard()
    observing = Observing({"good": Observer(listens), "bad": Observer(raises)}, guard)
    observing.tell(run.state, run.records)
    assert all_heard.wait(10)
    observing.close()
    assert heard == [r.event.__struct_config__.tag for r in run.records]
    assert guard.use()["observer bad"].is_set_aside
    assert len([n for n in guard.news() if n.strategy == "observer bad"]) == MOST_FAULTS


def test_an_observer_that_cannot_keep_up_is_told_of_with_what_it_missed() -> None:
    """Its last moments are bounded, and nothing is lost in silence."""
    goes_on = threading.Event()
    run = ByHand(plan_of(stream("a"), stream("b")), strategies_with())
    slow = Observer(lambda event: goes_on.wait(30))
    observing = Observing({"slow": slow, "good": Observer(lambda event: None)}, Guard(60.0))
    observing.tell(run.state, run.records)
    observing.close()
    count = len(run.records)
    assert observing.last_words == [
        f"observer slow missed {count} of {count} events: it fails, or cannot keep up"
    ]
    goes_on.set()


def test_an_observer_that_is_behind_is_named_while_the_run_goes_on() -> None:
    """So that status and report know it, too; once, and it is not set aside for it."""
    clock, guard = FakeClock(), Guard(60.0)
    run = ByHand(plan_of(stream("a"), stream("b")), strategies_with())
    observing = Observing({"slow": Observer(lambda event: clock.advance(1.5))}, guard, clock)
    observing.tell(run.state, run.records)
    observing.close()
    (found,) = guard.news()
    assert "behind" in found.fault
    assert (found.strategy, found.is_set_aside) == ("observer slow", False)


class Probe:
    """A probe made of one answer."""

    name = "seats"

    def __init__(self, answer: Any) -> None:
        self.amount = lambda: answer


@pytest.mark.parametrize("answer", ["many", None, float("nan"), float("inf"), -1, True])
def test_a_probe_that_lies_measures_nothing_and_is_named(answer: Any) -> None:
    guard = Guard()
    found = measured_capacity({"seats": Probe(answer)}, guard)
    assert "seats" not in found
    (fault,) = guard.news()
    assert isinstance(fault, inputs.StrategyFault)
    assert fault.strategy == "probe seats"


def test_no_probe_changes_what_the_engine_measures_itself() -> None:
    found = measured_capacity({"cpu_cores": Probe(4096.0), "seats": Probe(2)})
    assert found["cpu_cores"] < 4096
    assert found["seats"] == 2.0
