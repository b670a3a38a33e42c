"""Nothing is lost or doubled by stealing: anything lawful is assigned and stolen, at odd moments.

A balancer that decides at random assigns, steals and leaves waiting; owners of queues answer late,
twice or in another order; the width changes, streams fail and are stopped, balancers are chosen,
and the engine is killed: it goes on from the journal, with the newest decision or without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import State
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.strategies import Assigning, Assignment, Placement, Placing, Steal, most_stolen
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, Simulation, plan_of, strategies_with, stream
from anabranch.testing.memory_store import replay
from anabranch.testing.pressing import random_pressure
from anabranch.testing.queue_watch import QueueWatch

NAMES = [f"s{n}" for n in range(9)]


class Whimsical:
    """Assigns, steals and places at random whatever may be."""

    name = "whimsical"

    def assign(self, view: Assigning, now: float) -> Sequence[Assignment | Steal]:
        rng = Random(view.seed)
        found: list[Assignment | Steal] = [
            Assignment(one.stream, rng.choice(view.slots).slot, "a whim")
            for one in view.queue
            if view.slots and rng.random() < 0.6
        ]
        free = [s for s in view.slots if not s.is_under_way and s.is_free and not s.streams]
        rich = [s for s in view.slots if not s.is_under_way and not s.is_free and s.streams]
        for thief, victim in zip(free, rich, strict=False):
            most = most_stolen(len(victim.streams))
            count = rng.randint(0, most)
            if count:
                tail = tuple(one.stream for one in victim.streams[-count:])
                found.append(Steal(thief.slot, victim.slot, tail, "a whim"))
        return found

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        rng, queue, found = Random(view.seed), list(view.queue), []
        for slot in view.slots:
            may = [one for one in queue if one.own_slot in (0, slot.number)]
            if may and rng.random() < 0.7:
                one = rng.choice(may)
                queue.remove(one)
                found.append(Placement(one.stream, slot.number, "a whim"))
        return found


STRATEGIES = strategies_with(Whimsical())


class Stealing(RuleBasedStateMachine):
    """One run, in which everything happens that moves streams between queues."""

    def __init__(self) -> None:
        super().__init__()
        streams = [
            stream(
                name,
                *([NAMES[n - 6]] if n > 6 else []),
                estimate_basis="learned",
                estimate_seconds=float(1 + n % 4),
                max_retries=2,
                workspace="shared",
                after_seconds=2.0 if n == 5 else 0.0,
            )
            for n, name in enumerate(NAMES)
        ]
        plan = plan_of(*streams, max_parallel=4, is_adaptive=True, balancer="whimsical")
        self.run = ByHand(plan, STRATEGIES)
        self.asked: list[fx.AskVictim] = []
        self.marks = (len(self.run.records), len(self.run.records))

    # --- what happens ----------------------------------------------------------------------------

    @rule(pick=st.integers(0, 99), twice=st.booleans())
    def an_owner_answers(self, pick: int, twice: bool) -> None:
        """One that is asked now, or was asked at any time before."""
        self.asked += [e for e in self._owed() if e not in self.asked]
        if self.asked:
            effect = self.asked[pick % len(self.asked)]
            for _ in range(1 + twice):
                self.run.give(let_go(effect))

    @rule(pick=st.integers(0, 99), code=st.sampled_from((0, 0, 0, 1)))
    def one_goes_on(self, pick: int, code: int) -> None:
        """A stream that holds a slot gets a step further."""
        active = [s for s in self.run.state.streams.values() if s.is_active]
        if not active:
            return
        one = sorted(active, key=lambda s: s.id)[pick % len(active)]
        match one.phase:
            case Phase.PREPARING:
                self.run.ready(one.id)
            case Phase.STARTING:
                self.run.started(one.id)
            case Phase.RUNNING | Phase.STOPPING:
                self.run.exited(one.id, code)
            case Phase.CAPTURING:
                self.run.kept(one.id, "")

    @rule(pick=st.integers(0, 99))
    def one_cannot_start(self, pick: int) -> None:
        preparing = [s for s in self.run.state.streams.values() if s.phase is Phase.PREPARING]
        if preparing:
            self.run.failed(sorted(s.id for s in preparing)[pick % len(preparing)])

    @rule(name=st.sampled_from(NAMES), is_retry=st.booleans())
    def a_person_stops_one_or_tries_it_again(self, name: str, is_retry: bool) -> None:
        self.run.retry(name) if is_retry else self.run.stop(name)

    @rule(seconds=st.sampled_from((0.5, 3.0, 31.0)))
    def time_passes(self, seconds: float) -> None:
        self.run.at(self.run.clock() + seconds)

    @rule(seed=st.integers(0, 20))
    def the_width_changes(self, seed: int) -> None:
        self.run.give(random_pressure(Random(seed)))

    @rule(name=st.sampled_from(("whimsical", "whimsical", "work-stealing", "longest-first")))
    def a_balancer_is_chosen(self, name: str) -> None:
        self.run.give(inputs.ChooseStrategy(kind="balancer", strategy=name))

    @rule(is_lost=st.booleans())
    def the_engine_is_killed(self, is_lost: bool) -> None:
        """It goes on from a snapshot of what the journal holds: of the newest input, all or none.

        A turn is one transaction. What was not written down has not happened: nothing was done
        for it.
        """
        cut = self.marks[0] if is_lost else len(self.run.records)
        state = replay(self.run.records[:cut])
        assert state is not None
        del self.run.records[cut:]
        self.asked = [effect for effect in self.asked if effect.cause <= cut]
        self.run._state = decode_state(encode_state(state))
        self.run.resume(retry_failed=False)

    def _owed(self) -> list[fx.AskVictim]:
        return [e for e in owed(self.run.state) if isinstance(e, fx.AskVictim)]

    # --- what holds ------------------------------------------------------------------------------

    @invariant()
    def each_stream_has_one_place(self) -> None:
        self.marks = (self.marks[1], len(self.run.records))
        assert broken_promises(self.run.state) == []
        watch = QueueWatch()
        for record in self.run.records:
            assert list(watch.see(record)) == []
        state = self.run.state
        assert watch.places == places(state)
        assert {name for _, _, name in state.ready} == set(watch.places)

    def teardown(self) -> None:
        """With nothing in its way any more, everybody comes to an end."""
        for _ in range(200):
            for effect in self._owed():
                self.run.give(let_go(effect))
            for name in NAMES:
                for _ in range(4):
                    if self.run.stream(name).is_active:
                        self.one_goes_on(
                            sorted(
                                s.id for s in self.run.state.streams.values() if s.is_active
                            ).index(StreamId(name)),
                            0,
                        )
            if all(s.has_ended for s in self.run.state.streams.values()):
                break
            self.run.at(self.run.clock() + 10.0)
        SEEN.update(type(record.event).__name__ for record in self.run.records)
        phases = self.run.phases()
        assert all(s.has_ended for s in self.run.state.streams.values()), phases
        assert not len(self.run.state.queues.homes)
        assert not len(self.run.state.queues.moving)


def places(state: State) -> dict[StreamId, int]:
    """Return whose queue each stream waits in, by the state; 0 is the common one."""
    return {name: state.queues.homes.get(name) or 0 for _, _, name in state.ready}


SEEN: Counter[str] = Counter()


def test_nothing_is_lost_or_doubled_whatever_is_assigned_and_stolen() -> None:
    """Each stream has one place at each moment, starts once an attempt, and comes to its end."""
    SEEN.clear()
    bounds = settings(
        max_examples=60,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Stealing, settings=bounds)
    wanted = ("StreamsAssigned", "StealAsked", "StreamsStolen", "StealRefused", "StreamsGivenBack")
    assert all(SEEN[name] for name in (*wanted, "RunResumed", "RetryScheduled")), SEEN


SEEDS = 60


def test_in_whole_engines_steals_are_asked_for_made_and_refused() -> None:
    """The real engine, crashes and faults; the owner of a queue answers up to a second late."""
    strategies, seen = load_plugins().strategies, set[str]()
    for seed in range(SEEDS):
        simulation = Simulation(seed, strategies, plan=_planned(seed))
        simulation.run()
        seen |= set(simulation.sometimes)
    assert {"steal_asked", "streams_stolen", "steal_refused", "streams_given_back"} <= seen
    assert {"a crash between append and perform", "an answer came twice"} <= seen


def _planned(seed: int) -> Any:
    """Return a plan of two groups on three slots, in which all are known and nothing costs."""
    rng = Random(seed)
    streams = [
        stream(
            f"s{n}",
            *([f"s{n // 3}"] if n > 5 and rng.random() < 0.4 else []),
            capabilities=(rng.choice(("web", "docs")),),
            estimate_seconds=rng.choice((1.0, 2.0, 5.0)),
            estimate_basis="learned",
            max_retries=1,
        )
        for n in range(12)
    ]
    plan = plan_of(*streams, max_parallel=3, is_adaptive=rng.random() < 0.5, keep_going=True)
    options = {"price_seconds": rng.choice((0.0, 1.0))}
    return replace(plan, balancer="work-stealing", balancer_options=options)
