"""What is seen of the machine, for a width that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.engine.machine_memory import MachineMemory, memory_now
from anabranch.engine.pressure import (
    WANTED_SECONDS,
    Machine,
    MachineWatch,
    PressureWatch,
    machine_now,
)
from anabranch.engine.pressure_samples import MOST_SAMPLES, Sample, Waits
from anabranch.engine.stalls import waits_for
from anabranch.engine.vitals import Vitals
from anabranch.testing import plan_of, stream
from tests.core.given import given
from tests.core.working import Crew

MEMORY = MachineMemory(8000.0, 16000.0)
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
    machine, memory = machine_now(), memory_now()
    assert 0 < memory.available_mb <= memory.total_mb
    assert 0 <= machine.idle_seconds <= machine.whole_seconds
    assert machine.cores >= 1


def machines() -> Iterator[Machine]:
    """Yield a machine of two processors, half of them used, that swaps 10 MB in each second."""
    for second in range(100):
        yield Machine(100.0 + second, 200.0 + 2 * second, 2, (10 << 20) * second)


def seen(watch: PressureWatch, state: State, **mb: float) -> inputs.PressureSeen:
    vitals = {
        StreamId(name): Vitals(
            StreamId(name), Attempt(1), cpu_percent=40.0, memory_bytes=int(used) << 20
        )
        for name, used in mb.items()
    }
    (found,) = watch.look(state, vitals, MEMORY)
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


def test_who_shrinks_takes_nothing_from_those_that_grow() -> None:
    """What they give back they may want again; nor is the largest of the run forgotten."""
    crew = Crew(
        "a", "b", plan=plan_of(stream("a", peak_memory_mb=40.0), stream("b"), is_adaptive=True)
    )
    source, ticks = machines(), iter(range(100))
    watch = PressureWatch(lambda: float(next(ticks)), lambda: next(source))
    seen(watch, crew.state, a=900.0, b=100.0)
    after = seen(watch, crew.state, a=50.0, b=110.0)
    assert after.largest_mb == 900.0
    assert after.growing_mb == 790.0 + 3 * 10.0
    above = seen(watch, crew.state, a=50.0, b=1000.0)
    assert above.growing_mb == 3 * 890.0


def test_of_a_run_that_is_over_nothing_is_told() -> None:
    run = given(stream("a"), is_adaptive=True)
    run.succeed("a")
    run.merged()
    assert run.state.has_ended
    assert list(PressureWatch(lambda: 0.0).look(run.state, {}, MEMORY)) == []


def test_nobody_looks_where_the_plan_gives_the_width() -> None:
    crew = Crew("a", plan=plan_of(stream("a")))
    assert list(PressureWatch(lambda: 0.0).look(crew.state, {}, MEMORY)) == []


def test_a_fixed_width_is_looked_at_while_somebody_wants_to_see_it() -> None:
    """And no look is a look: nothing is measured, nothing told to the engine."""
    crew = Crew("a", plan=plan_of(stream("a")))
    source, clock, looks = machines(), [0.0], [0]

    def measure() -> Machine:
        looks[0] += 1
        return next(source)

    watch = PressureWatch(lambda: clock[0], measure)
    assert list(watch.look(crew.state, {}, MEMORY)) == []
    assert looks == [0]
    assert watch.machine.samples() == ()
    for _ in range(3):
        assert list(watch.look(crew.state, {}, MEMORY)) == []
        clock[0] += 1.0
    assert looks == [3]
    first, second, third = watch.machine.samples()
    assert (first.busy, first.own) == (None, None)
    assert second.busy == third.busy == 0.5
    assert second.swapped_in_mb == pytest.approx(10.0)
    clock[0] += WANTED_SECONDS + 0.1
    assert list(watch.look(crew.state, {}, MEMORY)) == []
    assert looks == [3], "nobody looks any more"


def looks(*machines: Machine, seconds: float = 1.0) -> list[Sample]:
    """Return what is seen of a machine in looks so many seconds apart, of streams that use it."""
    source, ticks = iter(machines), iter(range(100))
    watch = MachineWatch(lambda: seconds * next(ticks), lambda: next(source))
    a = StreamId("a")
    vitals = {a: Vitals(a, Attempt(1), cpu_percent=150.0)}
    found = [watch.look(vitals, MEMORY, is_needed=True) for _ in machines]
    return [sample for sample in found if sample is not None]


@pytest.mark.parametrize(
    ("idle", "whole", "busy"),
    [(5.0, 10.0, 0.5), (12.0, 10.0, 0.0), (-3.0, 10.0, 1.0), (0.0, 0.0, 1.0)],
)
def test_a_share_of_time_is_one_whatever_the_kernels_counters_do(
    idle: float, whole: float, busy: float
) -> None:
    """They are not read in one instant, and some go back; without any time nothing is known."""
    _, sample = looks(Machine(100.0, 200.0, 2, 0), Machine(100.0 + idle, 200.0 + whole, 2, 0))
    assert sample.busy == busy
    assert sample.own == 0.75


def test_what_is_counted_since_the_start_is_told_a_second() -> None:
    """A counter that begins anew says nothing; nor does one that somebody cannot read."""
    mb = 1 << 20
    before = Machine(1.0, 2.0, 2, 50 * mb, disk_bytes=90 * mb)
    after = Machine(1.0, 2.0, 2, 90 * mb, disk_bytes=100 * mb)
    _, sample = looks(before, after, seconds=2.0)
    assert (sample.swapped_in_mb, sample.disk_mb) == (20.0, 5.0)
    _, sample = looks(after, before)
    assert (sample.swapped_in_mb, sample.disk_mb) == (0.0, 0.0)
    for nobody_knows in (
        (before, after._replace(disk_bytes=None)),
        (before._replace(disk_bytes=None), after),
    ):
        assert looks(*nobody_knows)[1].disk_mb is None


def test_what_is_seen_of_waits_is_told() -> None:
    crew = Crew("a", plan=plan_of(stream("a"), is_adaptive=True))
    machine = Machine(1.0, 2.0, 2, 0, cpu=Waits(3.0, 4.0), io=Waits(5.0, 6.0))
    memory = MEMORY._replace(waits=Waits(7.0, 8.0))
    watch = PressureWatch(lambda: 0.0, lambda: machine)
    (found,) = watch.look(crew.state, {}, memory)
    assert isinstance(found, inputs.PressureSeen)
    assert (found.memory_some, found.memory_full) == (7.0, 8.0)
    assert (found.cpu_some, found.io_some) == (3.0, 5.0)
    (sample,) = watch.machine.samples()
    assert (sample.memory, sample.cpu, sample.io) == (memory.waits, machine.cpu, machine.io)


def test_streams_never_use_more_than_is_used() -> None:
    """What processes use is measured at another moment than what the machine does."""
    crew = Crew("a", "b", "c", plan=plan_of(*map(stream, "abc"), is_adaptive=True))
    source, ticks = machines(), iter(range(100))
    watch = PressureWatch(lambda: float(next(ticks)), lambda: next(source))
    seen(watch, crew.state, a=1.0, b=1.0, c=1.0)
    assert seen(watch, crew.state, a=1.0, b=1.0, c=1.0).own == 0.5


def test_what_was_long_ago_is_no_earlier_look() -> None:
    """After a while in which nobody looked, it begins anew."""
    source, clock = machines(), [0.0]
    watch = MachineWatch(lambda: clock[0], lambda: next(source))
    for clock[0], is_needed in ((0.0, True), (1.0, True), (60.0, False), (61.0, True)):
        watch.look({}, MEMORY, is_needed=is_needed)
    assert [sample.busy for sample in watch.samples()] == [None, 0.5, None]


def test_as_many_samples_are_kept_as_make_some_minutes() -> None:
    clock = [0.0]
    watch = MachineWatch(lambda: clock[0], lambda: Machine(1.0, 2.0, 2, 0))
    for _ in range(MOST_SAMPLES + 50):
        watch.look({}, MEMORY, is_needed=True)
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
