"""JUnit XML, as continuous integration reads it: a test suite a run, a test case a stream.

Of a stream that fans out each handler is a case, too, named by its item; its last try counts.

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
from xml.sax.saxutils import escape, quoteattr

_SKIPPED = ("skipped", "waiting", "queued")
_GOOD_STREAM = ("succeeded",)
_BAD_POINT = ("blocked", "abandoned")
# What XML cannot hold, not even escaped.
_IMPOSSIBLE = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"


_OUTCOMES = ("failure", "skipped")


def suite_of(report: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """Return the report of a run as XML."""
    cases = [_stream_case(stream, report) for stream in report["streams"]]
    cases += [
        _point_case(point, report)
        for point in report["convergence"]
        if point["state"] in _BAD_POINT
    ]
    if report["state"] != "converged" and not any(c.find("failure") is not None for c in cases):
        cases.append(_run_case(report))
    count = {tag: sum(case.find(tag) is not None for case in cases) for tag in _OUTCOMES}
    handlers = _last_ends(events)
    failed = sum(end["outcome"] == "failed" for end in handlers)
    suite = ElementTree.Element(
        "testsuite",
        name=_sound(report["plan"]),
        id=_sound(report["run"]),
        tests=str(len(cases) + len(handlers)),
        failures=str(count["failure"] + failed),
        skipped=str(count["skipped"]),
        errors="0",
        time=f"{report['wall_seconds']:.3f}",
    )
    suite.extend(cases)
    ElementTree.indent(suite)
    head, end, _ = ElementTree.tostring(suite, "unicode", xml_declaration=True).rpartition("</")
    attempts = {stream["stream"]: stream.get("attempt", 0) for stream in report["streams"]}
    lines = [_handler_case(handler, report, attempts) for handler in handlers]
    return _shown("".join([head, *lines, end, "testsuite>\n"]))


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


def _last_ends(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return how each handler ended last."""
    found = {(e["stream"], e["handler"]): e for e in events if e["type"] == "handler_finished"}
    return list(found.values())


def _handler_case(
    end: Mapping[str, Any], report: Mapping[str, Any], attempts: Mapping[str, int]
) -> str:
    """Return the case of a handler as text: an element for each of 100,000 takes too long."""
    stream, number = end["stream"], end["handler"]
    place = quoteattr(_sound(f"{report['plan']}.streams.{stream}"))
    name = quoteattr(_sound(end["item"] or str(number)))
    case = f'  <testcase name={name} classname={place} time="{end["seconds"]:.3f}"'
    if end["outcome"] == "succeeded":
        return f"{case} />\n"
    signal, code = end["signal"], end["exit_code"]
    how = end["reason"] or (f"exit {code}" if signal is None else f"signal {signal}")
    if end["attempt"] < attempts.get(stream, 0):
        how = f"{how}; not tried again in attempt {attempts[stream]}"
    more = escape(_sound(f"anabranch logs {stream} --handler {number} --run {report['run']}"))
    failure = f'<failure type="failed" message={quoteattr(_sound(how))}>{more}</failure>'
    return f"{case}>\n    {failure}\n  </testcase>\n"


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
    return re.sub("[^\\x00-\\x7f]", _visibly, xml)


def _visibly(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else f"&#x{ord(found[0]):x};"


def _sound(text: str) -> str:
    return re.sub(_IMPOSSIBLE, "\ufffd", str(text))
