"""Resources: who gets what, who waits, and what happens to those who take too much."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.deciding.resources import (
    RESERVE_SECONDS,
    STOP_AFTER_SECONDS,
    TELL_AFTER_SECONDS,
)
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import StreamId
from anabranch.testing import plan_of, stream
from tests.core.working import Crew


def crew_of(count: int, db: float, **fields: Any) -> Crew:
    """Return a crew that shares a number of databases."""
    return Crew(*(f"s{n}" for n in range(count)), resources={"db": db}, **fields)


# ------------------------------------------------------------------ admission


def test_a_stream_that_does_not_fit_waits_and_says_for_what_and_whom() -> None:
    """It starts in the moment the other's process is gone."""
    plan = plan_of(
        stream("a", resources={"db": 2}), stream("b", resources={"db": 1}), resources={"db": 2}
    )
    crew = Crew(plan=plan)
    crew.starts("a")
    assert crew.phase("b") == "queued"
    reason = reason_for(crew.state, crew.state.streams[StreamId("b")])
    assert reason == "ready; needs 1 db, 0 of 2 free; held by a"
    crew.ends("a")
    assert (crew.phase("b"), crew.held("b"), crew.held("a")) == ("preparing", {"db": 1}, {})


def test_what_a_plan_asks_nothing_of_is_not_held() -> None:
    """Nor told as if somebody had it."""
    plan = plan_of(
        stream("a", resources={"db": 0}), stream("b", resources={"db": 1}), resources={"db": 1}
    )
    crew = Crew(plan=plan)
    assert (crew.held("a"), crew.held("b")) == ({}, {"db": 1})
    assert [e.stream for e in crew.events(ev.ResourcesGranted)] == ["b"]


def test_a_token_that_nobody_defines_is_as_large_as_its_largest_use() -> None:
    """Two streams that each want the one there is follow each other."""
    plan = plan_of(stream("a", resources={"gpu": 1}), stream("b", resources={"gpu": 1}))
    crew = Crew(plan=plan)
    assert (crew.phase("a"), crew.phase("b")) == ("preparing", "queued")


def test_what_can_never_fit_is_skipped_with_the_reason() -> None:
    """And the run says so at its end, instead of waiting for ever."""
    crew = Crew(plan=plan_of(stream("a", resources={"cpu_cores": 64})))
    assert crew.phase("a") == "preparing"  # nobody has measured the machine
    crew = Crew(plan=plan_of(stream("b"), stream("a", "b", resources={"cpu_cores": 64})))
    crew.measures(cpu_cores=2, memory_mb=4000)
    crew.starts("b")
    crew.ends("b")
    assert crew.phase("a") == "skipped"
    assert "needs 64 cpu_cores, and there are only 2" in crew.state.streams[StreamId("a")].reason


def test_what_a_machine_that_shrank_can_never_give_is_skipped_too() -> None:
    """It was queued while there was enough, and would wait for ever."""
    plan = plan_of(stream("a"), stream("b", resources={"cpu_cores": 4}), max_parallel=1)
    crew = Crew(plan=plan)
    crew.measures(cpu_cores=8, memory_mb=8000)
    crew.starts("a")
    assert crew.phase("b") == "queued"
    crew.measures(cpu_cores=2, memory_mb=8000)
    crew.ends("a")
    assert crew.phase("b") == "skipped"
    assert "there are only 2" in crew.state.streams[StreamId("b")].reason


def test_nothing_new_starts_while_memory_is_short() -> None:
    """Below the floor, or under pressure; it goes on by itself when that is over."""
    crew = Crew(plan=plan_of(stream("a"), stream("b", "a"), stream("c", "a")))
    crew.measures(cpu_cores=2, memory_mb=8000)
    crew.starts("a")
    crew.is_loaded(200)
    crew.ends("a")
    assert crew.phase("b") == "queued"
    reason = reason_for(crew.state, crew.state.streams[StreamId("b")])
    assert reason == "ready; only 200 MB of memory are free; nothing starts below 400"
    crew.is_loaded(3000, pressure=55.0)
    assert crew.phase("b") == "queued"
    crew.is_loaded(3000, pressure=1.0)
    assert (crew.phase("b"), crew.phase("c")) == ("preparing", "preparing")


def test_memory_that_is_not_free_now_is_not_given_away_twice() -> None:
    """What was granted since the last look counts as used; alone, a stream may always start."""
    big = {"memory_mb": 1500.0}
    plan = plan_of(*(stream(n, resources=big) for n in "abc"), stream("z"))
    crew = Crew(plan=plan)
    crew.measures(cpu_cores=4, memory_mb=8000)
    assert crew.phase("c") == "preparing"
    plan = plan_of(stream("z"), *(stream(n, "z", resources=big) for n in "abc"))
    crew = Crew(plan=plan)
    crew.measures(cpu_cores=4, memory_mb=8000)
    crew.starts("z")
    crew.is_loaded(3200)
    crew.ends("z")
    assert [crew.phase(n) for n in "abc"] == ["preparing", "preparing", "queued"]


# ------------------------------------------------------------------ requests


def test_a_request_is_granted_offered_less_or_queued() -> None:
    """As the caller wants; the queue says its place and who holds what it lacks."""
    crew = crew_of(3, 3)
    assert crew.asks("s0", db=2).facts == {"granted": {"db": 2}, "holds": {"db": 2}}
    offer = crew.asks("s1", wait=False, db=2)
    assert (offer.outcome, offer.facts["offer"], offer.facts["holders"]) == (
        "offer",
        {"db": 1},
        ["s0"],
    )
    queued = crew.asks("s1", db=2)
    assert (queued.outcome, queued.facts["position"], queued.facts["holders"]) == (
        "queued",
        1,
        ["s0"],
    )
    assert crew.asks("s1", db=2).facts["ticket"] == queued.facts["ticket"]
    crew.releases("s0", db=1)
    assert crew.held("s1") == {"db": 2}
    assert crew.asks("s2", wait=False, db=1).outcome == "refused"


def test_a_queued_request_is_answered_granted_when_it_is_asked_again() -> None:
    """Under its own id nothing happens twice."""
    crew = crew_of(2, 1)
    crew.asks("s0", db=1)
    crew.call(calls.RequestResources, "s1", "mine", amounts={"db": 1.0})
    assert crew.hears_again("s1", "mine").outcome == "queued"
    crew.ends("s0")
    assert crew.hears_again("s1", "mine").outcome == "granted"


@pytest.mark.parametrize(
    ("amounts", "word"),
    [
        ({"gpu": 1}, "no resource 'gpu'"),
        ({"db": 3}, "there are only 2"),
        ({"db": 0}, "not an amount"),
        ({"db": -1}, "not an amount"),
        ({"db": float("nan")}, "not an amount"),
        ({}, "no amounts"),
    ],
)
def test_what_can_never_be_granted_is_refused(amounts: dict[str, float], word: str) -> None:
    """With a reason and a hint, and without an event."""
    crew = crew_of(1, 2)
    seen = len(crew.records)
    wanted: dict[str, Any] = dict(amounts)
    answer = crew.asks("s0", **wanted)
    assert (answer.outcome, len(crew.records)) == ("refused", seen)
    assert word in answer.facts["reason"]
    assert answer.facts["hint"]


def test_nobody_gives_back_what_he_does_not_hold() -> None:
    """Neither more than he has, nor what another has, nor less than nothing; and he is told why."""
    crew = crew_of(2, 2)
    crew.asks("s0", db=1)
    found = [crew.releases("s0", db=2), crew.releases("s1", db=1), crew.releases("s0", db=-1)]
    assert [(a.outcome, a.facts["reason"], a.facts["hint"]) for a in found] == [
        ("refused", "s0 does not hold 1 db more of this", "it holds 1 db"),
        ("refused", "s1 does not hold 1 db more of this", "it holds nothing"),
        ("refused", "-1 is not an amount of db", "it holds 1 db"),
    ]
    assert crew.releases("s0", db=1).facts == {"holds": {}}


def test_a_wait_can_be_given_up() -> None:
    """Then the next in the queue is served."""
    crew = crew_of(3, 2)
    crew.asks("s0", db=1)
    ticket = int(crew.asks("s1", db=2).facts["ticket"])
    assert crew.call(calls.Withdraw, "s1", ticket=ticket).outcome == "done"
    assert crew.call(calls.Withdraw, "s1", ticket=ticket).outcome == "refused"
    assert not crew.state.resources.queue
    (withdrawn,) = crew.events(ev.ResourcesWithdrawn)
    assert withdrawn.reason == "the wait was given up"


@pytest.mark.parametrize(
    ("holders", "words"), [(4, "s0, s1, s2, s3"), (5, "s0, s1, s2, s3 and 1 more")]
)
def test_the_holders_are_named_and_the_rest_of_many_is_counted(holders: int, words: str) -> None:
    names = [f"s{n}" for n in range(holders)]
    members = [stream(name, resources={"db": 1}) for name in (*names, "late")]
    crew = Crew(plan=plan_of(*members, resources={"db": holders}, max_parallel=holders + 1))
    reason = reason_for(crew.state, crew.state.streams[StreamId("late")])
    assert reason == f"ready; needs 1 db, 0 of {holders} free; held by {words}"


def test_everything_is_released_when_the_process_is_gone() -> None:
    """However it went, in the same decision; the next attempt gets the plan's share anew."""
    plan = plan_of(stream("a", resources={"db": 1}, max_retries=1), resources={"db": 3})
    crew = Crew(plan=plan)
    crew.starts("a")
    crew.asks("a", db=1)
    assert crew.held("a") == {"db": 2}
    crew.crashes("a")
    assert not crew.state.resources.held
    crew.passes(120)
    assert (crew.phase("a"), crew.held("a")) == ("preparing", {"db": 1})


def test_two_that_wait_for_each_others_share_are_a_deadlock() -> None:
    """The one who loses least is refused, with the whole ring, and the other goes on."""
    crew = crew_of(2, 2)
    crew.asks("s0", db=1)
    crew.asks("s1", db=1)
    crew.asks("s0", db=1)
    answer = crew.asks("s1", db=1)
    assert answer.outcome == "refused"
    assert "deadlock" in answer.facts["reason"]
    assert {e["stream"] for e in answer.facts["cycle"]} == {"s0", "s1"}
    crew.releases("s1", db=1)
    assert crew.held("s0") == {"db": 2}


def test_three_that_wait_for_any_of_each_other_are_a_deadlock_too() -> None:
    """No single one is needed, yet nobody can ever go on; while one can, there is none."""
    crew = crew_of(3, 3)
    for name in ("s0", "s1", "s2"):
        crew.asks(name, db=1)
    assert crew.asks("s0", db=1).outcome == "queued"
    assert crew.asks("s1", db=1).outcome == "queued"
    assert not crew.events(ev.DeadlockDetected)
    assert crew.asks("s2", db=1).outcome == "refused"
    assert len(crew.events(ev.DeadlockDetected)) == 1


def test_what_several_can_give_back_is_enough_however_their_sum_is_rounded() -> None:
    """0.1 + 0.1 + 0.5 - 0.5 is less than 0.2 for a machine; who need not give is in no ring."""
    crew = Crew("one", "two", "rest", "last", resources={"db": 0.7, "gpu": 1})
    for name, amount in (("one", 0.1), ("two", 0.1), ("rest", 0.5)):
        crew.asks(name, db=amount)
    crew.asks("last", gpu=1)
    assert crew.asks("rest", gpu=1).outcome == "queued"
    assert crew.asks("last", db=0.2).outcome == "queued"
    assert not crew.events(ev.DeadlockDetected)
    crew.releases("one", db=0.1)
    crew.releases("two", db=0.1)
    assert crew.held("last") == {"gpu": 1, "db": 0.2}


# ------------------------------------------------------------------ fairness


def test_nothing_is_reserved_for_one_that_may_not_start_yet() -> None:
    """Its wait for resources begins when its time has come."""
    late = stream("late", after_seconds=1000.0, resources={"db": 2})
    crew = Crew(plan=plan_of(stream("a"), stream("b"), late, resources={"db": 2}))
    crew.starts("a")
    crew.starts("b")
    crew.asks("a", db=1)
    crew.passes(1000.0 - 1)
    assert crew.asks("b", db=1).outcome == "granted"
    crew.releases("b", db=1)
    crew.passes(1 + RESERVE_SECONDS)
    assert crew.asks("b", db=1).outcome == "queued"


def test_a_large_request_is_not_starved_by_small_ones() -> None:
    """Small ones may pass while it is young; then what it needs drains towards it."""
    crew = crew_of(4, 4)
    crew.passes(RESERVE_SECONDS)
    crew.asks("s0", db=2)
    crew.asks("s1", db=1)
    assert crew.asks("s3", db=4).outcome == "queued"
    crew.passes(RESERVE_SECONDS - 1)
    assert crew.asks("s2", db=1).outcome == "granted"
    crew.passes(1)
    crew.releases("s2", db=1)
    assert crew.asks("s2", db=1).outcome == "queued"
    crew.releases("s1", db=1)
    crew.releases("s0", db=2)
    assert crew.held("s3") == {"db": 4}
    crew.releases("s3", db=4)
    assert crew.held("s2") == {"db": 1}


def test_what_is_reserved_keeps_nobody_from_anything_else() -> None:
    crew = Crew("s0", "s1", "s2", resources={"db": 2, "gpu": 1})
    crew.asks("s0", db=1)
    crew.asks("s1", db=2)
    crew.passes(RESERVE_SECONDS)
    assert crew.asks("s2", gpu=1).outcome == "granted"
    assert crew.asks("s2", db=1).outcome == "queued"


@pytest.mark.parametrize("seed", range(20))
def test_nobody_starves(seed: int) -> None:
    """While everybody gives back within a minute, no wait is longer than a few turns of all."""
    rng = Random(seed)
    crew = crew_of(8, 4)
    until: dict[str, float] = {}
    longest = 0.0
    for _ in range(600):
        crew.passes(rng.uniform(0.0, 5.0))
        for name in [n for n, end in until.items() if end <= crew.now and crew.held(n)]:
            crew.releases(name, **crew.held(name))
            del until[name]
        waiting = {w.stream: crew.now - w.since for w in crew.state.resources.queue}
        longest = max([longest, *waiting.values()])
        name = f"s{rng.randrange(8)}"
        if not crew.held(name) and name not in waiting:
            crew.asks(name, db=4 if name == "s0" else rng.choice((1, 1, 2)))
        for held in crew.state.resources.held:
            until.setdefault(held, crew.now + rng.uniform(1.0, 60.0))
    assert any(e.amounts == {"db": 4} for e in crew.events(ev.ResourcesGranted))
    assert longest < RESERVE_SECONDS + 8 * 65.0


@pytest.mark.parametrize("seed", range(40))
def test_capacity_holds_and_all_is_given_back(seed: int) -> None:
    """Random calls, ends and crashes; the promises are checked after every single step."""
    rng = Random(seed)
    names = [f"s{n}" for n in range(rng.randint(2, 6))]
    plan = plan_of(
        *(stream(n, resources={"db": rng.randint(0, 2)}, max_retries=1) for n in names),
        max_parallel=rng.randint(1, len(names)),
        resources={"db": 3, "gpu": 2},
        keep_going=True,
    )
    crew = Crew(plan=plan)
    for _ in range(120):
        _acts(crew, rng, rng.choice(names))
        if rng.random() < 0.1:
            crew.remembers()
    for _ in range(200):
        if crew.state.has_ended:
            break
        for name in names:
            _comes_to_its_end(crew, name)
        crew.passes(30)
        crew.merges()
    assert crew.state.has_ended
    assert not crew.state.resources.held
    assert not crew.state.resources.queue
    assert not crew.state.resources.used


def _acts(crew: Crew, rng: Random, name: str) -> None:
    match crew.phase(name):
        case "preparing":
            crew.starts(name)
        case "running":
            amounts = {rng.choice(("db", "gpu")): float(rng.randint(1, 3))}
            act = rng.random()
            if act < 0.5:
                crew.asks(name, rng.random() < 0.8, **amounts)
            elif act < 0.85:
                crew.releases(name, **amounts)
            elif act < 0.9:
                crew.crashes(name)
            elif act < 0.93:
                crew.ends(name)
        case _:
            crew.passes(rng.uniform(0, 10))


def _comes_to_its_end(crew: Crew, name: str) -> None:
    if crew.phase(name) == "preparing":
        crew.starts(name)
    if crew.phase(name) == "running":
        crew.ends(name)


# ------------------------------------------------------------------ too much


@pytest.mark.parametrize(
    ("policy", "responses"),
    [("show", ["show"]), ("tell", ["show", "tell"]), ("stop", ["show", "tell", "stop"])],
)
def test_too_much_is_shown_then_told_then_ended(policy: str, responses: list[str]) -> None:
    """As far as the plan wants, one step after the other."""
    plan = plan_of(stream("a", resources={"memory_mb": 100}), on_excess=policy)
    crew = Crew(plan=plan)
    crew.starts("a")
    for _ in range(100):
        if crew.phase("a") == "running":
            crew.uses("a", 180)
            crew.passes(1)
    assert [e.response for e in crew.events(ev.ResourcesExceeded)] == responses
    found = [m.body["text"] for m in crew.events(ev.MessageSent)]
    assert found == ["it uses 180 memory_mb and was granted 100; use less, or request more"] * (
        "tell" in responses
    )
    assert crew.phase("a") == ("stopping" if policy == "stop" else "running")


def test_each_step_after_too_much_comes_in_its_own_time() -> None:
    """Nobody is told, or ended, for what lasts no longer than a moment."""
    crew = Crew(plan=plan_of(stream("a", resources={"memory_mb": 100}), on_excess="stop"))
    crew.starts("a")
    seen: list[list[str]] = []
    for seconds in (100.0, TELL_AFTER_SECONDS - 1, 1.0, STOP_AFTER_SECONDS - 1, 1.0):
        crew.passes(seconds)
        crew.uses("a", 180)
        seen.append([e.response for e in crew.events(ev.ResourcesExceeded)])
    shown, found = ["show"], ["show", "tell"]
    assert seen == [shown, shown, found, found, [*found, "stop"]]


def test_a_stream_that_uses_less_again_begins_with_a_clean_slate() -> None:
    """The next time it is shown first, again."""
    crew = Crew(plan=plan_of(stream("a", resources={"memory_mb": 100}), on_excess="stop"))
    crew.starts("a")
    crew.uses("a", 105)
    assert not crew.events(ev.ResourcesExceeded)
    crew.uses("a", 180)
    crew.uses("a", 90)
    assert len(crew.events(ev.ResourcesWithin)) == 1
    crew.passes(60)
    crew.uses("a", 180)
    assert [e.response for e in crew.events(ev.ResourcesExceeded)] == ["show", "show"]
