"""The width follows the machine: against machines made of arithmetic, and step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.width import Seen, next_width, seen_of
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase
from anabranch.testing import plan_of, stream
from tests.core.working import Crew

CALM = inputs.PressureSeen(
    memory_available_mb=8000.0,
    memory_total_mb=16_000.0,
    growing_mb=0.0,
    largest_mb=100.0,
    cores=2,
    busy=0.1,
    own=0.1,
    memory_some=0.0,
    memory_full=0.0,
    cpu_some=0.0,
    io_some=0.0,
)
FULL = Seen(
    width=4, active=4, ready=90, most=94, next_mb=100.0, held_seconds=99.0, has_peaked=False
)


@pytest.mark.parametrize(
    ("seen", "fact", "width", "reason"),
    [
        ({}, {}, 8, "all 4 slots are taken, the processors are 10% busy, 10% with it"),
        ({"has_peaked": True}, {}, 5, "all 4 slots are taken"),
        ({"has_peaked": True, "held_seconds": 2.0}, {}, None, ""),
        ({"held_seconds": 0.5}, {}, None, ""),
        ({"shown_seconds": 0.5}, {}, None, ""),
        ({"active": 3}, {}, None, ""),
        ({"ready": 0}, {}, None, ""),
        ({"width": 4, "active": 6, "ready": 0}, {}, None, ""),
        ({"ready": 1}, {}, 5, "all 4"),
        ({"most": 6}, {}, 6, "all 4"),
        ({}, {"busy": 0.97, "own": 0.9}, None, ""),
        ({"slowdown": 0.0}, {}, 8, "10% with it, and one more brings about 100%"),
        ({"slowdown": 0.1}, {}, 8, "10% with it, and one more brings about 49%"),
        ({"slowdown": 0.8}, {}, None, ""),
        ({"slowdown": 1.0}, {}, None, ""),
        ({}, {"busy": 0.97, "own": 0.1}, 8, "97% busy, 10% with it"),
        (
            {"width": 20, "active": 20},
            {"busy": 0.97, "own": 0.9},
            15,
            "90% with it: more at a time makes nothing",
        ),
        ({"width": 5, "active": 5}, {"busy": 0.97, "own": 0.9}, 4, "97% busy"),
        ({}, {"memory_some": 6.0}, None, ""),
        ({}, {"io_some": 70.0}, None, ""),
        ({}, {"memory_some": 12.0}, 3, "memory pressure 12 %"),
        ({}, {"memory_full": 3.0}, 3, "memory pressure 3 %, of everybody"),
        ({}, {"memory_some": None, "memory_full": None, "swapped_in_mb": 9.0}, 3, "from swap"),
        ({"has_peaked": True, "held_seconds": 5.0}, {"memory_some": 12.0}, None, ""),
        ({"held_seconds": 5.0}, {"memory_some": 12.0}, 3, "memory pressure 12 %"),
        ({"width": 8, "active": 3}, {"memory_some": 12.0}, 2, "memory pressure 12 %"),
        ({"width": 4, "active": 8}, {"memory_some": 12.0}, 3, "memory pressure 12 %"),
        ({"active": 1, "width": 1}, {"memory_some": 50.0}, None, ""),
        ({"active": 0, "width": 1}, {"memory_available_mb": 100.0}, None, ""),
        ({"active": 2, "ready": 0}, {"memory_available_mb": 100.0}, None, ""),
        ({"width": 20, "active": 20, "held_seconds": 5.0}, {"busy": 0.97, "own": 0.9}, None, ""),
        ({"width": 20, "active": 4}, {"busy": 0.97, "own": 0.9}, None, ""),
        ({}, {"memory_available_mb": 1300.0}, 8, "all 4"),
        ({}, {"memory_available_mb": 1050.0}, 6, "all 4"),
        ({}, {"memory_available_mb": 850.0}, None, ""),
        ({"active": 2}, {"memory_available_mb": 920.0}, 3, "the next one takes about 100"),
        ({"active": 0}, {"memory_available_mb": 100.0}, 1, "100 MB of memory are free"),
        ({}, {"memory_available_mb": 1300.0, "growing_mb": 300.0}, 6, "all 4"),
    ],
)
def test_each_step_has_its_reason(
    seen: dict[str, Any], fact: dict[str, Any], width: int | None, reason: str
) -> None:
    found = next_width(FULL._replace(**seen), replace(CALM, **fact))
    assert (found.width if found else None) == width, found
    assert reason in (found.reason if found else "")


# --- machines of arithmetic ----------------------------------------------------------------------


@dataclass
class Job:
    """Work of a stream: processor seconds, seconds of waiting, and the memory it grows to."""

    cpu: float
    wait: float
    memory_mb: float
    age: float = 0.0

    def memory_now(self) -> float:
        return self.memory_mb * min(1.0, self.age / 2.0)


@dataclass
class Simulated:
    """A machine with processors and memory, that swaps when memory is short."""

    cores: int
    memory_mb: float
    has_pressure: bool = True
    base_mb: float = 200.0
    killed: int = 0
    some: float = field(default=0.0)

    def step(self, running: list[Job], seconds: float) -> float:
        """Let streams run for a moment; return the share of the processors' time used."""
        used = self.base_mb + sum(job.memory_now() for job in running)
        over = max(0.0, used - self.memory_mb)
        if over > 0.1 * self.memory_mb:
            self.killed += 1
        slow = 1.0 if not over else 0.2
        speed = self._speed(running)
        busy = min(1.0, self._used(running, speed) / self.cores)
        for job in running:
            share = min(1.0, slow * seconds / (job.cpu / speed + job.wait))
            job.cpu -= share * job.cpu
            job.wait -= share * job.wait
            job.age += seconds
        near = max(0.0, used - 0.9 * self.memory_mb) / (0.1 * self.memory_mb)
        self.some = 0.7 * self.some + 0.3 * min(100.0, 40.0 * near)
        return busy

    def _used(self, running: list[Job], speed: float) -> float:
        """How many processors are used if each stream gets so much of one while it wants it."""
        return sum(job.cpu / (job.cpu / speed + job.wait) for job in running)

    def _speed(self, running: list[Job]) -> float:
        low, high = 1e-6, 1.0
        if self._used(running, high) <= self.cores:
            return high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (
                (low, middle) if self._used(running, middle) > self.cores else (middle, high)
            )
        return high

    def seen(self, running: list[Job], busy: float, largest: float) -> inputs.PressureSeen:
        used = self.base_mb + sum(job.memory_now() for job in running)
        return replace(
            CALM,
            memory_available_mb=max(0.0, self.memory_mb - used),
            memory_total_mb=self.memory_mb,
            growing_mb=sum(max(0.0, largest - job.memory_now()) for job in running),
            largest_mb=largest,
            cores=self.cores,
            busy=busy,
            own=busy,
            memory_some=self.some if self.has_pressure else None,
            memory_full=0.0 if self.has_pressure else None,
            cpu_some=0.0 if self.has_pressure else None,
            io_some=0.0 if self.has_pressure else None,
        )


def played(
    machine: Simulated, jobs: list[Job], fixed: int | None, learned_mb: float = 0.0
) -> tuple[float, int, int]:
    """Return how long jobs take, in seconds, how often the width changed, and how wide it was."""
    queue, running = list(jobs), list[Job]()
    width, since, peaked, now, changes, widest = fixed or 4, -math.inf, False, 0.0, 0, 0
    largest, busy = learned_mb, 1.0
    while queue or running:
        if fixed is None and now % 1.0 == 0.0:
            seen = Seen(
                width=width,
                active=len(running),
                ready=len(queue),
                most=len(jobs),
                next_mb=max(largest, 64.0),
                held_seconds=now - since,
                has_peaked=peaked,
            )
            step = next_width(seen, machine.seen(running, busy, largest))
            if step is not None:
                peaked = peaked or step.width < width
                width, since, changes = step.width, now, changes + 1
        while queue and len(running) < width:
            running.append(queue.pop(0))
        widest = max(widest, len(running))
        busy = machine.step(running, 0.5)
        now += 0.5
        running = [job for job in running if job.cpu + job.wait > 1e-6]
        while queue and len(running) < width:  # whoever ends is followed at once
            running.append(queue.pop(0))
        largest = max([largest, *(job.memory_now() for job in running)])
        assert now < 100_000
    return now, changes, widest


MACHINES = {
    "waiting, much memory": (2, 16_000.0, 200, (0.05, 10.0, 20.0)),
    "waiting, little memory": (2, 3_000.0, 120, (0.05, 10.0, 200.0)),
    "work for the processors": (2, 16_000.0, 40, (8.0, 0.0, 50.0)),
    "half of each": (4, 16_000.0, 80, (4.0, 4.0, 50.0)),
    "one large at a time, learned": (2, 2_000.0, 12, (1.0, 6.0, 1_000.0)),
    "many processors": (16, 64_000.0, 200, (6.0, 1.0, 50.0)),
    "short ones": (2, 8_000.0, 400, (0.02, 1.0, 10.0)),
}


@pytest.mark.parametrize("has_pressure", [True, False])
@pytest.mark.parametrize("name", MACHINES)
def test_it_finds_a_width_near_the_best_and_no_memory_runs_out(
    name: str, has_pressure: bool
) -> None:
    cores, memory_mb, count, job = MACHINES[name]

    def run(width: int | None) -> tuple[float, int, int, int]:
        machine = Simulated(cores, memory_mb, has_pressure)
        learned_mb = job[2] if name.endswith("learned") else 0.0
        found = played(machine, [Job(*job) for _ in range(count)], width, learned_mb)
        return (*found, machine.killed)

    fixed = [run(width) for width in (1, 2, 4, 8, 16, 32, 64, 128)]
    best = min(seconds for seconds, _, _, killed in fixed if not killed)
    seconds, changes, _, killed = run(None)
    assert not killed
    assert changes <= 40
    assert seconds <= best * 1.05 + 6.0, (seconds, best, fixed)


# --- in the engine's core ------------------------------------------------------------------------


def test_a_run_widens_narrows_and_says_why() -> None:
    members = [stream(f"s{n}") for n in range(12)]
    crew = Crew("s0", "s1", plan=plan_of(*members, max_parallel=2, is_adaptive=True))
    crew._step(CALM)
    assert crew.state.max_parallel == 2, "those that run have just begun"
    crew.now = 1.5
    crew._step(CALM)
    assert crew.state.max_parallel == 4
    assert crew.state.counts.active == 4
    crew.now = 30.0
    crew._step(replace(CALM, memory_some=12.0))
    assert crew.state.max_parallel == 3
    assert crew.state.counts.active == 4, "nobody is ended for it"
    crew.ends("s0")
    assert crew.state.counts.active == 3
    changes = crew.events(ev.ParallelismChanged)
    assert [(c.was, c.max_parallel, c.by) for c in changes] == [
        (2, 4, "machine"),
        (4, 3, "machine"),
    ]
    assert changes[1].reason == "memory pressure 12 %"
    assert [(c.width, c.reason) for c in crew.state.width.changes][1] == (3, "memory pressure 12 %")


def adaptive(*running: str, count: int = 6, width: int = 3, **fields: Any) -> Crew:
    """Return a run of streams ``s0``, ``s1`` and so on, whose width follows the machine."""
    members = [stream(f"s{n}", **fields) for n in range(count)]
    return Crew(*running, plan=plan_of(*members, max_parallel=width, is_adaptive=True))


def test_the_runs_side_of_the_decision() -> None:
    """Who waits for the clock is not ready, and what half of them have shown is enough."""
    crew = adaptive()
    for crew.now, name in ((1.0, "s0"), (4.0, "s1"), (9.0, "s2")):
        crew.starts(name)
    seen = seen_of(crew.state, CALM, 10.0)
    assert (seen.width, seen.active, seen.ready, seen.most) == (3, 3, 3, 6)
    assert (seen.held_seconds, seen.has_peaked, seen.shown_seconds) == (math.inf, False, 6.0)
    waiting = Crew(plan=plan_of(stream("a"), stream("b", after_seconds=20.0), max_parallel=1))
    assert [seen_of(waiting.state, CALM, now).ready for now in (10.0, 20.0)] == [0, 1]
    assert seen_of(adaptive(count=1_200).state, CALM, 0.0).most == 1_000


def test_who_is_being_started_has_shown_nothing_and_whose_work_is_kept_has_shown_all() -> None:
    crew = adaptive("s0")
    assert seen_of(crew.state, CALM, 50.0).shown_seconds == 0.0, "two of three are being started"
    key: dict[str, Any] = {"stream": StreamId("s0"), "attempt": 1}
    crew.now = 40.0
    crew.starts("s1")
    crew._step(inputs.ProcessExited(**key, exit_code=0, signal=None, error=None, happened_at=40.0))
    assert seen_of(crew.state, CALM, 50.0).shown_seconds == 10.0


@pytest.mark.parametrize(
    ("fields", "largest_mb", "next_mb"),
    [
        ({"peak_memory_mb": 700.0}, 900.0, 700.0),
        ({"resources": {"memory_mb": 800.0}}, 900.0, 800.0),
        ({"peak_memory_mb": 700.0, "resources": {"memory_mb": 800.0}}, 0.0, 800.0),
        ({}, 900.0, 900.0),
        ({}, 0.0, 64.0),
    ],
)
def test_the_next_one_takes_what_is_known_of_it_else_as_much_as_the_largest(
    fields: dict[str, Any], largest_mb: float, next_mb: float
) -> None:
    crew = adaptive(width=1, **fields)
    assert seen_of(crew.state, replace(CALM, largest_mb=largest_mb), 0.0).next_mb == next_mb


def test_a_width_is_held_since_it_changed_and_one_that_was_cut_grows_step_by_step() -> None:
    crew = adaptive("s0", "s1", "s2", count=400)
    widths = []
    for crew.now in (5.0, 5.5, 20.0, 23.0, 24.0, 27.0):
        crew._step(replace(CALM, memory_some=12.0 if crew.now == 20.0 else 0.0))
        widths.append(crew.state.max_parallel)
        for name in [s.id for s in crew.state.streams.values() if s.phase is Phase.PREPARING]:
            crew.starts(name)
    assert widths == [6, 6, 4, 4, 5, 5]
    assert (crew.state.width.widest, crew.state.width.has_peaked) == (6, True)
    assert seen_of(crew.state, CALM, 30.0).held_seconds == 6.0


@pytest.mark.parametrize("how", ["stopped", "over", "narrowed", "alone"])
def test_nothing_changes_the_width_where_somebody_else_has_decided(how: str) -> None:
    crew = adaptive("s0", "s1", "s2")
    crew.now = 50.0
    if how == "stopped":
        crew._step(inputs.StopRun(reason="enough"))
    elif how == "over":
        crew._state = replace(crew.state, phase=RunPhase.FAILED)
    elif how == "narrowed":
        crew._state = replace(crew.state, guardian=replace(crew.state.guardian, narrowed_to=3))
    else:
        crew._state = replace(crew.state, alone=(StreamId("s0"),))
    crew.is_checked = False
    crew._step(replace(CALM, memory_some=12.0))
    assert crew.events(ev.ParallelismChanged) == []


def test_a_width_that_the_plan_gives_stays() -> None:
    crew = Crew("s0", plan=plan_of(*(stream(f"s{n}") for n in range(4)), max_parallel=1))
    crew.now = 9.0
    crew._step(CALM)
    assert crew.events(ev.ParallelismChanged) == []
