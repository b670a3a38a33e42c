"""Streams that join by themselves, and dependencies on what a stream is capable of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.joined import LONGEST_CAPABILITY, MOST_CAPABILITIES
from anabranch.core.deciding.owed import owed
from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Dependency, DependencyCondition, Plan, StreamPlan
from anabranch.core.plans.providers import with_providers
from anabranch.core.views.projections import status
from anabranch.testing import plan_of, stream
from tests.core.locking import Run, started, step
from tests.core.talking import OPERATOR
from tests.core.working import Crew


def needing(
    name: str, capability: str, *after: str, condition: DependencyCondition = "succeeded"
) -> StreamPlan:
    """Return the plan of a stream that needs any stream with a capability."""
    plan = stream(name, *after)
    needs = Dependency(capability=capability, condition=condition)
    return replace(plan, depends_on=(*plan.depends_on, needs))


def plan_with(*streams: StreamPlan) -> Plan:
    return plan_of(*with_providers(streams), keep_going=True)


def state_of(crew: Crew, name: str) -> str:
    rows = status(crew.state, True, None)["streams"]
    return str(next(row["state"] for row in rows if row["stream"] == name))


# ------------------------------------------------------------------ capabilities in the plan


def test_a_plan_can_switch_protocols_off() -> None:
    """Nobody joins, silence is not judged, and what is not free is refused at once."""
    plan = plan_of(stream("s0"), stream("s1"), resources={"db": 1}, protocols=())
    run = Run(started(plan, ["s0", "s1"]))
    joining = run.call(calls.Register, "", id=StreamId("x"))
    assert joining.outcome == "refused"
    assert "switched registration off" in joining.facts["reason"]
    assert run.call(calls.RequestResources, "s0", amounts={"db": 1}).outcome == "granted"
    refusal = run.call(calls.RequestResources, "s1", amounts={"db": 1})
    assert (refusal.outcome, refusal.facts["holders"]) == ("refused", ["s0"])
    seen = inputs.LivenessSeen(
        stream=StreamId("s0"), attempt=1, verdict="stalled", evidence="silent"
    )
    assert not step(run.state, seen, 2.0).events


def test_the_plans_streams_register_with_their_capabilities() -> None:
    """The event says so."""
    crew = Crew(plan=plan_of(stream("a", capabilities=("analysis",))))
    (event,) = crew.events(ev.StreamRegistered)
    assert event.capabilities == ("analysis",)


def test_any_stream_with_the_capability_will_do() -> None:
    """The first that meets the condition lets the waiting one go; its work is handed on."""
    able = ("analysis",)
    plan = plan_with(
        stream("a", capabilities=able), stream("b", capabilities=able), needing("c", "analysis")
    )
    crew = Crew(plan=plan)
    crew.starts("a")
    crew.starts("b")
    crew.ends("a", exit_code=1)
    assert crew.phase("c") == "waiting"
    crew.ends("b")
    assert crew.phase("c") == "preparing"
    assert crew.state.streams[StreamId("c")].inherits.heir_of == "b"


def test_when_all_of_them_have_ended_otherwise_the_wait_is_over() -> None:
    """The reason names them."""
    able = ("analysis",)
    plan = plan_with(
        stream("a", capabilities=able), stream("b", capabilities=able), needing("c", "analysis")
    )
    crew = Crew(plan=plan)
    for name in ("a", "b"):
        crew.starts(name)
        crew.ends(name, exit_code=1)
    reason = crew.state.streams[StreamId("c")].reason
    assert crew.phase("c") == "skipped"
    assert 'any stream with "analysis": needs a, which failed; needs b' in reason


def test_a_stream_that_waits_for_the_asking_one_is_no_provider() -> None:
    """So a capability never closes a cycle, whoever comes first in the plan."""
    able = ("review",)
    plan = plan_with(
        needing("a", "review"),
        stream("b", "a", capabilities=able),
        stream("c", capabilities=able),
        replace(needing("d", "review"), capabilities=able),
    )
    providers = {s.id: s.depends_on[-1].providers for s in plan.streams if s.depends_on}
    a, d = StreamId("a"), StreamId("d")
    assert providers[a] == ("c", "d")
    assert providers[d] == ("c",)
    Crew(plan=plan)


# ------------------------------------------------------------------ joining


def test_an_outside_stream_joins_with_the_operators_token() -> None:
    """It is shown as joined, has no process, and the run ends without waiting for it."""
    crew = Crew("a")
    answer = crew.registers("scout", "analysis")
    assert (answer.outcome, answer.facts) == ("done", {"stream": "scout", "attempt": 1})
    assert state_of(crew, "scout") == "joined"
    assert crew.beats("scout", "looking around").outcome == "done"
    crew.ends("a")
    crew.merges()
    crew.remembers()
    assert crew.state.has_ended
    assert not crew.state.registry.live(StreamId("scout"))
    assert state_of(crew, "scout") == "stopped"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("a", "already"),
        ("../x", "cannot name"),
        ("", "1 to 64 characters"),
        ("x" * 65, "1 to 64 characters"),
        ("x.lock", "cannot name"),
        ("operator", "who operates the run"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, word: str) -> None:
    """With a reason and a hint."""
    crew = Crew("a")
    answer = crew.registers(name)
    assert answer.outcome == "refused"
    assert word in answer.facts["reason"]
    assert crew.registers("x" * 64).outcome == "done"


@pytest.mark.parametrize(
    "capabilities",
    [
        ("",),
        ("analysis", "x" * (LONGEST_CAPABILITY + 1)),
        tuple(f"c{n}" for n in range(MOST_CAPABILITIES + 1)),
    ],
)
def test_capabilities_are_few_short_words(capabilities: tuple[str, ...]) -> None:
    crew = Crew("a")
    assert crew.registers("scout", *capabilities).outcome == "refused"
    most = ("x" * LONGEST_CAPABILITY, *(f"c{n}" for n in range(MOST_CAPABILITIES - 1)))
    assert crew.registers("scout", *most).outcome == "done"


def test_a_stream_of_the_plan_lets_nobody_in() -> None:
    """Only the operator does."""
    crew = Crew("a")
    answer = crew.call(calls.Register, "a", id=StreamId("x"))
    assert answer.outcome == "refused"
    assert "operator" in answer.facts["reason"]


def test_a_capability_that_nobody_has_waits_for_somebody_to_join() -> None:
    """While it hopes the run is not over; whoever joins and succeeds lets it go."""
    crew = Crew(plan=plan_with(stream("a"), needing("b", "analysis")))
    crew.starts("a")
    crew.ends("a")
    assert crew.phase("b") == "waiting"
    crew.registers("scout", "analysis")
    crew.passes(10_000)
    assert crew.phase("b") == "waiting"
    crew.call(calls.Leave, "scout")
    assert crew.phase("b") == "preparing"
    assert state_of(crew, "scout") == "succeeded"


def test_one_that_can_do_something_else_is_no_provider() -> None:
    crew = Crew(plan=plan_with(needing("b", "analysis", condition="started")))
    crew.registers("painter", "drawing")
    assert crew.phase("b") == "waiting"
    crew.passes(601)
    assert crew.phase("b") == "skipped"


def test_a_started_provider_is_enough_if_the_plan_says_so() -> None:
    """Joining is starting."""
    crew = Crew(plan=plan_with(needing("b", "analysis", condition="started")))
    crew.registers("scout", "analysis")
    assert crew.phase("b") == "preparing"


@pytest.mark.parametrize(
    ("condition", "phase"), [("completed", "preparing"), ("succeeded", "skipped")]
)
def test_one_that_left_without_success_has_completed(
    condition: DependencyCondition, phase: str
) -> None:
    crew = Crew(plan=plan_with(stream("a"), needing("b", "analysis", condition=condition)))
    crew.starts("a")
    crew.registers("scout", "analysis")
    assert crew.phase("b") == "waiting"
    crew.falls_silent("scout")
    assert crew.phase("b") == phase


def test_nobody_joins_a_run_that_comes_to_its_end() -> None:
    """Neither one that is being stopped nor one that is over."""
    crew = Crew("a")
    crew._step(inputs.StopRun(reason="stopped by you"))
    assert crew.registers("scout").facts["reason"] == "the run is stopping"
    crew.ends("a", exit_code=1)
    assert crew.state.has_ended
    assert crew.registers("scout").facts["reason"] == "the run is stopped"


def test_nobody_hopes_for_ever() -> None:
    """After the heartbeat timeout of the waiting stream, it is skipped and the run ends."""
    crew = Crew(plan=plan_with(needing("b", "analysis")))
    alarms = [e.at for e in owed(crew.state) if isinstance(e, fx.WakeAt)]
    assert alarms == [600.0]
    crew.passes(601)
    assert crew.phase("b") == "skipped"
    assert crew.state.has_ended


def test_one_that_falls_silent_is_waited_for_no_more() -> None:
    """Its calls are refused then, and what depended on it is skipped."""
    crew = Crew(plan=plan_with(stream("a"), needing("b", "analysis")))
    crew.starts("a")
    crew.registers("scout", "analysis")
    crew.asks("scout", cpu_cores=1)
    assert crew.held("scout") == {"cpu_cores": 1}
    crew.falls_silent("scout")
    assert (crew.phase("b"), crew.held("scout")) == ("skipped", {})
    caller = calls.Caller(StreamId("scout"), 1)
    answer = crew._step(calls.Heartbeat(caller=caller, request="x")).answer
    assert answer is not None
    assert answer.facts["reason"] == "scout has left the run: silence"
    again = crew.registers("scout")
    assert again.facts["attempt"] == 2


def test_one_that_depends_on_others_is_told_when_they_are_done() -> None:
    """Registering waits under a ticket; the same request is answered done then."""
    crew = Crew("a", "b")
    request = calls.Register(
        caller=calls.OPERATOR,
        request="join",
        id=StreamId("scout"),
        depends_on=(StreamId("a"),),
    )
    answer = crew._step(request).answer
    assert answer is not None
    assert answer.outcome == "waiting"
    crew.ends("a")
    again = crew._step(request).answer
    assert again is not None
    assert again.outcome == "done"
    assert len(crew.events(ev.StreamJoined)) == 1


def test_one_whose_dependency_fails_leaves() -> None:
    """It could never be ready."""
    crew = Crew("a", "b", keep_going=True)
    crew.registers("scout", after=("a",))
    crew.ends("a", exit_code=1)
    assert not crew.state.registry.live(StreamId("scout"))
    assert crew.registers("late", after=("a",)).outcome == "refused"


def test_who_waits_to_be_let_in_is_told_that_it_never_will() -> None:
    """What it depends on has failed, so the answer to its request is no longer to wait."""
    crew = Crew("a", "b", keep_going=True)
    asked = {"id": StreamId("scout"), "depends_on": (StreamId("a"),)}
    assert crew.call(calls.Register, OPERATOR, "r", **asked).outcome == "waiting"
    crew.ends("a", 1)
    assert crew.call(calls.Register, OPERATOR, "r", **asked).outcome == "refused"
    assert crew.state.registry.live(StreamId("scout")) is None
