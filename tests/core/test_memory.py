"""Memory that is short: who is ended by which rule, and how it is tried again."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.alone import PATIENCE_SECONDS
from anabranch.core.deciding.owed import MEMORY_GRACE_SECONDS, owed
from anabranch.core.deciding.streams.out_of_memory import AT_CEILING, KILLED, MOST_TRIES
from anabranch.core.deciding.victims import (
    ABOVE_CEILING,
    ABOVE_EXPECTED,
    RULE,
    Candidate,
    Victim,
    victim,
)
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import StreamId
from anabranch.core.views.accounting import report
from anabranch.core.views.memory import overrun_in_words
from anabranch.core.views.projections import stream_status
from anabranch.core.views.waiting import waits_of
from anabranch.testing import ByHand, stream
from anabranch.testing.memory_store import replay
from tests.core.given import given

A, B, C = StreamId("a"), StreamId("b"), StreamId("c")


# --- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidates", "is_short", "expected"),
    [
        ([], True, None),
        # Ceilings: who is above its own, the most in proportion, whether or not it is short.
        ([Candidate(A, 99, 100)], False, None),
        ([Candidate(A, 100, 100)], True, None),
        ([Candidate(A, 101, 100)], False, Victim(A, 101, 100, ABOVE_CEILING)),
        (
            [Candidate(A, 1100, 1000), Candidate(B, 20, 10), Candidate(C, 5000, None)],
            True,
            Victim(B, 20, 10, ABOVE_CEILING),
        ),
        ([Candidate(B, 20, 10), Candidate(A, 20, 10)], False, Victim(A, 20, 10, ABOVE_CEILING)),
        # A short machine: the most above what was expected, of two at least.
        ([Candidate(A, 900), Candidate(B, 50)], False, None),
        ([Candidate(A, 900), Candidate(B, 50)], True, Victim(A, 900, 0, ABOVE_EXPECTED)),
        (
            [Candidate(A, 900, 1000, 880), Candidate(B, 90, None, 50)],
            True,
            Victim(B, 90, 50, ABOVE_EXPECTED),
        ),
        ([Candidate(A, 900, 1000, 900), Candidate(B, 40, None, 50)], True, None),
        ([Candidate(A, 900)], True, None),
    ],
)
def test_the_rule(candidates: list[Candidate], is_short: bool, expected: Victim | None) -> None:
    assert victim(candidates, is_short=is_short) == expected


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        stream=st.integers(0, 9).map(lambda n: StreamId(f"s{n}")),
        used_mb=st.floats(0, 1e5),
        limit_mb=st.none() | st.floats(1, 1e5),
        expected_mb=st.floats(0, 1e5),
    ),
    unique_by=lambda c: c.stream,
    max_size=6,
)


@drawn(candidates=CANDIDATES, is_short=st.booleans())
def test_nobody_within_a_ceiling_is_ended_while_another_is_above_its_own(
    candidates: list[Candidate], is_short: bool
) -> None:
    found = victim(candidates, is_short=is_short)
    above = {c.stream for c in candidates if c.limit_mb is not None and c.used_mb > c.limit_mb}
    if above:
        assert found is not None
        assert found.stream in above
    elif found is not None:
        assert is_short


@drawn(candidates=CANDIDATES, is_short=st.booleans())
def test_the_last_one_is_ended_for_its_own_ceiling_only(
    candidates: list[Candidate], is_short: bool
) -> None:
    found = victim(candidates, is_short=is_short)
    if found is not None and found.rule == ABOVE_EXPECTED:
        assert len(candidates) > 1
        assert found.used_mb > found.limit_mb
        worst = found.used_mb - found.limit_mb
        assert all(c.used_mb - c.expected_mb <= worst for c in candidates)


@drawn(candidates=CANDIDATES, is_short=st.booleans(), seed=st.randoms())
def test_the_order_in_which_streams_are_seen_decides_nothing(
    candidates: list[Candidate], is_short: bool, seed: Any
) -> None:
    shuffled = list(candidates)
    seed.shuffle(shuffled)
    assert victim(shuffled, is_short=is_short) == victim(candidates, is_short=is_short)


def test_the_rule_is_one_sentence() -> None:
    assert RULE.count(".") == 1


# --- what happens to it --------------------------------------------------------------------------


def sees(run: ByHand, is_short: bool = False, **used_mb: float) -> list[str]:
    """The memory of running streams is looked at, twice in a row with the same result."""
    uses = tuple(
        inputs.MemoryUse(StreamId(name), run.stream(name).attempt, mb)
        for name, mb in used_mb.items()
    )
    return run.give(inputs.MemorySeen(uses=uses, is_short=is_short))


def overruns(run: ByHand) -> list[tuple[str, float, float, str]]:
    found = [r.event for r in run.records if isinstance(r.event, ev.StreamOverran)]
    return [(e.stream, e.used, e.limit, e.rule) for e in found]


def ends(run: ByHand, name: str, **how: Any) -> list[str]:
    """Its process ends, and what it has done is kept."""
    run.exited(name, **({"code": None, "signal": signal.SIGKILL} | how))
    return run.kept(name)


def test_who_is_above_its_ceiling_is_ended_and_tried_again_alone() -> None:
    """Its own retries are untouched, what it has done is kept, and it asks for what it had."""
    run = given(stream("a", limits={"memory_mb": 200}), stream("b"), stream("c"), max_parallel=2)
    run.run("a", "b")
    assert sees(run, a=199) == []
    assert sees(run, a=260, b=900) == ["stream_overran a", "stream_stop_requested a"]
    assert overruns(run) == [("a", 260, 200, ABOVE_CEILING)]
    assert run.stream("a").stop is not None
    assert "it has 260 MB of memory, and its ceiling is 200" in run.stream("a").reason
    assert ends(run, "a") == ["partial_captured a", "retry_scheduled a", "stream_admitted c"]
    assert run.stream("a").failure_class == "out of memory"
    assert (run.stream("a").retries, run.stream("a").memory.asks_mb) == (0, 260)
    run.at(1.0)
    assert run.phases() == {"a": "queued", "b": "running", "c": "preparing"}
    why = reason_for(run.state, run.stream("a"))
    assert why == "ready; it ran out of memory before, and runs once nothing else does"
    run.exited("b")
    run.kept("b")
    assert run.phase("a") == "queued"
    run.succeed("c")
    assert run.phase("a") == "preparing"
    assert run.state.resources.held_by(A) == {"memory_mb": 260}
    run.succeed("a")
    assert run.phase("a") == "succeeded"


def test_nothing_is_admitted_beside_one_that_runs_alone() -> None:
    """However many slots there are, and it is said why."""
    run = given(
        stream("a", limits={"memory_mb": 200}), stream("b", after_seconds=50.0), max_parallel=4
    )
    run.run("a")
    sees(run, a=300)
    ends(run, "a")
    run.at(1.0)
    run.run("a")
    run.at(60.0)
    run.give(inputs.MachineLoad(memory_available_mb=9000.0, memory_pressure=0.0))
    assert run.phases() == {"a": "running", "b": "queued"}
    assert run.state.max_parallel == 1
    assert reason_for(run.state, run.stream("b")) == (
        "ready; a runs alone, as it ran out of memory before"
    )
    assert [(w.kind, w.holder) for w in waits_of(run.state, B)] == [("slot", "a")]
    run.exited("a")
    run.kept("a")
    assert run.phase("b") == "preparing"
    assert run.state.max_parallel == 4


def test_it_has_a_budget_of_its_own_and_then_it_fails() -> None:
    run = given(stream("a", limits={"memory_mb": 200}, max_retries=0))
    for attempt in range(1, MOST_TRIES + 2):
        run.run("a")
        sees(run, a=300)
        ends(run, "a")
        assert run.stream("a").attempt == attempt
        run.at(float(attempt))
    assert run.phase("a") == "failed"
    assert run.stream("a").failure_class == "out of memory"
    assert run.stream("a").retries == 0
    run.retry("a")  # a person's word begins anew
    assert run.phase("a") == "preparing"
    assert (run.stream("a").memory.tries, run.state.alone) == (0, ())


def test_what_fails_otherwise_meanwhile_is_a_retry_of_its_own_as_ever() -> None:
    run = given(stream("a", limits={"memory_mb": 200}, max_retries=1))
    run.run("a")
    sees(run, a=300)
    ends(run, "a")
    run.at(1.0)
    assert "retry_scheduled a" in run.fail("a")
    assert (run.stream("a").retries, run.stream("a").memory.tries) == (1, 1)
    run.at(200.0)
    assert "stream_failed a" in run.fail("a")


def test_a_kill_by_the_kernel_is_of_the_same_kind() -> None:
    """Whether the command itself was killed, or its shell tells of it."""
    for how in ({"signal": 9, "exit_code": None}, {"signal": None, "exit_code": 137}):
        run = given(stream("a"), stream("b"))
        run.run("a", "b")
        about = run.stream("a")
        words = run.give(
            inputs.ProcessExited(
                stream=A,
                attempt=about.attempt,
                error=None,
                happened_at=1.0,
                peak_memory_mb=700.0,
                memory_kills=1,
                **how,  # type: ignore[arg-type]
            )
        )
        assert words == ["stream_exited a", "stream_overran a"]
        assert "retry_scheduled a" in run.kept("a")
        assert overruns(run) == [("a", 700, 0, KILLED)]
        assert (run.stream("a").retries, run.stream("a").memory.asks_mb) == (0, 700)
        assert f"out of memory: {KILLED}" in run.stream("a").reason


@pytest.mark.parametrize(("code", "kills"), [(1, 1), (None, 0)])
def test_a_failure_beside_a_kill_and_a_kill_by_others_are_not(code: int | None, kills: int) -> None:
    """The kernel counts kills for all; and whoever else kills, the kernel does not tell of it."""
    run = given(stream("a", max_retries=1))
    run.run("a")
    run.give(
        inputs.ProcessExited(
            stream=A,
            attempt=1,
            exit_code=code,
            signal=None if code else 9,
            error=None,
            happened_at=1.0,
            memory_kills=kills,
        )
    )
    run.kept("a")
    assert overruns(run) == []
    assert run.stream("a").retries == 1


@pytest.mark.parametrize(
    ("limits", "peak", "tail", "is_found"),
    [
        ({"memory_mb": 200}, 185.0, (), True),
        ({"memory_mb": 200}, 60.0, ("MemoryError",), True),
        ({"memory_mb": 200}, 60.0, ("assertion failed",), False),
        ({}, 185.0, ("MemoryError",), False),
        ({"cpu_cores": 1}, 185.0, ("MemoryError",), False),
    ],
)
def test_whoever_could_get_no_more_below_its_ceiling_has_met_it(
    limits: dict[str, float], peak: float, tail: tuple[str, ...], is_found: bool
) -> None:
    """A log that speaks of memory counts for those only who have a ceiling."""
    run = given(stream("a", limits=limits, max_retries=1))
    run.run("a")
    run.give(
        inputs.ProcessExited(
            stream=A,
            attempt=1,
            exit_code=1,
            signal=None,
            error=None,
            happened_at=1.0,
            peak_memory_mb=peak,
        )
    )
    run.kept("a", log_tail=tail)
    assert overruns(run) == ([("a", 200, 200, AT_CEILING)] if is_found else [])
    assert run.stream("a").retries == (0 if is_found else 1)


def test_a_short_machine_ends_the_one_most_above_what_was_expected_and_one_at_a_time() -> None:
    """Until its memory is back, nobody else is; the last one goes on."""
    run = given(
        stream("a", resources={"memory_mb": 500}),
        stream("b", peak_memory_mb=400.0),
        stream("c"),
        stop_grace_seconds=10.0,
    )
    run.run("a", "b", "c")
    assert sees(run, a=900, b=700, c=350) == []
    words = sees(run, is_short=True, a=900, b=700, c=350)
    assert words == ["stream_overran a", "stream_stop_requested a"]
    assert overruns(run)[-1] == ("a", 900, 500, ABOVE_EXPECTED)
    stops = [e for e in owed(run.state) if isinstance(e, fx.StopProcess)]
    assert [e.grace_seconds for e in stops] == [MEMORY_GRACE_SECONDS]
    assert sees(run, is_short=True, b=700, c=350) == []
    ends(run, "a")
    assert sees(run, is_short=True, b=700, c=350)[0] == "stream_overran c"
    ends(run, "c")
    assert sees(run, is_short=True, b=700) == []
    assert run.phase("b") == "running"


def test_who_is_told_to_stop_or_is_of_an_older_attempt_is_nobodys_victim() -> None:
    run = given(stream("a", limits={"memory_mb": 200}), max_parallel=1)
    run.run("a")
    use = inputs.MemoryUse(A, 7, 900.0)
    assert run.give(inputs.MemorySeen(uses=(use,))) == []
    run.stop("a")
    assert sees(run, a=900) == []
    assert ends(run, "a")[-1] == "run_stopped" or run.phase("a") == "stopped"


def test_the_width_leaves_room_for_what_it_asks_for() -> None:
    """Of its name nothing was learned, and of its plan nothing is known."""
    run = given(stream("a"), stream("b"), stream("c"), max_parallel=4, is_adaptive=True)
    run.run("a", "b", "c")
    sees(run, is_short=True, a=900, b=100, c=100)
    ends(run, "a")
    run.at(1.0)
    assert run.phase("a") == "queued"
    pressure = inputs.PressureSeen(
        memory_available_mb=1500.0,
        memory_total_mb=16_000.0,
        growing_mb=0.0,
        largest_mb=100.0,
        cores=2,
        busy=0.1,
        own=0.1,
    )
    run.give(pressure)
    assert run.state.max_parallel == 2
    assert "the next one takes about 900" in run.state.width.changes[-1].reason


def test_it_asks_for_no_more_than_there_is() -> None:
    """What never fits would be skipped."""
    run = given(stream("a", limits={"memory_mb": 200}), resources={"memory_mb": 250})
    run.run("a")
    sees(run, a=300)
    ends(run, "a")
    run.at(1.0)
    assert run.stream("a").memory.asks_mb == 250
    assert run.phase("a") == "preparing"


def test_who_waits_for_calm_in_vain_runs_beside_the_others_in_the_end() -> None:
    """They may wait for it in turn: a message of it, say."""
    run = given(stream("a", limits={"memory_mb": 200}), stream("b"))
    run.run("a", "b")
    sees(run, a=300)
    ends(run, "a")
    run.at(1.0)
    wakes = [e for e in owed(run.state) if isinstance(e, fx.WakeAt) and e.subject == "a"]
    assert [e.at for e in wakes] == [1.0 + PATIENCE_SECONDS]
    run.at(PATIENCE_SECONDS)
    assert run.phase("a") == "queued"
    run.at(1.0 + PATIENCE_SECONDS)
    assert run.phase("a") == "preparing"


def test_journals_of_it_replay() -> None:
    run = given(stream("a", limits={"memory_mb": 200}), stream("b"))
    run.run("a", "b")
    sees(run, a=300)
    ends(run, "a")
    assert replay(run.records) == run.state


def test_the_choice_is_told_wherever_a_stream_is() -> None:
    """In the report and in ``status``; the console has it from the same words."""
    run = given(stream("a", limits={"memory_mb": 200}), stream("b"), stream("c"))
    run.run("a", "b", "c")
    sees(run, a=300)
    ends(run, "a")
    sees(run, is_short=True, b=900, c=50)
    found = report(run.state, run.records, 1.0, {})["overruns"]
    assert [(o["stream"], o["used"], o["limit"], o["rule"]) for o in found] == [
        ("a", 300, 200, ABOVE_CEILING),
        ("b", 900, 0, ABOVE_EXPECTED),
    ]
    told = stream_status(run.state, run.stream("a"))
    assert (told["limits"], told["alone"]) == ({"memory_mb": 200}, True)
    assert overrun_in_words(300, 200, ABOVE_CEILING) == (
        f"had 300 MB of memory, 200 is its ceiling: {ABOVE_CEILING}"
    )
    assert "expected" not in overrun_in_words(900, 0, KILLED)
    assert "50 were expected" in overrun_in_words(900, 50, ABOVE_EXPECTED)
