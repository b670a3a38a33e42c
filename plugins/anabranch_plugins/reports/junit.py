"""JUnit XML, as continuous integration reads it: a test suite a run, a test case a stream.

A stream that did not bring a result is a failure, with the end of what it has written as its
output; one that never started is skipped. A point is a case only if it did not converge, the run
only if it did not and nothing else says so. The format is the one that Jenkins, GitLab and GitHub
actions read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

_SKIPPED = ("skipped", "waiting", "queued")
_GOOD_STREAM = ("succeeded",)
_BAD_POINT = ("blocked", "abandoned")
# What XML cannot hold, not even escaped.
_IMPOSSIBLE = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"


class JUnit:
    """One ``testsuite`` of a run."""

    name = "junit"

    def render(self, report: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
        """Return the XML."""
        cases = [_stream_case(stream, report) for stream in report["streams"]]
        cases += [
            _point_case(point, report)
            for point in report["convergence"]
            if point["state"] in _BAD_POINT
        ]
        if report["state"] != "converged" and not any(c.find("failure") is not None for c in cases):
            cases.append(_run_case(report))
        count = {tag: sum(case.find(tag) is not None for case in cases) for tag in _OUTCOMES}
        suite = ElementTree.Element(
            "testsuite",
            name=_sound(report["plan"]),
            id=_sound(report["run"]),
            tests=str(len(cases)),
            failures=str(count["failure"]),
            skipped=str(count["skipped"]),
            errors="0",
            time=f"{report['wall_seconds']:.3f}",
        )
        suite.extend(cases)
        ElementTree.indent(suite)
        return _shown(ElementTree.tostring(suite, "unicode", xml_declaration=True) + "\n")


_OUTCOMES = ("failure", "skipped")


def _stream_case(stream: Mapping[str, Any], report: Mapping[str, Any]) -> ElementTree.Element:
    seconds = _seconds(stream["started"], stream["ended"])
    case = _case(stream["stream"], f"{report['plan']}.streams", seconds)
    state = stream["state"]
    if state in _SKIPPED:
        ElementTree.SubElement(case, "skipped", message=_sound(stream["reason"]))
    elif state not in _GOOD_STREAM:
        made = [f"commit {stream['commit'][:10]}"] if stream.get("commit") else []
        kept = ", ".join([*made, *stream["partial"]])
        _failure(case, state, stream["reason"], f"log: {stream['log']}\nkept: {kept or 'nothing'}")
        if stream.get("last_words"):
            output = ElementTree.SubElement(case, "system-out")
            output.text = _sound("\n".join(stream["last_words"]))
    return case


def _run_case(report: Mapping[str, Any]) -> ElementTree.Element:
    """Return the run as a case: one that did not converge is never all green."""
    case = _case("run", report["plan"], report["wall_seconds"])
    _failure(case, report["state"], report["reason"] or "it has not converged", "")
    return case


def _point_case(point: Mapping[str, Any], report: Mapping[str, Any]) -> ElementTree.Element:
    case = _case(point["point"], f"{report['plan']}.convergence", 0.0)
    paths = [path for conflict in point["conflicts"] for path in conflict["paths"]]
    text = f"conflicts: {', '.join(paths)}" if paths else ""
    _failure(case, point["state"], point["reason"], text)
    return case


def _case(name: str, place: str, seconds: float) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase", name=_sound(name), classname=_sound(place), time=f"{seconds:.3f}"
    )


def _failure(case: ElementTree.Element, state: str, reason: str, more: str) -> None:
    failure = ElementTree.SubElement(case, "failure", type=state, message=_sound(reason))
    failure.text = _sound(more)


def _seconds(started: str | None, ended: str | None) -> float:
    if not started or not ended:
        return 0.0
    begin, end = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (started, ended))
    return max(0.0, (end - begin).total_seconds())


def _shown(xml: str) -> str:
    """Write what would act on a terminal, or hide in it, as XML writes any character."""
    return "".join(
        char if char.isascii() or char.isprintable() else f"&#x{ord(char):x};" for char in xml
    )


def _sound(text: str) -> str:
    return re.sub(_IMPOSSIBLE, "\ufffd", str(text))
