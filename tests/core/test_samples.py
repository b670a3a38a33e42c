"""What a run teaches: work without waits, beside how many, and of successes only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core import inputs
from anabranch.core.calls import Lock, Unlock, Withdraw
from anabranch.core.folds.gathering import with_waits_over
from anabranch.core.folds.waiting import kept_waiting
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.model.gathering import Arrival, Gathering
from anabranch.core.plans.estimates import Sample
from anabranch.core.views.accounting import processor_seconds
from anabranch.core.views.samples import samples_of
from anabranch.testing import plan_of, stream
from tests.core.working import Crew


def learned(crew: Crew) -> dict[str, Sample]:
    return {work.stream: sample for work, sample in samples_of(crew.state).items()}


def locks(crew: Crew, name: str, path: str = "f") -> None:
    crew.call(Lock, name, path=path, mode="write", wait=True)


def unlocks(crew: Crew, name: str, path: str = "f") -> None:
    crew.call(Unlock, name, path=path)


def test_a_wait_for_a_lock_is_not_work() -> None:
    crew = Crew("a", "b")
    locks(crew, "a")
    crew.now = 2.0
    locks(crew, "b")
    crew.now = 7.0
    unlocks(crew, "a")
    crew.now = 10.0
    crew.ends("a")
    crew.ends("b")
    assert {name: s.work_seconds for name, s in learned(crew).items()} == {"a": 10.0, "b": 5.0}


def test_waits_that_overlap_count_once() -> None:
    """Two calls of one stream may wait at a time; the time passes once."""
    crew = Crew("a", "b")
    locks(crew, "a", "one")
    locks(crew, "a", "two")
    crew.now = 2.0
    locks(crew, "b", "one")
    crew.now = 4.0
    locks(crew, "b", "two")
    crew.now = 8.0
    unlocks(crew, "a", "one")
    crew.now = 9.0
    unlocks(crew, "a", "two")
    crew.now = 10.0
    crew.ends("b")
    assert learned(crew)["b"].work_seconds == 3.0


def test_a_wait_for_a_resource_is_not_work() -> None:
    crew = Crew("a", "b", resources={"gpu": 1.0})
    crew.asks("a", gpu=1.0)
    crew.now = 1.0
    crew.asks("b", gpu=1.0)
    crew.now = 4.0
    crew.releases("a", gpu=1.0)
    crew.now = 6.0
    crew.ends("b")
    assert learned(crew)["b"].work_seconds == 3.0


def test_a_wait_at_a_point_is_not_work() -> None:
    """One that brings its value and goes on works, whoever the others wait for."""
    crew = Crew("a", "b", "c")
    crew.now = 1.0
    crew.arrives("a")
    crew.now = 3.0
    crew.arrives("b", wait=False)
    crew.now = 8.0
    crew.arrives("c")
    crew.now = 10.0
    for name in "abc":
        crew.ends(name)
    seconds = {name: sample.work_seconds for name, sample in learned(crew).items()}
    assert seconds == {"a": 3.0, "b": 10.0, "c": 10.0}


@pytest.mark.parametrize("is_abandoned", [True, False])
def test_a_wait_at_a_point_that_was_given_up_was_one(is_abandoned: bool) -> None:
    """It is over when it is given up; asked for again, it is another one."""
    crew = Crew("a", "b")
    ticket = str(crew.arrives("a").facts["ticket"])
    crew.now = 2.0
    crew.call(Withdraw, "a", ticket=ticket, is_abandoned=is_abandoned)
    crew.now = 5.0
    crew.arrives("a")
    crew.now = 6.0
    crew.arrives("b")
    crew.now = 10.0
    crew.ends("a")
    assert learned(crew)["a"].work_seconds == 7.0


@pytest.mark.parametrize(("attempt", "waited"), [(1, 3.0), (2, 0.0)])
def test_what_another_attempt_waited_for_takes_nothing_from_this_one(
    attempt: int, waited: float
) -> None:
    """Who ended well while a call of its own waited may be run once more in the same round."""
    crew = Crew("a", "b")
    arrival = Arrival(Seq(9), StreamId("a"), Attempt(attempt), "r", None, since=2.0, waits=True)
    state = with_waits_over(crew.state, Gathering(arrivals=(arrival,)), Gathering(), 5.0)
    assert state.streams[StreamId("a")].worked.waited == waited


def test_what_is_held_for_want_of_room_does_not_work() -> None:
    crew = Crew("a")
    key: dict[str, Any] = {"stream": StreamId("a"), "attempt": 1}
    crew.now = 1.0
    crew._step(inputs.StreamHeld(**key, reason="the disk is full"))
    crew.now = 5.0
    crew._step(inputs.StreamLetGo(**key))
    crew.now = 6.0
    crew.ends("a")
    assert learned(crew)["a"].work_seconds == 2.0


def test_the_width_is_how_many_were_active_in_the_mean() -> None:
    crew = Crew("a", "b", "c")
    crew.now = 4.0
    crew.ends("c")
    crew.now = 8.0
    crew.ends("b")
    crew.now = 16.0
    crew.ends("a")
    widths = {name: sample.width for name, sample in learned(crew).items()}
    assert widths == {"c": 3.0, "b": 2.5, "a": 1.75}


def test_the_width_is_that_of_ones_own_time() -> None:
    """Whatever went on before it began; and who ends at once had nobody beside it."""
    crew = Crew(plan=plan_of(stream("a"), stream("b"), stream("c"), max_parallel=3))
    crew.starts("a")
    crew.starts("c")
    crew.ends("c")
    crew.now = 4.0
    crew.starts("b")
    crew.now = 8.0
    crew.ends("b")
    assert learned(crew)["b"].width == 2.0
    assert crew.state.streams[StreamId("c")].worked.width == 1.0


SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))),
    max_size=8,
)


@given(SPANS)
def test_the_time_of_many_waits_is_that_of_their_union(spans: list[tuple[int, int]]) -> None:
    """They are told as they end, also one that had begun before others that have ended."""
    crew = Crew("a")
    waiting = crew.state.streams[StreamId("a")]
    for since, until in sorted(spans, key=lambda span: span[1]):
        waiting = kept_waiting(waiting, float(since), float(until))
    covered = {second for since, until in spans for second in range(since, until)}
    assert waiting.worked.waited == len(covered)


@pytest.mark.parametrize("code", [1, 3])
def test_failures_teach_nothing(code: int) -> None:
    crew = Crew("a", "b")
    crew.now = 3.0
    crew.ends("a", exit_code=code)
    crew.ends("b")
    assert set(learned(crew)) == {"b"}


def test_what_the_attempt_has_used_is_learned_with_it() -> None:
    crew = Crew("a")
    key: dict[str, Any] = {"stream": StreamId("a"), "attempt": 1}
    crew.now = 3.0
    exited = inputs.ProcessExited(
        **key,
        exit_code=0,
        signal=None,
        error=None,
        happened_at=3.0,
        cpu_seconds=2.5,
        peak_memory_mb=70.0,
    )
    crew._step(exited)
    crew._step(inputs.ResultReady(**key, commit="k", tree="t", files_changed=1, ref="refs/x"))
    assert learned(crew)["a"] == Sample("r", 3.0, 1.0, 2.5, 70.0)
    assert processor_seconds(crew.state) == 2.5
