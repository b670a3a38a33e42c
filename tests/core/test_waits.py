"""The wait-for graph: every ring is found as it closes, none is made up, the victim is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.waiting.sources import SOURCES
from anabranch.core.deciding.waiting.waits import edges_from, find_ring, victim_of
from anabranch.core.events import Edge
from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import LockMode, StreamId
from anabranch.core.model.locks import asks_of, blockers
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Dependency
from anabranch.core.plans.providers import with_providers
from anabranch.core.views.locks import locks_status
from anabranch.testing.plans import plan_of, stream
from tests.core.locking import Run, begun, running, started


class ScriptedWaits:
    """Waits of one kind, as a test says they are."""

    def __init__(self, kind: str, edges: Mapping[str, list[str]]) -> None:
        self.kind = kind
        self._edges = edges

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        for holder in self._edges.get(stream, []):
            yield Edge(
                waiter=stream,
                holder=StreamId(holder),
                what=f"what {holder} has",
                since=0.0,
                kind=self.kind,
                ticket=1,
            )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        return any(stream in holders for holders in self._edges.values())

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        raise AssertionError("nothing is given up here")


@pytest.mark.parametrize("size", range(2, 9))
def test_a_ring_of_locks_is_broken_as_it_closes(size: int) -> None:
    """Each holds its own path and wants the next one's; the last to ask closes the ring."""
    run = Run(running(size))
    for number in range(size):
        run.lock(f"s{number}", f"p{number}")
    for number in range(size - 1):
        assert run.lock(f"s{number}", f"p{number + 1}").outcome == "waiting"
    assert not run.events(ev.DeadlockDetected)
    answer = run.lock(f"s{size - 1}", "p0")
    (found,) = run.events(ev.DeadlockDetected)
    assert len(found.cycle) == size
    assert {edge.waiter for edge in found.cycle} == {f"s{n}" for n in range(size)}
    assert all(a.holder == b.waiter for a, b in zip(found.cycle, found.cycle[1:], strict=False))
    assert answer.outcome == "refused", "all worked as long: the last one to wait gives up"
    assert len(answer.facts["cycle"]) == size
    assert answer.facts["reason"].startswith("deadlock: ")
    wanted = f"s{size - 2} waits for p{size - 1}, which s{size - 1} holds"
    assert answer.facts["hint"] == f"{wanted}: give that up, then ask again"
    assert len(locks_status(run.state)["cycles"]) == 1


def test_the_victim_is_who_has_worked_least() -> None:
    """A stream that began later loses less, though another one closed the ring."""
    members = [stream("old"), stream("young", after_seconds=5.0)]
    run = Run(started(plan_of(*members), ["old"]))
    run.wake(5.0)
    run.state = begun(run.state, "young", 5.0)
    run.now = 6.0
    run.lock("old", "a")
    run.lock("young", "b")
    run.lock("young", "a", request="wish")
    answer = run.lock("old", "b", request="mine")
    assert answer.outcome == "waiting"
    (found,) = run.events(ev.DeadlockDetected)
    assert (found.victim, found.stream, found.attempt, found.request) == ("young", "old", 1, "mine")
    assert run.lock("young", "a", request="wish").outcome == "refused"
    assert run.holds("young", "b"), "what a victim holds is never taken away"
    run.unlock("young", "b")
    assert run.lock("old", "b", request="mine").outcome == "granted"


@pytest.mark.parametrize("closes", ["lock", "resource"])
def test_a_ring_over_a_lock_and_a_resource_is_found_as_it_closes(closes: str) -> None:
    """Whichever of the two waits comes last."""
    run = Run(started(plan_of(stream("s0"), stream("s1"), resources={"db": 1}), ["s0", "s1"]))
    run.call(calls.RequestResources, "s0", amounts={"db": 1.0})
    run.lock("s1", "a")
    if closes == "lock":
        run.call(calls.RequestResources, "s1", amounts={"db": 1.0})
        answer = run.lock("s0", "a")
    else:
        run.lock("s0", "a")
        answer = run.call(calls.RequestResources, "s1", amounts={"db": 1.0})
    (found,) = run.events(ev.DeadlockDetected)
    assert {edge.kind for edge in found.cycle} == {"lock", "resource"}
    assert answer.outcome == "refused"


def test_waiting_behind_each_other_in_one_queue_is_no_ring() -> None:
    """A crowd that wants one path, and lets go of it, never deadlocks."""
    run = Run(running(5))
    for number in range(5):
        run.lock(f"s{number}", "hot", "read" if number % 2 else "write")
    for number in range(5):
        run.unlock(f"s{number}", "hot")
    assert not run.events(ev.DeadlockDetected)
    assert len(run.events(ev.LockGranted)) == 5


def test_who_stands_before_another_in_a_queue_is_waited_for() -> None:
    """It holds nothing, and yet its next wait closes a ring: the other will wait for it."""
    run = Run(running(3))
    run.lock("s2", "p")
    run.lock("s1", "q")
    run.lock("s0", "p")
    run.lock("s1", "p")
    answer = run.lock("s0", "q")
    (found,) = run.events(ev.DeadlockDetected)
    assert {edge.waiter for edge in found.cycle} == {"s0", "s1"}
    assert answer.outcome == "refused"


def test_a_long_queue_is_drawn_with_one_edge_for_each_that_waits() -> None:
    """The writer before stands for all who came before it, and for who holds the path."""
    run = Run(running(9))
    for number in range(9):
        run.lock(f"s{number}", "hot")
    for number in range(1, 9):
        (edge,) = edges_from(run.state, StreamId(f"s{number}"), SOURCES)
        assert edge.holder == f"s{number - 1}"


def test_a_holder_passes_by_who_waits_for_it() -> None:
    """Who holds a folder gets a file in it, though another stream queued for that before."""
    run = Run(running(2))
    run.lock("s0", "src/")
    assert run.lock("s1", "src/a").outcome == "waiting"
    assert run.lock("s0", "src/a").outcome == "granted"
    assert not run.events(ev.DeadlockDetected)


PATHS = ("a", "b", "c", "d/", "d/x", "*")


@settings(max_examples=60, deadline=None)
@example(1953485)  # one holder passes by a writer that another one stands behind
@given(st.integers(0, 2**32))
def test_every_ring_of_locks_is_found_and_none_is_made_up(seed: int) -> None:
    """After every step the whole graph, drawn without short cuts, has no ring left; and when a
    deadlock was reported, the graph before it was broken had that ring."""
    rng = Random(seed)
    run = Run(running(5))
    for number in range(30):
        run.now = float(number) / 10
        name, path = f"s{rng.randrange(5)}", rng.choice(PATHS)
        mode: LockMode = rng.choice(("read", "write"))
        before, seen = run.state, len(run.records)
        if rng.random() < 0.75:
            run.lock(name, path, mode)
        else:
            run.unlock(name, path)
        _assert_rings_were_there(before, run.records[seen:])
        graph = _full_graph(run.state)
        assert not _has_ring(graph)
        assert _reachable(graph) == _reachable(_reported_graph(run.state))


def _assert_rings_were_there(state: State, records: Sequence[ev.Recorded]) -> None:
    """At the moment of each report every edge of its ring stands, by the rules alone."""
    for record in records:
        if isinstance(record.event, ev.DeadlockDetected):
            cycle = record.event.cycle
            ring = [edge.waiter for edge in cycle]
            assert [edge.holder for edge in cycle] == [*ring[1:], ring[0]]
            assert len(set(ring)) == len(ring) >= 2
            graph = _full_graph(state)
            assert all(edge.holder in graph[edge.waiter] for edge in cycle)
        state = evolve(state, record)


def _full_graph(state: State) -> dict[str, set[str]]:
    """Return whom each stream waits for, by the rules alone."""
    table = state.locks
    return {
        name: {b.stream for ask in asks_of(table, name) for b in blockers(table, ask)}
        for name in state.streams
    }


def _reported_graph(state: State) -> dict[str, set[str]]:
    return {name: {e.holder for e in edges_from(state, name, SOURCES)} for name in state.streams}


def _reachable(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    found = {name: set(others) for name, others in graph.items()}
    for _ in graph:
        for name in graph:
            found[name] |= {far for near in found[name] for far in found.get(near, set())}
    return found


def _has_ring(graph: Mapping[str, set[str]]) -> bool:
    return any(name in far for name, far in _reachable(graph).items())


KINDS = ("lock", "resource", "point", "dependency")
STATE = running(2)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 8), st.integers(0, 2**32))
def test_rings_over_all_kinds_of_waits_are_found(size: int, seed: int) -> None:
    """One ring among random edges that make none: it is found, whole, from its new edge."""
    rng = Random(seed)
    names = [f"n{number}" for number in range(size + 6)]
    ring, others = names[:size], names[size:]
    edges = [(ring[i], ring[(i + 1) % size]) for i in range(size)]
    edges += [(rng.choice(ring), far) for far in others]
    edges += [(a, b) for a in others for b in others if a < b and rng.random() < 0.4]
    sources = _scripted(rng, edges)
    found = find_ring(STATE, StreamId(ring[0]), sources)
    assert [edge.waiter for edge in found] == ring
    closing = edges[rng.randrange(size)]
    without = _scripted(rng, [edge for edge in edges if edge != closing])
    for name in names:
        assert find_ring(STATE, StreamId(name), without) == ()


def _scripted(rng: Random, edges: list[tuple[str, str]]) -> list[ScriptedWaits]:
    by_kind: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    for waiter, holder in edges:
        by_kind[rng.choice(KINDS)].setdefault(waiter, []).append(holder)
    return [ScriptedWaits(kind, by_kind[kind]) for kind in KINDS]


def test_what_the_plan_says_is_never_given_up() -> None:
    """The victim is somebody whose wait can end; in a ring of the plan alone there is none."""

    def edge(waiter: str, holder: str, kind: str, ticket: int) -> Edge:
        return Edge(
            waiter=StreamId(waiter),
            holder=StreamId(holder),
            what="it",
            since=0.0,
            kind=kind,
            ticket=ticket,
        )

    ring = [edge("s0", "s1", "dependency", 9), edge("s1", "s0", "point", 3)]
    assert victim_of(STATE, ring, 1.0) == ring[1]
    assert victim_of(STATE, ring[:1], 1.0) is None


def test_a_ring_through_the_plan_itself_is_seen() -> None:
    """A stream that has not begun waits for what it depends on; that is an edge like any other."""
    state = started(plan_of(stream("first"), stream("then", "first")), ["first"])
    (found,) = edges_from(state, StreamId("then"), SOURCES)
    assert (found.holder, found.kind) == ("first", "dependency")


@pytest.mark.parametrize(("able", "waits_for"), [(1, ["able0"]), (2, [])])
def test_who_alone_can_do_something_is_waited_for(able: int, waits_for: list[str]) -> None:
    """Of several each would do: the wait is for none of them."""
    providers = [stream(f"able{n}", capabilities=("analysis",)) for n in range(able)]
    needing = replace(stream("then"), depends_on=(Dependency(capability="analysis"),))
    plan = plan_of(*with_providers([*providers, needing]))
    run = Run(started(plan, []))
    assert [e.holder for e in edges_from(run.state, StreamId("then"), SOURCES)] == waits_for


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 8), st.integers(0, 2**32))
def test_the_victim_loses_no_more_than_anybody_in_the_ring(size: int, seed: int) -> None:
    """Streams that began at random moments: the one with the least work since then gives up."""
    rng = Random(seed)
    begins = [float(rng.randrange(4)) for _ in range(size)]
    members = [stream(f"s{n}", after_seconds=begins[n]) for n in range(size)]
    run = Run(started(plan_of(*members, max_parallel=size), []))
    for number in sorted(range(size), key=begins.__getitem__):
        run.wake(begins[number])
        run.state = begun(run.state, f"s{number}", run.now)
    run.now = 10.0
    for number in range(size):
        run.lock(f"s{number}", f"p{number}")
    asking = rng.sample(range(size), size)
    for number in asking:
        run.lock(f"s{number}", f"p{(number + 1) % size}")
    (found,) = run.events(ev.DeadlockDetected)
    latest = max(begins)
    expected = [f"s{number}" for number in asking if begins[number] == latest][-1]
    assert found.victim == expected
    assert run.events(ev.LockWithdrawn)[0].stream == expected
