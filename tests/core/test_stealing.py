"""Queues of slots: who waits where, what is stolen and at which price, and what is given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given as with_examples
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.placing import PATIENCE_SECONDS
from anabranch.core.deciding.streams.queueing import LATE_FACTOR
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.ids import StreamId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.strategies import (
    Assigning,
    Assignment,
    FreeSlot,
    Placement,
    Placing,
    QueuedStream,
    SlotQueue,
    Steal,
    answers,
)
from anabranch.core.views.accounting import report
from anabranch.core.views.projections import stream_status
from anabranch.core.views.queues import queue_in_words, queue_status
from anabranch.engine.guarded_strategies import Guard, guarded
from anabranch.testing import ByHand, plan_of, simulate, strategies_with, stream
from anabranch.testing.laws import LAWS
from anabranch.testing.memory_store import replay
from anabranch.testing.pressing import random_pressure
from anabranch.testing.staged_run import StagedRun
from anabranch.testing.views import SeededSource, draw_assigning, draw_options
from tests.core.given import STRATEGIES
from tests.core.test_placing import admitted, staged

BALANCER: Any = STRATEGIES.balancers["work-stealing"]


def known(name: str, *after: str, **fields: Any) -> StreamPlan:
    """Return a stream that has been learned to take ten seconds, and shares what is warm."""
    usual = {"estimate_seconds": 10.0, "estimate_basis": "learned", "capabilities": ("web",)}
    return stream(name, *after, **{**usual, **fields})


def begun(
    *streams: StreamPlan,
    price: float = 5.0,
    queue: float = 60.0,
    first: float = 10.0,
    **fields: Any,
) -> ByHand:
    """Return a run in which "one" and "two" run in slots 1 and 2, and all others wait."""
    firsts = [
        known("one", priority=2, estimate_seconds=first),
        known("two", priority=1, capabilities=("docs",)),
    ]
    options = {"price_seconds": price, "queue_seconds": queue}
    fields = {"max_parallel": 2, **fields}
    plan = plan_of(*firsts, *streams, balancer="work-stealing", balancer_options=options, **fields)
    run = ByHand(plan, STRATEGIES)
    run.run("one", "two")
    assert admitted(run)[:2] == [("one", 1), ("two", 2)]
    return run


def end(run: ByHand, name: str) -> None:
    run.exited(name)
    run.kept(name)


def answer(run: ByHand) -> None:
    """Let every owner of a queue answer what it is asked."""
    for effect in owed(run.state):
        if isinstance(effect, fx.AskVictim):
            run.give(let_go(effect))


def queue(run: ByHand, slot: int) -> list[str]:
    return [queued.stream for queued in run.state.queues.of(slot).streams]


def told(run: ByHand, kind: type[ev.Event]) -> list[Any]:
    return [record.event for record in run.records if isinstance(record.event, kind)]


# --- whose queue ---------------------------------------------------------------------------------


def test_who_is_near_waits_for_the_slot_and_others_for_any() -> None:
    run = begun(known("a"), known("b", estimate_seconds=12.0), known("c", capabilities=()))
    end(run, "two")
    assert queue(run, 1) == ["b", "a"]
    (assigned,) = told(run, ev.StreamsAssigned)[:1]
    assert (assigned.slot, assigned.version) == (1, 1)
    assert admitted(run)[-1] == ("c", 2)
    assert run.stream("c").placed_because == "the most urgent of the common queue"
    end(run, "one")
    assert admitted(run)[-1] == ("b", 1)
    assert run.stream("b").placed_because == "the first in the slot's own queue"


def test_a_queue_holds_so_much_work_and_no_more() -> None:
    many = [known(f"s{n}") for n in range(9)]
    run = begun(*many, known("free", capabilities=(), priority=1), queue=25.0)
    end(run, "two")
    assert queue(run, 1) == ["s0", "s1"]  # 10 s for "one", 10 s for "s0"
    assert admitted(run)[-1] == ("free", 2)


def test_a_dependant_is_near_to_where_it_was_waited_for() -> None:
    run = begun(known("after", "two", capabilities=()), known("other", capabilities=("x",)))
    end(run, "two")
    assert admitted(run)[-1] == ("after", 2)
    reason = "near to two, which ran there last; elsewhere it costs 5 s more"
    assert told(run, ev.StreamsAssigned)[-1].reason == reason


def test_urgency_goes_before_nearness_once_it_is_worth_more() -> None:
    """A step of priority is an hour: nothing that is near goes before it for long."""
    run = begun(known("near", capabilities=("docs",)), known("far", capabilities=(), priority=1))
    end(run, "two")
    assert admitted(run)[-1] == ("far", 2)
    assert "more urgent than near" in run.stream("far").placed_because
    close = begun(known("near", capabilities=("docs",)), known("far", estimate_seconds=40.0))
    end(close, "two")
    assert admitted(close)[-1] == ("near", 2)


def test_one_that_is_tried_again_holds_no_place_until_it_is_ready() -> None:
    run = begun(known("again", max_retries=1, capabilities=("docs",)), known("a"))
    end(run, "two")
    run.fail("again")
    assert run.phase("again") == "retrying"
    assert StreamId("again") not in run.state.queues.homes
    run.at(run.stream("again").not_before)
    assert run.phase("again") == "preparing"
    assert run.stream("again").slot == 2


# --- stealing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "stolen"),
    [(0.0, "ced"), (34.0, "ced"), (35.0, "ed"), (46.0, "d"), (55.0, "d"), (56.0, "")],
)
def test_half_of_the_tail_is_stolen_of_what_begins_sooner_price_included(
    price: float, stolen: str
) -> None:
    """With the victim, c begins in 34 seconds, e in 45 and d in 55."""
    estimates = {"a": 14.0, "b": 12.0, "c": 11.0, "d": 9.0, "e": 10.0}
    waiting = [known(name, estimate_seconds=s) for name, s in estimates.items()]
    run = begun(*waiting, price=price, queue=500.0)
    run.clock.advance(2.0)  # "one" has 8 s left
    end(run, "two")
    assert queue(run, 1) == list("abced")
    asked = told(run, ev.StealAsked)
    assert "".join(queued.stream for one in asked for queued in one.queued) == stolen
    answer(run)
    assert queue(run, 1) == [name for name in "abced" if name not in stolen]
    if stolen:
        assert admitted(run)[-1] == (stolen[0], 2)
        assert queue(run, 2) == list(stolen[1:])


def test_what_is_near_to_the_thief_as_well_costs_nothing_to_move() -> None:
    both = known("both", capabilities=("web", "docs"))
    run = begun(known("a", priority=1), both, price=50.0, queue=500.0)
    run.clock.advance(2.0)
    run.give(inputs.ChooseStrategy(kind="balancer", strategy="affinity"))
    run.give(inputs.ChooseStrategy(kind="balancer", strategy="work-stealing"))
    end(run, "two")
    assert admitted(run)[-1] == ("both", 2)


def three_slots(*more: StreamPlan, price: float = 0.0, **fields: Any) -> ByHand:
    """Return a run in which slot 3 is about to be free, and both others have a queue."""
    docs = [known(f"d{n}", capabilities=("docs",), estimate_seconds=20.0) for n in range(2)]
    webs = [known(f"w{n}") for n in range(3)]
    third = known("third", capabilities=("x",), priority=1, estimate_seconds=9.0)
    run = begun(third, *docs, *webs, *more, price=price, queue=500.0, max_parallel=3, **fields)
    run.run("third")
    assert admitted(run)[2] == ("third", 3)
    return run


def test_the_richest_is_stolen_from() -> None:
    """Forty seconds wait for slot 2, thirty for slot 1."""
    run = three_slots()
    end(run, "third")
    assert (queue(run, 1), queue(run, 2)) == (["w0", "w1", "w2"], ["d0", "d1"])
    (asked,) = told(run, ev.StealAsked)
    assert (asked.thief, asked.victim) == (3, 2)
    assert [queued.stream for queued in asked.queued] == ["d1"]


def test_a_steal_is_known_until_what_was_stolen_has_started() -> None:
    run = three_slots()
    end(run, "third")
    (steal,) = run.state.queues.steals.values()
    assert not steal.is_released
    assert queue(run, 2) == ["d0", "d1"]  # nothing has moved yet
    answer(run)
    (steal,) = run.state.queues.steals.values()
    assert steal.is_released
    assert run.phase("d1") == "preparing"
    run.ready("d1")
    assert len(run.state.queues.steals) == 1
    run.started("d1")
    assert not len(run.state.queues.steals)
    assert not len(run.state.queues.moving)
    tally = run.state.queues.tally
    assert (tally.asked, tally.stolen, tally.refused, tally.streams) == (1, 1, 0, 1)


def test_what_was_stolen_and_could_not_start_is_known_to_be_elsewhere() -> None:
    run = three_slots()
    end(run, "third")
    answer(run)
    run.failed("d1")
    assert run.phase("d1") == "failed"
    assert not len(run.state.queues.steals)


def test_a_steal_with_a_stale_version_is_refused() -> None:
    """The victim has started its first meanwhile; the thief asks anew."""
    run = three_slots()
    end(run, "third")
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.AskVictim)]
    end(run, "two")
    assert admitted(run)[-1] == ("d0", 2)
    run.give(let_go(effect))
    (refused,) = told(run, ev.StealRefused)
    assert refused.reason == "the queue of slot 2 has changed meanwhile"
    assert told(run, ev.StreamsStolen) == []
    assert len(told(run, ev.StealAsked)) == 2


def test_a_steal_with_a_stale_incarnation_is_refused() -> None:
    """The thief has had another stream meanwhile, though it is free again."""
    late = known("late", capabilities=("y",), after_seconds=5.0, priority=3)
    run = three_slots(late)
    end(run, "third")
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.AskVictim)]
    run.at(5.0)
    assert admitted(run)[-1] == ("late", 3)
    run.succeed("late")
    assert run.state.slots[3].is_free
    run.give(let_go(effect))
    (refused,) = told(run, ev.StealRefused)
    assert refused.reason == "slot 3 has got something else to do meanwhile"


def test_a_thief_beyond_a_width_that_was_narrowed_gets_nothing() -> None:
    run = three_slots(is_adaptive=True)
    end(run, "third")
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.AskVictim)]
    short = replace(random_pressure(Random(0)), memory_some=50.0, memory_full=50.0)
    for second in range(1, 9):
        run.clock.advance_to(float(second))
        run.give(short)
        if run.state.max_parallel < 3:
            break
    run.give(let_go(effect))
    (refused,) = told(run, ev.StealRefused)
    assert refused.reason == "slot 3 is beyond the width by now"


def test_an_answer_that_comes_twice_moves_nothing_twice() -> None:
    run = three_slots()
    end(run, "third")
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.AskVictim)]
    run.give(let_go(effect))
    before = run.state
    assert run.give(let_go(effect)) == []
    assert run.state.queues == before.queues


def test_a_victim_that_has_started_all_of_them_gives_nothing() -> None:
    run = three_slots()
    end(run, "third")
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.AskVictim)]
    run.give(inputs.VictimAnswered(steal=effect.cause, released=()))
    (refused,) = told(run, ev.StealRefused)
    assert refused.reason == "slot 2 has started them meanwhile"


def test_a_crash_at_any_event_of_a_steal_loses_and_doubles_nothing() -> None:
    """What is owed after it is asked once more, and all run once."""
    whole = three_slots()
    end(whole, "third")
    answer(whole)
    for cut in range(1, len(whole.records) + 1):
        state = replay(whole.records[:cut])
        assert state is not None
        assert decode_state(encode_state(state)) == state
        for steal in state.queues.steals.values():
            expected = 0 if steal.is_released else 1
            asks = [e for e in owed(state) if isinstance(e, fx.AskVictim)]
            assert len(asks) == expected


# --- given back ----------------------------------------------------------------------------------


def given_back(run: ByHand) -> list[tuple[int, list[str], str]]:
    found = told(run, ev.StreamsGivenBack)
    return [(one.slot, [q.stream for q in one.queued], one.reason) for one in found]


def test_a_slot_whose_stream_takes_far_longer_gives_its_queue_back() -> None:
    """At once when it is looked at, and there is a timer for it."""
    run = begun(known("a"), price=1000.0, queue=500.0)
    end(run, "two")
    assert queue(run, 1) == ["a"]
    wakes = {e.at for e in run.effects if isinstance(e, fx.WakeAt) and e.subject == "queues"}
    assert wakes == {LATE_FACTOR * 10.0}
    run.at(LATE_FACTOR * 10.0)
    assert given_back(run) == [
        (1, ["a"], "one, which runs in slot 1, takes far longer than expected")
    ]
    assert admitted(run)[-1] == ("a", 2)


def test_nobody_waits_for_a_slot_of_which_nobody_knows_when_it_is_free() -> None:
    """A guess says nothing: all on one worker, and nothing stolen, is what it would lead to."""
    plan = plan_of(
        known("one", priority=2, estimate_basis="guessed"),
        known("two", priority=1, capabilities=("docs",)),
        known("a"),
        max_parallel=2,
        balancer="work-stealing",
    )
    run = ByHand(plan, STRATEGIES)
    run.run("one", "two")
    end(run, "two")
    assert admitted(run)[-1] == ("a", 2)
    assert told(run, ev.StreamsAssigned) == []


def test_another_balancer_finds_no_queues_of_slots() -> None:
    run = begun(known("a"), price=1000.0, queue=500.0)
    end(run, "two")
    assert queue(run, 1) == ["a"]
    run.give(inputs.ChooseStrategy(kind="balancer", strategy="longest-first"))
    assert given_back(run) == [(1, ["a"], "longest-first knows no queues of slots")]
    assert admitted(run)[-1] == ("a", 2)


def test_a_slot_beyond_the_width_gives_its_queue_back() -> None:
    """The machine is short of memory, and fewer run."""
    run = three_slots(price=1000.0, is_adaptive=True)
    end(run, "one")
    run.give(inputs.ChooseStrategy(kind="balancer", strategy="work-stealing"))
    end(run, "third")
    short = replace(random_pressure(Random(0)), memory_some=50.0, memory_full=50.0)
    before = queue(run, 2)
    for second in range(1, 9):
        run.clock.advance_to(float(second))
        run.give(short)
    assert run.state.max_parallel < 2
    assert before
    assert (2, before, "slot 2 is beyond the width") in given_back(run)


def test_nobody_waits_beside_a_free_slot_for_longer_than_patience() -> None:
    run = begun(known("a"), known("b"), price=1000.0, queue=500.0, first=100.0)
    run.clock.advance(1.0)
    end(run, "two")
    assert queue(run, 1) == ["a", "b"]
    run.at(1.0 + PATIENCE_SECONDS - 0.1)
    assert admitted(run)[-1] == ("two", 2)
    run.at(1.0 + PATIENCE_SECONDS)
    assert admitted(run)[-1] == ("a", 2)
    assert queue(run, 1) == ["b"]


def test_what_leaves_the_queue_of_all_leaves_that_of_its_slot() -> None:
    run = begun(known("a"), known("b"), price=1000.0)
    end(run, "two")
    assert queue(run, 1) == ["a", "b"]
    run.stop("a")
    assert queue(run, 1) == ["b"]
    assert run.state.queues.of(1).version == 2


def test_queues_are_in_the_order_of_all_who_are_ready() -> None:
    run = begun(known("a"), known("b", priority=1), price=1000.0, queue=500.0)
    end(run, "two")
    assert queue(run, 1) == ["b", "a"]


# --- shown ---------------------------------------------------------------------------------------


def test_a_stream_says_in_whose_queue_it_waits_and_why() -> None:
    run = begun(known("a", estimate_seconds=12.0), known("b"), price=20.0)
    end(run, "two")
    because = "near to one, which runs there; elsewhere it costs 20 s more"
    found = stream_status(run.state, run.stream("b"))
    assert found["queue"] == {"slot": 1, "position": 2, "because": because}
    assert found["reason"] == "ready; waits for slot 1"
    assert [wait["name"] for wait in found["waits_for"]] == ["slot 1"]
    assert queue_in_words(run.state, StreamId("b")) == "second in the queue of slot 1"
    assert stream_status(run.state, run.stream("one"))["queue"] is None
    assert queue_in_words(run.state, StreamId("one")) == ""


def test_a_stream_that_was_stolen_says_so_and_the_report_counts() -> None:
    run = three_slots(known("w3"), known("w4"), known("w5"))
    end(run, "third")
    answer(run)
    assert admitted(run)[-1] == ("w3", 3)
    assert queue_status(run.state, StreamId("w4")) == {
        "slot": 3,
        "position": 1,
        "because": "stolen from slot 1",
    }
    told_of = report(run.state, [], 1.0, {})["stealing"]
    assert told_of == {"asked": 1, "stolen": 1, "refused": 0, "streams": 3, "given_back": 0}


# --- one of somebody else's ----------------------------------------------------------------------


class Made:
    """A balancer that only has slots own queues, as one function says."""

    name = "made"

    def __init__(self, assign: Callable[[Assigning], Sequence[Any]]) -> None:
        self._assign = assign
        self.views: list[Assigning] = []

    def assign(self, view: Assigning, now: float) -> Sequence[Assignment | Steal]:
        self.views.append(view)
        return self._assign(view)


def all_to_the_first(view: Assigning) -> Sequence[Assignment | Steal]:
    """Have everybody wait for the first slot, and the others steal one each."""
    first, *others = view.slots
    thieves = [s for s in others if s.is_free and not s.streams and not s.is_under_way]
    steals = [
        Steal(thieves[0].slot, first.slot, (first.streams[-1].stream,), "for the others")
        for _ in range(1)
        if thieves and first.streams and not first.is_free and not first.is_under_way
    ]
    return [*(Assignment(s.stream, first.slot, "the first slot") for s in view.queue), *steals]


def test_it_is_shown_queues_and_slots_and_needs_no_place_of_its_own() -> None:
    made = Made(all_to_the_first)
    plan = plan_of(
        known("a", priority=1),
        *(known(name) for name in "bcd"),
        max_parallel=2,
        balancer="made",
    )
    run = ByHand(plan, strategies_with(made))
    assert admitted(run) == [("a", 1)]
    assert [s.stream for s in made.views[0].queue] == ["a", "b", "c", "d"]
    first, second = made.views[-1].slots
    assert (first.slot, first.is_free, first.last) == (1, False, "a")
    assert first.last_capabilities == ("web",)
    assert (first.rest_seconds, first.is_under_way) == (10.0, True)
    assert [(s.stream, s.own_slot) for s in first.streams] == [("b", 1), ("c", 1), ("d", 1)]
    assert (second.slot, second.is_free, second.streams) == (2, True, ())
    answer(run)
    assert admitted(run) == [("a", 1), ("d", 2)]
    assert run.stream("d").placed_because == "the first in the slot's own queue"


def test_a_whole_run_of_one_comes_to_its_end() -> None:
    streams = [known(f"s{n}") for n in range(12)]
    plan = plan_of(*streams, max_parallel=3, balancer="made")
    assert simulate(plan, Made(all_to_the_first)).counts.ended == 12


def view_of(**fields: Any) -> Assigning:
    """Return a view with one in the common queue, a busy slot 1 with three, and a free slot 2."""

    def queued(name: str, slot: int) -> QueuedStream:
        return QueuedStream(StreamId(name), 0, 0, 1.0, 1.0, 1, own_slot=slot)

    busy = SlotQueue(1, is_free=False, streams=tuple(queued(name, 1) for name in "abc"))
    return Assigning(**{"queue": (queued("x", 0),), "slots": (busy, SlotQueue(2)), **fields})


A, B, C, X = (StreamId(name) for name in "abcx")
WRONG: dict[str, Any] = {
    "nothing": None,
    "text": "all of them",
    "what it is shown": lambda: view_of().queue,
    "an unknown stream": (Assignment(StreamId("unknown"), 1, "x"),),
    "one stream twice": (Assignment(X, 1, "x"), Assignment(X, 2, "x")),
    "one that has a queue": (Assignment(A, 2, "x"),),
    "a slot that is not there": (Assignment(X, 3, "x"),),
    "no name": (Assignment([], 1, "x"),),  # type: ignore[arg-type]
    "no reason": (Assignment(X, 1, None),),  # type: ignore[arg-type]
    "a steal of nothing": (Steal(2, 1, (), "x"),),
    "a steal of the head": (Steal(2, 1, (A,), "x"),),
    "a steal of more than half": (Steal(2, 1, (A, B, C), "x"),),
    "one stolen twice": (Steal(2, 1, (C, C), "x"),),
    "a steal of who is not there": (Steal(2, 1, (X,), "x"),),
    "a steal for one that is busy": (Steal(1, 2, (C,), "x"),),
    "a steal from itself": (Steal(1, 1, (C,), "x"),),
    "two steals by one": (Steal(2, 1, (C,), "x"), Steal(2, 1, (B,), "x")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_is_the_plugins_fault_and_nothing_is_assigned(wrong: str) -> None:
    found = WRONG[wrong]() if callable(WRONG[wrong]) else WRONG[wrong]
    with pytest.raises((answers.WrongAnswer, TypeError)):
        answers.assignments(found, view_of())
    guard, balancer = Guard(), Made(lambda view: found)
    plan = plan_of(*(known(n) for n in "xyz"), max_parallel=2, balancer="made")
    run = ByHand(plan, guarded(strategies_with(balancer), guard))
    assert admitted(run) == [("x", 1), ("y", 2)]
    assert told(run, ev.StreamsAssigned) == []
    assert all(fault.strategy == "made" for fault in guard.news())


def test_who_waits_for_a_slot_is_placed_nowhere_else() -> None:
    own = QueuedStream(X, 0, 0, 1.0, 1.0, 1, own_slot=2)
    view = Placing(queue=(own,), slots=(FreeSlot(1), FreeSlot(2)))
    assert answers.placements([Placement(X, 2, "its own")], view)
    with pytest.raises(answers.WrongAnswer, match="in the queue of another slot"):
        answers.placements([Placement(X, 1, "another one")], view)


def test_right_answers_are_let_through() -> None:
    right = (Assignment(X, 2, "near"), Steal(2, 1, (B, C), "rich"))
    assert answers.assignments(list(right), view_of()) == right


# --- what it comes to ----------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@with_examples(seed=st.integers(0, 2**32), size=st.integers(1, 30))
def test_what_it_assigns_and_steals_is_lawful_and_worth_it(seed: int, size: int) -> None:
    """Nobody waits behind more work than a queue may hold, or begins later for being stolen."""
    source = SeededSource(seed, size)
    options: Any = draw_options(source, BALANCER.options_type)
    view, now = draw_assigning(source, options)
    found = BALANCER.assign(view, now)
    for law in LAWS[Assigning]:
        assert not law(BALANCER.assign, (view, now), found)
    slots = {slot.slot: slot for slot in view.slots}
    before = {
        s.slot: s.rest_seconds + sum(q.estimate_seconds for q in s.streams) for s in view.slots
    }
    estimates = {q.stream: q.estimate_seconds for q in view.queue}
    for one in found:
        if isinstance(one, Assignment):
            assert before[one.slot] <= options.queue_seconds
            before[one.slot] += estimates[one.stream]
        else:
            victim, thief = slots[one.victim], slots[one.thief]
            names = [q.stream for q in victim.streams]
            first = names.index(one.streams[0])
            wait = victim.rest_seconds + sum(q.estimate_seconds for q in victim.streams[:first])
            assert one.streams == tuple(names[first:])
            warm = {thief.last, *thief.last_capabilities}
            stream = victim.streams[first]
            is_near = warm & {stream.stream, *stream.depends_on, *stream.capabilities}
            assert is_near or wait >= options.price_seconds


def test_with_no_price_it_is_about_as_good_as_the_default_where_nothing_is_warm() -> None:
    shares: dict[str, list[float]] = {"longest-first": [], "work-stealing": []}
    for seed in range(4):
        plan, seconds = learned(*staged(seed, 200))
        for name, found in shares.items():
            options = {"price_seconds": 0.0} if name == "work-stealing" else {}
            chosen = replace(plan, balancer=name, balancer_options=options)
            run = StagedRun(chosen, STRATEGIES, seconds)
            assert len({lease.stream for lease in run.leases}) == len(run.leases) == 200
            found.append(run.efficiency())
    assert median(shares["work-stealing"]) > median(shares["longest-first"]) - 0.03


def learned(plan: Plan, seconds: dict[StreamId, float]) -> tuple[Plan, dict[StreamId, float]]:
    """Return a plan that has run before."""
    streams = tuple(replace(one, estimate_basis="learned") for one in plan.streams)
    return replace(plan, streams=streams), seconds


def test_where_something_is_warm_it_saves_most_of_what_being_cold_costs() -> None:
    """Six groups share what is warm; a cold start costs as much as half a stream."""
    rng = Random(1)
    names = [f"s{n}" for n in range(120)]
    group = {name: f"g{rng.randrange(6)}" for name in names}
    streams = [
        stream(n, capabilities=(group[n],), estimate_seconds=10.0, estimate_basis="learned")
        for n in names
    ]
    plan = plan_of(*streams, max_parallel=4)
    seconds = {StreamId(name): 10.0 for name in names}

    def cold(name: StreamId, last: StreamId | None) -> float:
        return 0.0 if last is not None and group[last] == group[name] else 5.0

    spans = {}
    for name in ("longest-first", "work-stealing"):
        run = StagedRun(replace(plan, balancer=name), STRATEGIES, seconds, cold=cold)
        spans[name] = run.makespan
    assert spans["longest-first"] > 420.0
    assert spans["work-stealing"] < 340.0
