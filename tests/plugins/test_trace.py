"""The trace: true to the run, and drawn by the rules of the Trace Event Format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from anabranch.core import calls
from anabranch.core.ids import StreamId
from anabranch.core.views.projections import event_line, status
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, Simulation, plan_of, stream
from anabranch.testing.trying import strategies_with
from tests.plugins.test_extensions import a_report, an_end

TRACE = load_plugins().extensions.report_formats["trace"]
SEEDS = 40

Drawn = list[dict[str, Any]]


def run_of(*members: Any, **fields: Any) -> ByHand:
    """Return a run of a plan, at its beginning."""
    return ByHand(plan_of(*members, **fields), strategies_with())


def drawn(report: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Drawn:
    """Return the events of a trace, once they keep the format's rules."""
    trace = json.loads(TRACE.render(report, list(events)))
    assert trace["displayTimeUnit"] in ("ms", "ns")
    found: Drawn = trace["traceEvents"]
    for event in found:
        _check_one(event)
    _check_rows(found)
    _check_flows(found)
    return found


def drawn_run(run: ByHand | Simulation) -> Drawn:
    records = run.records if isinstance(run, ByHand) else run.store.records
    return drawn(status(run.state, True, 0.0), [event_line(run.state, r) for r in records])


def _check_one(event: dict[str, Any]) -> None:
    assert isinstance(event["name"], str)
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    assert event["ph"] == "M" or (isinstance(event["ts"], int) and event["ts"] >= 0)
    match event["ph"]:
        case "X":
            assert isinstance(event["dur"], int)
            assert event["dur"] >= 0
        case "i":
            assert event["s"] in ("g", "p", "t")
        case "C":
            assert event["args"]
            assert all(isinstance(value, int) for value in event["args"].values())
        case "M":
            key = {"thread_sort_index": "sort_index"}.get(event["name"], "name")
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
            assert set(event["args"]) == {key}
        case "s" | "f":
            assert isinstance(event["id"], int)
            assert event["cat"]
        case other:
            raise AssertionError(f"no such kind of event: {other}")


def _check_rows(found: Drawn) -> None:
    """Slices of one row are apart, or one within the other."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in found:
        if event["ph"] == "X":
            begin = event["ts"]
            rows[event["pid"], event["tid"]].append((begin, begin + event["dur"]))
    for slices in rows.values():
        around: list[int] = []
        for begin, end in sorted(slices, key=lambda s: (s[0], -s[1])):
            while around and around[-1] <= begin:
                around.pop()
            assert not around or end <= around[-1], slices
            around.append(end)


def _check_flows(found: Drawn) -> None:
    """Each arrow has both ends, leads forward, and is tied to a slice at either end."""
    ends: dict[tuple[str, str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in found:
        if event["ph"] in ("s", "f"):
            of_it = ends[event["cat"], event["name"], event["id"]]
            assert event["ph"] not in of_it
            of_it[event["ph"]] = event
    assert len({number for _, _, number in ends}) == len(ends)
    for both in ends.values():
        assert set(both) == {"s", "f"}
        assert both["s"]["ts"] <= both["f"]["ts"]
        assert both["f"]["bp"] == "e"
        for end in both.values():
            assert any(
                slice_["ts"] <= end["ts"] < slice_["ts"] + slice_["dur"]
                for slice_ in found
                if slice_["ph"] == "X" and slice_["tid"] == end["tid"]
            )


def waits(found: Drawn) -> list[tuple[str, str, int, int]]:
    """Return the waits of a trace: kind, name, begin and duration in milliseconds."""
    return [
        (e["args"]["kind"], e["name"], e["ts"] // 1000, e["dur"] // 1000)
        for e in found
        if e.get("cat") == "wait"
    ]


def arrows(found: Drawn) -> list[tuple[str, int, int]]:
    """Return the arrows of a trace: name, and both ends in milliseconds."""
    ends = {e["id"]: e["ts"] for e in found if e["ph"] == "f"}
    return [(e["name"], e["ts"] // 1000, ends[e["id"]] // 1000) for e in found if e["ph"] == "s"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_trace_of_any_run_keeps_the_rules_of_its_format(seed: int) -> None:
    """Whatever goes wrong in it: crashes, retries, stops, conflicts, calls that wait."""
    run = Simulation(seed, strategies_with())
    run.run()
    drawn_run(run)


def test_the_trace_has_a_slice_an_attempt_and_the_moments_between() -> None:
    found = drawn(*a_report())
    (attempt,) = [e for e in found if e["ph"] == "X"]
    assert (attempt["ts"], attempt["dur"]) == (0, 1_000_000)
    (moment,) = [e for e in found if e["ph"] == "i"]
    assert (moment["name"], moment["ts"]) == ("stream stalled", 432_000)


def test_the_trace_has_a_slice_a_try_of_a_handler_in_the_row_of_its_slot() -> None:
    report, events = a_report()
    ends = [an_end(0, "x", "failed"), an_end(1, "y"), an_end(0, "x", tries=2, began_at=1.0)]
    found = drawn(report, [*events, *ends])
    slices = [e for e in found if e.get("cat") == "handler"]
    assert [(e["name"], e["tid"], e["ts"], e["dur"]) for e in slices] == [
        ("x", 0, 500_000, 250_000),
        ("y", 1, 500_000, 250_000),
        ("x", 0, 1_000_000, 250_000),
    ]
    (group,) = {e["pid"] for e in slices}
    names = [e["args"]["name"] for e in found if e["ph"] == "M" and e["pid"] == group]
    assert sorted(set(names)) == ["handlers of a", "slot 0", "slot 1"]


def test_an_arrow_leads_from_the_end_of_a_dependency_to_whoever_waited_for_it() -> None:
    """One an edge that was met, from the attempt that met it: here the second, not the first."""
    run = run_of(stream("a", max_retries=1), stream("b", "a"), stream("c", "b"))
    run.run("a")
    run.at(1.0)
    run.exited("a", 1)
    run.kept("a")
    run.at(9.0)
    run.run("a")
    run.at(12.0)
    run.exited("a")
    run.kept("a")
    run.run("b")
    found = drawn_run(run)
    assert arrows(found) == [("b needs a", 11_999, 12_000)]


def test_the_arrow_of_who_waits_for_a_beginning_leaves_there() -> None:
    run = run_of(stream("a"), stream("b", "a:started"))
    run.at(2.0)
    run.run("a")
    run.at(3.0)
    run.run("b")
    assert arrows(drawn_run(run)) == [("b needs a", 2_000, 3_000)]


def test_waits_are_slices_by_their_kind() -> None:
    """For dependencies, in the queue, for another try, and for a lock while it runs."""
    plan = (stream("a", max_retries=1), stream("b", "a"), stream("c"), stream("d"))
    run = run_of(*plan, max_parallel=2)
    run.run("a", "c")
    run.at(1.0)
    _lock(run, "a", "x.txt")
    _lock(run, "c", "x.txt")
    run.at(4.0)
    _unlock(run, "a", "x.txt")
    run.exited("a", 1)
    run.kept("a")
    run.at(9.0)
    run.run("a")
    found = drawn_run(run)
    kinds = {kind for kind, *_ in waits(found)}
    assert ("lock", "waits for lock x.txt", 1_000, 3_000) in waits(found)
    assert kinds == {"dependency", "queue", "retry", "lock"}
    (lock,) = [e for e in found if e.get("args", {}).get("kind") == "lock"]
    (attempt,) = [e for e in found if e.get("cat") == "attempt" and e["name"] == "c"]
    assert lock["tid"] == attempt["tid"]


def test_waits_that_overlap_stand_in_two_rows() -> None:
    """A program may ask for two locks at once, and get them in the order in which it asked."""
    run = run_of(stream("a"), stream("b"))
    run.run("a", "b")
    for path in ("x.txt", "y.txt"):
        _lock(run, "a", path)
    for second, path in enumerate(("x.txt", "y.txt"), start=1):
        run.at(second)
        _lock(run, "b", path)
    for second, path in enumerate(("x.txt", "y.txt"), start=3):
        run.at(second)
        _unlock(run, "a", path)
    found = drawn_run(run)
    locks = [e for e in found if e.get("args", {}).get("kind") == "lock"]
    assert [(e["ts"], e["dur"]) for e in locks] == [(1_000_000, 2_000_000), (2_000_000, 2_000_000)]
    assert len({e["tid"] for e in locks}) == 2
    names = {e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"}
    assert [names[e["tid"]] for e in locks] == ["b", "b, at the same time"]


def _lock(run: ByHand, name: str, path: str) -> None:
    caller = calls.Caller(StreamId(name), 1)
    run.give(calls.Lock(caller=caller, request=f"lock {path}", path=path, wait=True))


def _unlock(run: ByHand, name: str, path: str) -> None:
    caller = calls.Caller(StreamId(name), 1)
    run.give(calls.Unlock(caller=caller, request=f"unlock {path}", path=path))


def test_the_width_is_a_counter() -> None:
    run = run_of(stream("a"), stream("b"), max_parallel=2)
    run.run("a")
    run.at(2.0)
    run.run("b")
    run.at(3.0)
    run.exited("a")
    run.exited("b")
    counted = [(e["ts"] // 1000, e["args"]) for e in drawn_run(run) if e["ph"] == "C"]
    assert counted == [
        (0, {"running": 1, "allowed": 2}),
        (2_000, {"running": 2, "allowed": 2}),
        (3_000, {"running": 0, "allowed": 2}),
    ]


def test_names_are_text_whatever_is_in_them() -> None:
    """A viewer gets JSON; what is in it is escaped."""
    report, events = a_report()
    name = '<b>\x1b[31m"\u202e'
    events = [{**event, "stream": name} for event in events]
    report["streams"][0]["stream"] = name
    text = TRACE.render(report, events)
    assert text.isascii()
    assert "\x1b" not in text
    assert name in {e["args"].get("name") for e in drawn(report, events) if e["ph"] == "M"}
