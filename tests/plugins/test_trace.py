"""The trace: true to the run, and drawn by the rules of the Trace Event Format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from anabranch.core import calls, inputs
from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import RatePlan
from anabranch.core.views.projections import event_line, status
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, Simulation, plan_of, stream
from anabranch.testing.trying import strategies_with
from tests.plugins.test_extensions import a_report, an_end
from tests.plugins.trace_rules import Drawn, checked

TRACE = load_plugins().extensions.report_formats["trace"]
SEEDS = 40


def run_of(*members: Any, **fields: Any) -> ByHand:
    """Return a run of a plan, at its beginning."""
    return ByHand(plan_of(*members, **fields), strategies_with())


def drawn(report: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Drawn:
    """Return the events of a trace, once they keep the format's rules."""
    return checked(TRACE.render(report, list(events)))


def drawn_run(run: ByHand | Simulation) -> Drawn:
    records = run.records if isinstance(run, ByHand) else run.store.records
    return drawn(status(run.state, True, 0.0), [event_line(run.state, r) for r in records])


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


def test_handlers_in_one_slot_come_one_after_the_other() -> None:
    """Their beginnings are rounded: the next one does not begin before the one before has ended."""
    report, events = a_report()
    ends = [an_end(0, "x"), an_end(0, "y", began_at=0.7495)]
    found = drawn(report, [*events, *ends])
    slices = [(e["ts"], e["dur"]) for e in found if e.get("cat") == "handler"]
    assert slices == [(500_000, 250_000), (750_000, 249_500)]


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


def test_what_waits_for_the_clock_says_so_in_slices() -> None:
    """For its time of day, its share of a spread, its rate; before that for what it depends on."""
    plan = (
        stream("first"),
        stream("nightly", "first", at="02:30", zone="Europe/Berlin"),
        stream("spread", spread_seconds=600.0),
        stream("often", rate=RatePlan(1, 60.0), max_retries=1),
    )
    run = run_of(*plan)
    run.run("first", "often")
    run.at(2.0)
    run.exited("often", 1)
    run.kept("often")
    run.at(5.0)
    run.exited("first")
    run.kept("first")
    cause = run.stream("nightly").window.cause
    run.at(50.0)
    run.give(
        inputs.TimeFound(
            stream=StreamId("nightly"),
            due_at=50.0,
            due_wall=50.0,
            seen_wall=50.0,
            shown="02:30",
            cause=cause,
        )
    )
    run.at(60.0)
    run.run("often")
    found = waits(drawn_run(run))
    assert ("dependency", "waits for its dependencies", 0, 5_000) in found
    assert ("time", "waits for 02:30 Europe/Berlin", 5_000, 45_000) in found
    of_time = {name for kind, name, *_ in found if kind == "time"}
    assert "waits for its moment within 10 min" in of_time
    assert "waits for its rate, 1 start in 60 s" in of_time


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


@pytest.mark.parametrize("wins", [1, 2])
def test_each_of_two_attempts_has_slices_of_its_own(wins: int) -> None:
    facts = {"is_repeatable": True, "long_seconds": 1.0, "estimate_basis": "learned"}
    run = run_of(stream("a", **facts), has_speculation=True)
    run.run("a")
    run.at(1.0)
    run.run("a@2")
    run.clock.advance_to(3.0)
    run.exited(f"a@{wins}")
    run.clock.advance_to(4.0)
    run.exited(f"a@{3 - wins}", 143)
    run.clock.advance_to(5.0)
    run.kept(f"a@{wins}")
    run.kept(f"a@{3 - wins}")
    found = drawn_run(run)
    attempts = {
        e["args"]["attempt"]: (e["name"], e["ts"] // 1000, e["dur"] // 1000)
        for e in found
        if e.get("cat") == "attempt"
    }
    ends = {wins: 3000, 3 - wins: 4000}
    assert attempts == {1: ("a", 0, ends[1]), 2: ("a, attempt 2", 1000, ends[2] - 1000)}
    kept = [(e["ts"] // 1000, e["dur"] // 1000) for e in found if e["name"] == "keeps its work"]
    assert sorted(kept) == [(3000, 2000), (4000, 1000)]
