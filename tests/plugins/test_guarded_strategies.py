"""Strategies that misbehave: the run converges all the same, and the culprit is named."""

from __future__ import annotations

import io
import math
import os
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import RunPhase
from anabranch.core.strategies import (
    Ask,
    Converge,
    EndedAttempt,
    EndRun,
    FailedAttempt,
    FailureClass,
    PointView,
    QueuedStream,
    Retry,
    RunAlone,
    Strategies,
    Trouble,
    WaitForMore,
)
from anabranch.core.strategies.kinds import CHOICES
from anabranch.core.strategies.placing import ranking
from anabranch.engine.guarded_strategies import (
    BURST_OF_ALL_SECONDS,
    BURST_SECONDS,
    LONGEST_REASON,
    MOST_FAULTS,
    Guard,
    Metered,
    guarded,
)
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch.testing.clock import FakeClock
from anabranch.testing.trying import strategies_with
from anabranch_console.cli.sinks import Sink

LIMIT_SECONDS = 0.15

PLAIN = QueuedStream(StreamId("a"), 0, 0, 1.0, 1.0, 1)


def raises(*_: object) -> Any:
    raise KeyError("no such stream")


def leaves(*_: object) -> Any:
    sys.exit("enough")


def interrupts(*_: object) -> Any:
    raise KeyboardInterrupt


def hangs(*_: object) -> Any:
    threading.Event().wait(30)


def recurses(*arguments: object) -> Any:
    return recurses(*arguments)


def goes_elsewhere(*_: object) -> Any:
    os.chdir("/")


def sets_a_variable(*_: object) -> Any:
    os.environ["ANABRANCH_TEST_EVIL"] = "1"


def takes_a_variable(*_: object) -> Any:
    del os.environ["PATH"]


def mutates(view: PointView, now: float) -> Any:
    view.arrived_at[StreamId("a")] = 0.0  # type: ignore[index]


CONVERGENCE: dict[str, Callable[..., Any]] = {
    "raises": raises,
    "exits": leaves,
    "interrupts": interrupts,
    "hangs": hangs,
    "recurses": recurses,
    "changes what it was given": mutates,
    "goes elsewhere": goes_elsewhere,
    "sets a variable": sets_a_variable,
    "takes a variable": takes_a_variable,
    "does not say whether it is final": lambda view, now: Converge(
        tuple(view.arrived),
        "so",
        "no",  # type: ignore[arg-type]
    ),
    "answers nothing": lambda view, now: None,
    "answers text": lambda view, now: "converge",
    "answers of another kind": lambda view, now: Retry(1.0, "no"),
    "merges who is not there": lambda view, now: Converge((StreamId("ghost"),), "boo"),
    "merges nobody": lambda view, now: Converge((), "nobody"),
    "gives no reason": lambda view, now: Converge(tuple(view.arrived), 3),  # type: ignore[arg-type]
    "waits for a word": lambda view, now: WaitForMore("x", "soon"),  # type: ignore[arg-type]
}
BALANCER: dict[str, Callable[..., Any]] = {
    "raises": raises,
    "hangs": hangs,
    "answers nothing": lambda view: None,
    "answers text": lambda view: ("first",),
    "answers no number": lambda view: (math.nan,),
}
RECOVERY: dict[str, Callable[..., Any]] = {
    "raises": raises,
    "hangs": hangs,
    "answers text": lambda view: "again",
    "waits for ever": lambda view: Retry(math.inf, "later"),
    "goes back in time": lambda view: Retry(-1.0, "earlier"),
    "counts in its own way": lambda view: Retry(Decimal(1), "later"),  # type: ignore[arg-type]
}


def hostile(method: str, behaviour: Callable[..., Any]) -> Any:
    """Return a strategy of a plugin that is not ours."""
    made = type("Hostile", (), {"name": "hostile", method: staticmethod(behaviour)})
    made.__module__ = "somebodys_plugin.strategy"
    return made()


def behind_guard(strategy: Any) -> tuple[Strategies, Guard]:
    guard = Guard(LIMIT_SECONDS)
    return guarded(strategies_with(strategy), guard), guard


def converges(strategies: Strategies, **facts: str) -> ByHand:
    """Run two streams to their end, one of which fails once."""
    final = point("final", type=facts.pop("convergence", "barrier"))
    plan = plan_of(stream("a"), stream("b", max_retries=1), final, max_parallel=2, **facts)
    run = ByHand(plan, strategies)
    run.run("a", "b")
    run.exited("a")
    run.kept("a")
    run.exited("b", 1)
    run.kept("b")
    run.clock.advance(100.0)
    run.give(inputs.TimeReached())
    run.run("b")
    run.exited("b")
    run.kept("b")
    run.merged()
    return run


def is_blamed(guard: Guard) -> None:
    news = guard.news()
    assert news
    assert {(fault.plugin, fault.strategy) for fault in news} == {("somebodys_plugin", "hostile")}
    assert all(fault.fault for fault in news)
    assert len(news) <= MOST_FAULTS


@pytest.mark.parametrize("name", CONVERGENCE)
def test_a_hostile_convergence_type_stops_no_run(name: str) -> None:
    """The core's own decides instead, and after a few faults it is asked no more."""
    strategies, guard = behind_guard(hostile("next_step", CONVERGENCE[name]))
    run = converges(strategies, convergence="hostile")
    assert run.state.phase is RunPhase.CONVERGED
    is_blamed(guard)


@pytest.mark.parametrize("name", BALANCER)
def test_a_hostile_load_balancer_stops_no_run(name: str) -> None:
    """The core's own order is used instead."""
    strategies, guard = behind_guard(hostile("rank", BALANCER[name]))
    run = converges(strategies, balancer="hostile")
    assert run.state.phase is RunPhase.CONVERGED
    is_blamed(guard)


@pytest.mark.parametrize("name", RECOVERY)
def test_a_hostile_recovery_strategy_stops_no_run(name: str) -> None:
    """What failed is tried again all the same."""
    strategies, guard = behind_guard(hostile("after_failure", RECOVERY[name]))
    run = converges(strategies, recovery="hostile")
    assert run.state.phase is RunPhase.CONVERGED
    is_blamed(guard)


def test_one_that_never_answers_is_asked_once() -> None:
    """It would cost its limit each time; the thread it hangs in is nobody's business any more."""
    asked = []

    def counts(*_: object) -> Any:
        asked.append(1)
        hangs()

    strategies, guard = behind_guard(hostile("next_step", counts))
    converges(strategies, convergence="hostile")
    (fault,) = guard.news()
    assert (len(asked), fault.is_set_aside) == (1, True)


def test_a_good_one_is_asked_and_its_words_are_made_safe() -> None:
    """What it decides is what happens; escape sequences in its reason never reach a terminal."""

    def quorum(view: PointView, now: float) -> Any:
        if view.outstanding:
            return WaitForMore("\x1b[31mnot yet")
        return Converge(tuple(view.arrived), "all \x07 here")

    strategies, guard = behind_guard(hostile("next_step", quorum))
    run = converges(strategies, convergence="hostile")
    assert run.state.phase is RunPhase.CONVERGED
    assert not guard.news()
    reasons = [getattr(r.event, "reason", "") for r in run.records]
    assert not any("\x1b" in str(reason) or "\x07" in str(reason) for reason in reasons)


def test_a_recovery_strategy_that_never_gives_up_uses_up_the_retries() -> None:
    """The plan says how often; nobody's plugin lets a run go on for ever."""
    strategies, guard = behind_guard(
        hostile("after_failure", lambda view: Retry(0.0, "it will work this time"))
    )
    run = ByHand(plan_of(stream("a", max_retries=2), recovery="hostile"), strategies)
    for _ in range(3):
        run.run("a")
        run.exited("a", 1)
        run.kept("a")
        run.clock.advance(100.0)
        run.give(inputs.TimeReached())
    assert run.state.phase is RunPhase.FAILED
    (fault,) = guard.news()
    assert "2 of 2 retries are used up" in fault.fault


@pytest.mark.parametrize(
    "answer",
    [
        Ask(None, 1.0),  # type: ignore[arg-type]
        Ask(" ", 1.0),
        Ask("how are you?", "soon"),  # type: ignore[arg-type]
        Ask("how are you?", math.nan),
        Ask("how are you?", math.inf),
        Ask("how are you?", Decimal(1)),  # type: ignore[arg-type]
        EndRun(7),  # type: ignore[arg-type]
    ],
)
def test_a_remedy_that_no_journal_could_read_again_is_not_followed(answer: Any) -> None:
    """What it says goes into the journal; the core's own rung is taken instead."""
    strategies, guard = behind_guard(hostile("remedy", lambda view, now: answer))
    trouble = Trouble(StreamId("a"), Attempt(1), "silent", "nothing in 3 s", 0, 1, 1.0)
    assert isinstance(strategies.remedies["hostile"].remedy(trouble, 0.0), RunAlone)
    is_blamed(guard)


def test_a_remedys_question_is_made_safe() -> None:
    """It is typed into logs and shown to people."""
    asks = hostile("remedy", lambda view, now: Ask("\x1b[2J" + "how? " * 9_999, 3))
    strategies, guard = behind_guard(asks)
    trouble = Trouble(StreamId("a"), Attempt(1), "silent", "nothing in 3 s", 0, 1, 1.0)
    found = strategies.remedies["hostile"].remedy(trouble, 0.0)
    assert isinstance(found, Ask)
    assert "\x1b" not in found.text
    assert len(found.text) <= LONGEST_REASON
    assert not guard.news()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (FailureClass("odd", "yes", "boom"), "permanent"),  # type: ignore[arg-type]
        (FailureClass("odd", evidence="what nobody has said"), "evidence"),
    ],
)
def test_a_classifier_that_lies_is_not_believed(answer: FailureClass, fault: str) -> None:
    """What it shows as evidence is there, and a failure is permanent or is not."""
    strategies, guard = behind_guard(hostile("classify", lambda view: answer))
    view = EndedAttempt(StreamId("a"), Attempt(1), 1, None, "exit 1", ("boom, it says",))
    assert strategies.classifiers["hostile"].classify(view) is None
    assert fault in guard.news()[0].fault


def test_what_a_plugin_does_to_the_process_does_not_happen() -> None:
    """Streams are started where the command was, with the environment that it has."""
    guard = Guard(LIMIT_SECONDS)
    before = (os.getcwd(), dict(os.environ))
    for change in (goes_elsewhere, sets_a_variable, takes_a_variable):
        strategies = guarded(strategies_with(hostile("rank", change)), guard)
        ranking(strategies.balancers["hostile"]).rank(PLAIN)
    assert (os.getcwd(), dict(os.environ)) == before


def test_what_a_plugin_prints_is_kept_and_told_once() -> None:
    """It is no part of the command's output; what it answers is taken all the same."""
    sink = Sink(None)
    out = io.TextIOWrapper(sink, write_through=True)  # type: ignore[type-var]

    def speaks(view: QueuedStream) -> Any:
        print("\x1b[2Jhello from a plugin", file=out)
        return (7.0,)

    strategies, guard = behind_guard(hostile("rank", speaks))
    ranks = [ranking(strategies.balancers["hostile"]).rank(PLAIN) for _ in range(MOST_FAULTS + 1)]
    assert ranks == [(7.0,)] * (MOST_FAULTS + 1)
    (found,) = guard.news()
    assert "hello from a plugin" in found.fault
    assert "\x1b" not in found.fault
    assert (found.is_heeded, found.is_set_aside) == (True, False)


def test_a_strategy_that_is_not_there_has_a_stand_in() -> None:
    """A run is resumed on a machine without the plugin, or with every plugin switched off."""
    run = converges(Strategies({}, {}, {}), convergence="gone", balancer="gone", recovery="gone")
    assert run.state.phase is RunPhase.CONVERGED
    view = QueuedStream(StreamId("a"), 1, 0, 1.0, 1.0, 1)
    assert ranking(Strategies({}, {}, {}).balancer("gone")).rank(view) == (0.0, 1.0)
    failed = FailedAttempt(StreamId("a"), 1, 0, 0, "exit 1", False, 1)
    assert Strategies({}, {}, {}).recovery_strategy("gone").after_failure(failed).reason


def test_ours_are_asked_directly() -> None:
    """In the engine's own thread, with the view as it is; they are only counted."""
    asked_in: list[str] = []

    class Ours:
        name = "ours"

        def rank(self, view: QueuedStream) -> tuple[float, ...]:
            asked_in.append(threading.current_thread().name)
            return (1.0,)

    guard = Guard()
    ours: Any = Metered(Ours(), CHOICES["balancer"], guard)
    assert ours.rank(QueuedStream(StreamId("a"), 0, 0, 0.0, 0.0, 1)) == (1.0,)
    assert asked_in == [threading.current_thread().name]
    assert guard.use()["ours"].calls == 1
    built_in = guarded(strategies_with(), guard).convergence["barrier"]
    assert isinstance(built_in, Metered)


def test_many_slow_answers_hold_the_engine_up_no_longer_than_one() -> None:
    """The limit is for all calls together; what is left out is told once each time."""
    clock, asked = FakeClock(), []

    def slow(view: QueuedStream) -> Any:
        asked.append(view.stream)
        clock.advance(0.9)
        return (1.0,)

    guard = Guard(now=clock)
    balancer = guarded(strategies_with(hostile("rank", slow)), guard).balancers["hostile"]
    for n in range(1_000):
        ranking(balancer).rank(QueuedStream(StreamId(f"s{n}"), n, 0, 0.0, 0.0, 1))
    assert len(asked) == 2
    assert clock() <= BURST_SECONDS + 0.9
    (fault,) = guard.news()
    assert "the core's own decides for a while" in fault.fault
    clock.advance(3_600.0)
    for n in range(1_000):
        ranking(balancer).rank(QueuedStream(StreamId(f"s{n}"), n, 0, 0.0, 0.0, 1))
    clock.advance(3_600.0)
    for n in range(1_000):
        ranking(balancer).rank(QueuedStream(StreamId(f"s{n}"), n, 0, 0.0, 0.0, 1))
    assert guard.use()["hostile"].is_set_aside, "it goes on like that"


def test_all_plugins_together_hold_the_engine_up_for_seconds_only() -> None:
    """However many of them are slow; the innocent among them are not blamed."""
    clock = FakeClock()

    def slow() -> int:
        clock.advance(0.9)
        return 1

    guard = Guard(now=clock)
    for n in range(100):
        guard.decide(object(), f"p{n}", slow, lambda: 0)
    assert clock() <= BURST_OF_ALL_SECONDS + 0.9
    assert guard.decide(object(), "quick", lambda: 1, lambda: 0) == 0
    assert all(fault.strategy != "quick" for fault in guard.news())


def test_calls_time_and_faults_are_counted_by_name() -> None:
    guard = Guard()
    assert guard.ask(object(), "x", lambda: 7, lambda: 8) == 7
    assert guard.ask(object(), "x", raises, lambda: 8) == 8
    use = guard.use()["x"]
    assert (use.calls, use.faults, use.is_set_aside) == (2, 1, False)
    assert use.seconds > 0
    assert use.last_fault
