"""Rings that something else than a new wait of their own closes, and waits that had no edges."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.deciding.waiting.reasons import waits_of
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.breakers import Breaker, BreakerPhase, restored
from anabranch.core.model.lifecycle import Phase
from anabranch.core.plans.plan import Dependency, StreamPlan
from anabranch.core.plans.providers import with_providers
from anabranch.testing import plan_of, stream
from tests.core.locking import Run, started

P = PointId("p")


def run_of(*members: StreamPlan, names: str, **fields: Any) -> Run:
    """Return a run of some streams, of which those named (letters) are running."""
    return Run(started(plan_of(*with_providers(members), keep_going=True, **fields), list(names)))


def at_p(name: str, *after: str, **fields: Any) -> StreamPlan:
    """Return a stream's plan that converges at p."""
    return stream(name, *after, converge=P, **fields)


def needing(plan: StreamPlan, capability: str) -> StreamPlan:
    """Return a stream's plan that needs anybody with a capability too."""
    return replace(plan, depends_on=(*plan.depends_on, Dependency(capability=capability)))


def victims(run: Run) -> list[str]:
    return [event.victim for event in run.events(ev.DeadlockDetected)]


def ends(run: Run, name: str) -> None:
    """Let a stream's process end well, and its work be kept."""
    key: dict[str, Any] = {"stream": StreamId(name), "attempt": run.caller(name).attempt}
    how: dict[str, Any] = {"exit_code": 0, "signal": None, "error": None, "happened_at": run.now}
    run.give(inputs.ProcessExited(**key, **how))
    run.give(inputs.ResultReady(**key, commit="k", tree="t", files_changed=1, ref="r"))


# ------------------------------------------------------------------ resources


def test_resources_granted_to_one_who_waits_may_close_a_ring() -> None:
    """The grant takes what somebody lacks, whom the one who got it waits for."""
    run = run_of(stream("a"), stream("b"), stream("c"), names="abc", resources={"r": 2.0})
    run.call(calls.RequestResources, "c", amounts={"r": 1.0})
    run.lock("b", "x")
    run.call(calls.RequestResources, "b", amounts={"r": 2.0})
    run.lock("a", "x")
    assert victims(run) == []
    run.call(calls.RequestResources, "a", amounts={"r": 1.0})
    assert len(victims(run)) == 1


def test_a_lock_granted_to_one_who_waits_for_resources_may_close_a_ring() -> None:
    """The other had passed it by, as long as it held what the one waited for."""
    run = run_of(stream("a"), stream("b"), names="ab", resources={"r": 2.0})
    run.call(calls.RequestResources, "b", amounts={"r": 2.0})
    run.lock("b", "f")
    run.lock("", "d/x", "read")
    run.lock("a", "*", "read")
    run.lock("b", "**/x")
    run.call(calls.RequestResources, "a", amounts={"r": 1.0})
    assert victims(run) == []
    run.unlock("b", "f")
    assert len(victims(run)) == 1


def test_who_falls_behind_one_that_waited_longer_may_be_in_a_ring_with_it() -> None:
    """Who is first is said by the time that passes; the ring is there once something is free."""
    plans = (
        stream("a", resources={"r": 1.0}, heartbeat_timeout_seconds=600.0),
        stream("b", resources={"r": 3.0}, heartbeat_timeout_seconds=600.0),
        stream("c", resources={"r": 4.0}),
    )
    run = run_of(*plans, names="ab", resources={"r": 4.0})
    run.now = 10.0
    run.call(calls.RequestResources, "a", amounts={"r": 2.0})
    assert victims(run) == []
    run.now = 40.0
    ends(run, "b")
    assert victims(run) == ["a"]
    assert not run.state.resources.queue


def test_who_is_ready_may_be_behind_one_that_waits_for_whom_it_keeps_waiting() -> None:
    """What it needs is free, and kept for one that has waited longer."""
    old, young = stream("b", resources={"r": 4.0}), at_p("c", "d", resources={"r": 1.0})
    members = (at_p("a", resources={"r": 3.0}), old, young, stream("d"))
    run = run_of(*members, names="ad", resources={"r": 4.0})
    run.call(calls.Arrive, "a", point=P)
    assert victims(run) == []
    run.now = 31.0
    ends(run, "d")
    found = [(w.name, w.holder) for w in waits_of(run.state, StreamId("c"))]
    assert (victims(run), found) == (["a"], [("r", "b")])


def test_two_requests_of_one_stream_that_never_fit_together_are_not_both_taken() -> None:
    """It would get the one, and keep the other from itself for ever."""
    run = run_of(stream("a"), stream("b"), names="ab", resources={"r": 4.0})
    run.call(calls.RequestResources, "b", amounts={"r": 2.0})
    assert run.call(calls.RequestResources, "a", amounts={"r": 3.0}).outcome == "queued"
    answer = run.call(calls.RequestResources, "a", amounts={"r": 2.0})
    assert (answer.outcome, answer.facts.get("never")) == ("refused", True)
    assert run.call(calls.RequestResources, "a", amounts={"r": 3.0}).outcome == "queued"


# ------------------------------------------------------------------ slots and breakers


def test_a_narrowed_run_has_fewer_slots_to_wait_for() -> None:
    """Who waits at a point for one that has no slot, because of himself, waits in vain."""
    run = run_of(at_p("a"), at_p("b", after_seconds=5.0), names="a", max_parallel=2)
    run.state = replace(run.state, guardian=replace(run.state.guardian, narrowed_to=1))
    assert [(w.kind, w.holder) for w in waits_of(replace(run.state, at=6.0), StreamId("b"))] == [
        ("slot", "a")
    ]
    run.call(calls.Arrive, "a", point=P)
    assert victims(run) == ["a"]


def test_narrowing_a_run_may_close_a_ring() -> None:
    """A slot that was free when the wait began is so no more."""
    members = (at_p("a"), at_p("b", after_seconds=5.0), stream("c"), stream("d"))
    run = run_of(*members, names="ac", max_parallel=4)
    run.call(calls.Arrive, "a", point=P)
    assert victims(run) == []
    recover = inputs.RecoverStream(stream=StreamId("c"), remedy="fallback")
    run.give(recover)
    assert run.state.max_parallel == 1
    assert victims(run) == ["a"]


def test_who_tries_for_a_breaker_does_not_wait_for_whom_it_holds_back() -> None:
    """The breaker lets nobody else start before the probe has ended."""
    members = (at_p("a", command_text="x"), at_p("b", command_text="x", after_seconds=5.0))
    run = run_of(*members, names="a")
    probed = Breaker("command x", phase=BreakerPhase.HALF_OPEN, probe=StreamId("a"))
    run.state = replace(run.state, breakers=restored(HashTrieMap({probed.name: probed})))
    run.call(calls.Arrive, "a", point=P)
    assert victims(run) == ["a"]


# ------------------------------------------------------------------ points


def test_an_arrival_that_is_taken_back_may_close_a_ring() -> None:
    """Those at the point wait for it again."""
    run = run_of(at_p("a"), at_p("b"), at_p("c"), names="abc")
    run.lock("a", "x")
    run.call(calls.Arrive, "a", point=P)
    here = run.call(calls.Arrive, "b", point=P)
    run.lock("b", "x")
    assert victims(run) == []
    run.call(calls.Withdraw, "b", ticket=int(here.facts["ticket"]))
    assert len(victims(run)) == 1


def test_whom_one_depends_on_who_is_awaited_at_a_point_is_awaited_too() -> None:
    """It may itself never come to that point."""
    run = run_of(at_p("a"), at_p("b", "c"), stream("c"), names="ac")
    run.lock("a", "x")
    run.call(calls.Arrive, "a", point=P)
    run.lock("c", "x")
    assert len(victims(run)) == 1


# ------------------------------------------------------------------ capabilities


def test_all_who_have_a_capability_may_wait_for_the_one_who_needs_it() -> None:
    """Either would do, and neither ever ends."""
    able = (at_p("b", capabilities=("x",)), at_p("c", capabilities=("x",)))
    run = run_of(needing(at_p("a"), "x"), *able, names="bc")
    run.call(calls.Arrive, "b", point=P)
    assert victims(run) == []
    run.call(calls.Arrive, "c", point=P)
    assert len(victims(run)) == 1


def test_when_one_who_has_a_capability_leaves_the_rest_may_be_stuck() -> None:
    """Nobody but the one that waits for the needy one could bring it now."""
    run = run_of(needing(at_p("a"), "x"), at_p("b", capabilities=("x",)), names="b")
    run.call(calls.Register, "", id=StreamId("scout"), capabilities=("x",))
    run.call(calls.Arrive, "b", point=P)
    assert victims(run) == []
    scout = calls.Caller(StreamId("scout"), 1)
    run.give(calls.Leave(caller=scout, request="l", has_succeeded=False))
    assert victims(run) == ["b"]


def test_one_that_joins_does_not_wait_for_whom_it_is_to_help() -> None:
    """The two would wait for each other, and the run for both."""
    run, scout = run_of(needing(stream("a"), "x"), stream("b"), names="b"), StreamId("scout")
    needs: dict[str, Any] = {"capabilities": ("x",), "depends_on": (StreamId("a"),)}
    answer = run.call(calls.Register, "", id=scout, **needs)
    assert (answer.outcome, victims(run)) == ("refused", ["scout"])
    assert run.state.registry.live(scout) is None
    ends(run, "b")
    assert run.state.has_ended or run.state.streams[StreamId("a")].phase is Phase.SKIPPED


def test_one_that_joins_says_whom_it_waits_for() -> None:
    """It is not ready before those have succeeded."""
    run, scout = run_of(stream("a"), names="a"), StreamId("scout")
    run.call(calls.Register, "", id=scout, depends_on=(StreamId("a"),))
    assert [(w.kind, w.holder) for w in waits_of(run.state, scout)] == [("dependency", "a")]
    ends(run, "a")
    assert waits_of(run.state, scout) == []


def test_who_hopes_for_nobody_any_more_does_not_keep_those_who_wait_for_it() -> None:
    """What runs waits for one that waits for somebody to join: nothing goes on."""
    needy = needing(at_p("a", heartbeat_timeout_seconds=10.0), "x")
    run = run_of(needy, at_p("b"), names="b")
    run.call(calls.Arrive, "b", point=P)
    run.wake(9.0)
    assert run.state.streams[StreamId("a")].phase is Phase.WAITING
    run.wake(10.0)
    assert run.state.streams[StreamId("a")].phase is Phase.SKIPPED
    assert run.events(ev.ArrivalReleased)


def test_who_joined_for_another_who_waits_too_does_not_keep_a_hope_alive() -> None:
    """Nothing runs, and it waits for one that waits for the one that hopes in vain."""
    needy = needing(stream("a", heartbeat_timeout_seconds=10.0), "x")
    other = needing(stream("b", "a"), "y")
    run = run_of(needy, other, names="")
    needs: dict[str, Any] = {"capabilities": ("y",), "depends_on": (StreamId("a"),)}
    run.call(calls.Register, "", id=StreamId("scout"), **needs)
    run.wake(10.0)
    assert run.state.has_ended
