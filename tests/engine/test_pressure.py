"""What is seen of the machine, for a width that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.engine.pressure import (
    WANTED_SECONDS,
    Machine,
    MachineWatch,
    PressureWatch,
    machine_now,
    waits_for,
)
from anabranch.engine.pressure_samples import MOST_SAMPLES, Waits
from anabranch.engine.vitals import Vitals
from anabranch.testing import plan_of, stream
from tests.core.working import Crew

GB = 1 << 30
TEXT = "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00 avg60=0.00 total=9\n"


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        (TEXT, Waits(12.5, 3.0)),
        ("some avg10=7.00 avg60=1.00\n", Waits(7.0, None)),
        ("", Waits()),
        ("some\n", Waits()),
        ("some avg10=x\n", Waits()),
        ("\xff", Waits()),
    ],
)
def test_what_the_kernel_tells_is_read_and_nothing_else(
    tmp_path: Path, text: str, waits: Waits
) -> None:
    (tmp_path / "memory").write_text(text)
    assert waits_for("memory", tmp_path) == waits
    assert waits_for("cpu", tmp_path) == Waits()


def test_this_machine_can_be_looked_at() -> None:
    machine = machine_now()
    assert 0 < machine.memory_available_bytes <= machine.memory_total_bytes
    assert 0 <= machine.idle_seconds <= machine.whole_seconds
    assert machine.cores >= 1


def machines() -> Iterator[Machine]:
    """Yield a machine of two processors, half of them used, that swaps 10 MB in each second."""
    for second in range(100):
        yield Machine(8 * GB, 16 * GB, 100.0 + second, 200.0 + 2 * second, 2, (10 << 20) * second)


def seen(watch: PressureWatch, state: State, **mb: float) -> inputs.PressureSeen:
    vitals = {
        StreamId(name): Vitals(
            StreamId(name), Attempt(1), cpu_percent=40.0, memory_bytes=int(used) << 20
        )
        for name, used in mb.items()
    }
    (found,) = watch.look(state, vitals)
    assert isinstance(found, inputs.PressureSeen)
    return found


def test_streams_are_expected_to_grow_to_the_most_that_is_known() -> None:
    """By what was learned of each; else to the largest of this run; and as they have just grown."""
    members = stream("a", peak_memory_mb=900.0), stream("b")
    crew = Crew("a", "b", plan=plan_of(*members, is_adaptive=True))
    source, ticks = machines(), iter(range(100))
    watch = PressureWatch(lambda: float(next(ticks)), lambda: next(source))
    first = seen(watch, crew.state)
    assert (first.busy, first.own, first.growing_mb) == (1.0, 1.0, 900.0)
    second = seen(watch, crew.state, a=100.0, b=50.0)
    assert second.busy == 0.5
    assert second.own == pytest.approx(0.4)
    assert second.swapped_in_mb == pytest.approx(10.0)
    assert second.largest_mb == 100.0
    assert second.growing_mb == 800.0 + 50.0 + 3 * 150.0
    steady = seen(watch, crew.state, a=100.0, b=50.0)
    assert steady.growing_mb == 800.0 + 50.0


def test_nobody_looks_where_the_plan_gives_the_width() -> None:
    crew = Crew("a", plan=plan_of(stream("a")))
    assert list(PressureWatch(lambda: 0.0).look(crew.state, {})) == []


def test_a_fixed_width_is_looked_at_while_somebody_wants_to_see_it() -> None:
    """And no look is a look: nothing is measured, nothing told to the engine."""
    crew = Crew("a", plan=plan_of(stream("a")))
    source, clock, looks = machines(), [0.0], [0]

    def measure() -> Machine:
        looks[0] += 1
        return next(source)

    watch = PressureWatch(lambda: clock[0], measure)
    assert list(watch.look(crew.state, {})) == []
    assert looks == [0]
    assert watch.machine.samples() == ()
    for _ in range(3):
        assert list(watch.look(crew.state, {})) == []
        clock[0] += 1.0
    assert looks == [3]
    first, second, third = watch.machine.samples()
    assert (first.busy, first.own) == (None, None)
    assert second.busy == third.busy == 0.5
    assert second.swapped_in_mb == pytest.approx(10.0)
    clock[0] += WANTED_SECONDS + 0.1
    assert list(watch.look(crew.state, {})) == []
    assert looks == [3], "nobody looks any more"


def test_as_many_samples_are_kept_as_make_some_minutes() -> None:
    clock = [0.0]
    watch = MachineWatch(lambda: clock[0], lambda: Machine(GB, GB, 1.0, 2.0, 2, 0))
    for _ in range(MOST_SAMPLES + 50):
        watch.look({}, is_needed=True)
        clock[0] += 1.0
    kept = watch.samples()
    assert len(kept) == MOST_SAMPLES
    assert kept[-1].at == MOST_SAMPLES + 49
    assert kept[-1].disk_mb is None


def test_the_samples_of_a_width_that_follows_the_machine_are_there_for_all() -> None:
    crew = Crew("a", plan=plan_of(stream("a"), is_adaptive=True))
    source, ticks = machines(), iter(range(100))
    watch = PressureWatch(lambda: float(next(ticks)), lambda: next(source))
    seen(watch, crew.state, a=100.0)
    seen(watch, crew.state, a=100.0)
    assert [sample.busy for sample in watch.machine.samples()] == [None, 0.5]
    assert watch.machine.samples()[-1].own == pytest.approx(0.2)
