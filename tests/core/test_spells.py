"""What each stream did when: from events, for any moment of the run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from anabranch.core import calls, inputs
from anabranch.core.ids import StreamId
from anabranch.core.views.density import BUCKETS, Density
from anabranch.core.views.spells import Spell, Spells, until
from anabranch.testing import ByHand, Simulation, plan_of, stream
from anabranch.testing.trying import strategies_with

A, B = StreamId("a"), StreamId("b")


def run_of(*members: object, **fields: object) -> ByHand:
    return ByHand(plan_of(*members, **fields), strategies_with())  # type: ignore[arg-type]


def spells_of(run: ByHand | Simulation) -> Spells:
    spells = Spells()
    for record in run.records if isinstance(run, ByHand) else run.store.records:
        spells.take(record)
    return spells


def told(spells: Iterable[Spell]) -> list[tuple[str, str, float, float | None]]:
    return [(s.sort, s.kind, s.begin, s.end) for s in spells]


def test_a_stream_waits_is_queued_runs_and_is_kept() -> None:
    run = run_of(stream("a"), stream("b", "a"), stream("c"), max_parallel=1)
    run.run("a")
    run.at(5.0)
    run.exited("a")
    run.at(6.0)
    run.kept("a")
    found = spells_of(run)
    assert told(found.of(A)) == [("ran", "attempt", 0.0, 5.0), ("work", "result", 5.0, 6.0)]
    assert found.of(A)[0].is_good
    assert told(found.of(B))[0] == ("wait", "dependency", 0.0, 6.0)
    assert told(found.of(StreamId("c")))[0][:3] == ("wait", "queue", 0.0)


def test_a_retry_is_another_attempt_and_the_first_was_no_good() -> None:
    run = run_of(stream("a", max_retries=1))
    run.run("a")
    run.at(3.0)
    run.exited("a", 1)
    run.kept("a")
    run.at(9.0)
    run.run("a")
    ran = [s for s in spells_of(run).of(A) if s.sort == "ran"]
    assert [(s.attempt, s.begin, s.end, s.is_good) for s in ran] == [
        (1, 0.0, 3.0, False),
        (2, 9.0, None, None),
    ]
    assert ("wait", "retry") in {(s.sort, s.kind) for s in spells_of(run).of(A)}


def test_a_wait_of_a_call_lies_within_the_run_and_ends_with_it() -> None:
    run = run_of(stream("a"), stream("b"))
    run.run("a", "b")
    for name in ("a", "b"):
        caller = calls.Caller(StreamId(name), 1)
        run.give(calls.Lock(caller=caller, request=name, path="x.txt", wait=True))
    run.at(4.0)
    assert spells_of(run).of(B)[-1] == Spell("wait", "lock", 0.0, None, "x.txt")
    run.exited("b")
    assert ("wait", "lock", 0.0, 4.0) in told(spells_of(run).of(B))


@pytest.mark.parametrize("is_answered", [True, False])
def test_who_waits_for_an_answer_waits_for_the_operator(is_answered: bool) -> None:
    """Until it is answered, or the question is taken back; who does not wait for it is at work."""
    run = run_of(stream("a"), stream("b"))
    run.run("a", "b")
    for name, waits in (("a", True), ("b", False)):
        caller = calls.Caller(StreamId(name), 1)
        run.give(calls.Ask(caller=caller, request=name, question="which?", wait=waits))
    run.at(3.0)
    assert spells_of(run).of(A)[-1] == Spell("wait", "operator", 0.0, None, "an answer")
    if is_answered:
        run.give(inputs.AnswerQuestion(stream=A, answer="this"))
    else:
        run.exited("a")
    assert ("wait", "operator", 0.0, 3.0) in told(spells_of(run).of(A))
    assert not [s for s in spells_of(run).of(B) if s.sort == "wait" and s.end is None]


def test_what_was_merged_is_told_once() -> None:
    run = run_of(stream("a"), stream("b"))
    run.succeed("a", "b")
    run.at(2.0)
    run.merged()
    assert told(spells_of(run).of(A))[-1] == ("merge", "merge", 0.0, 2.0)


def test_the_past_is_what_was_so_until_then() -> None:
    """A run that was going on then goes on, and nobody knows yet how it will end."""
    ran = Spell("ran", "attempt", 1.0, 9.0, attempt=1, is_good=True)
    spells = [ran, Spell("work", "result", 9.0)]
    assert list(until(spells, 5.0)) == [Spell("ran", "attempt", 1.0, None, attempt=1)]
    assert list(until(spells, 0.5)) == []
    assert list(until(spells, 9.5)) == spells


def test_events_that_were_missed_are_noticed() -> None:
    run = run_of(stream("a"))
    run.run("a")
    spells = Spells()
    for record in run.records[1:]:
        spells.take(record)
        spells.take(record)  # what is known already changes nothing
    assert spells.has_gap
    assert not spells_of(run).has_gap
    assert len(spells.of(A)) == 1


@pytest.mark.parametrize("seed", range(30))
def test_a_stream_does_one_thing_at_a_time(seed: int) -> None:
    """Whatever goes wrong: what it does and waits for between calls never overlaps, unless it had
    a copy, nor is open once it has ended."""
    run = Simulation(seed, strategies_with())
    run.run()
    spells = spells_of(run)
    assert not spells.has_gap
    for known in run.state.streams.values():
        of_it = [s for s in spells.of(known.id) if s.sort != "merge" and not s.name]
        assert all(s.end is not None for s in of_it) or not known.has_ended
        if known.id in run.state.speculation.copied:
            continue
        for one, other in pairwise(of_it):
            assert one.end is not None
            assert one.begin <= one.end <= other.begin + 1e-9


# --- many short ones -----------------------------------------------------------------------------


def test_a_density_is_how_many_went_on_at_a_time() -> None:
    density = Density()
    for begin in (0.0, 0.0, 5.0):
        density.note(begin, 5.0)
    assert density.mean(0.0, 5.0) == pytest.approx(2.0)
    assert density.mean(5.0, 10.0) == pytest.approx(1.0)
    assert density.mean(10.0, 20.0) == 0.0
    assert density.count == 3


def test_a_density_takes_no_more_room_for_a_day_than_for_a_minute() -> None:
    density = Density()
    for number in range(10_000):
        density.note(number * 9.0, 9.0)
    assert len(density._busy) == BUCKETS
    assert density.mean(0.0, 90_000.0) == pytest.approx(1.0, rel=0.01)
