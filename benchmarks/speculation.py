"""What a second copy of a straggler brings, and what it costs where it brings nothing.

Staged runs first: the real decisions, on durations that are known beforehand, so the machine
changes no figure. Then a real one, with processes that sleep.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.estimates import FEWEST_FOR_A_TAIL
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.plugins import load_plugins
from anabranch.testing import StagedRun, plan_of, stream
from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns, timed

LAYERS, LAYER, WIDTH, SEEDS = 4, 8, 10, 20
USUAL_SECONDS, LONG_SECONDS = (8.0, 12.0), 13.0
STRAGGLES, TIMES = 0.05, 6.0
REPEATS, BUDGET_SECONDS = 2, 45.0
REAL_USUAL, REAL_STRAGGLING = 0.3, 8
PLAN = """version = 1
[coordination]
max_parallel = 4
speculation = {speculation}
[streams]
a = "sleep {usual}"
b = "sleep {usual}"
[streams.work]
repeatable = true
command = "if mkdir {marker} 2>/dev/null; then sleep {straggling}; fi; sleep {usual}; date > made"
"""

CASES = {
    "the straggler is the machine's doing: a copy takes as long as usual": (WIDTH, True),
    "the straggler is the work's own doing: a copy takes as long": (WIDTH, False),
    "no slot is idle before the end": (2, True),
}


def tables(machine: Machine) -> Iterator[Table]:
    """Yield what layers of streams take with speculation and without, then a real plan."""
    strategies = load_plugins().strategies
    for words, (width, is_quick_again) in CASES.items():
        yield _staged(strategies, words, width, is_quick_again=is_quick_again)
    yield _real(machine)


def _staged(strategies: Strategies, words: str, width: int, *, is_quick_again: bool) -> Table:
    found: dict[bool, list[float]] = {True: [], False: []}
    copies = won = 0
    spent = work = 0.0
    for seed in range(SEEDS):
        plan, seconds, again = planned(seed, width, is_quick_again=is_quick_again)
        work += sum(seconds.values())
        for speculates in found:
            known = replace(plan, has_speculation=speculates)
            run = StagedRun(known, strategies, seconds, again=again)
            found[speculates].append(run.ended_at)
            copies += run.state.speculation.copies
            won += run.state.speculation.won
            spent += run.state.speculation.seconds_spent
    rows = tuple(
        Row(f"{'with' if s else 'without'} speculation", tuple(v)) for s, v in found.items()
    )
    note = f"{copies} copies in {SEEDS} runs, {won} first; worked for nothing: {spent / work:.1%}"
    title = f"Speculation: {LAYERS} layers of {LAYER} streams, {width} at a time; {words}"
    return Table(title, "seconds", rows, notes=(note,))


def planned(
    seed: int, width: int, *, is_quick_again: bool
) -> tuple[Plan, dict[StreamId, float], dict[StreamId, float]]:
    """Return a plan, what its streams take, and what copies of them take."""
    rng = Random(f"speculation/{seed}")
    names = [StreamId(f"s{number}") for number in range(LAYERS * LAYER)]
    usual = {name: rng.uniform(*USUAL_SECONDS) for name in names}
    seconds = {n: s * (TIMES if rng.random() < STRAGGLES else 1.0) for n, s in usual.items()}
    streams = [
        stream(
            name,
            *names[number // LAYER * LAYER - LAYER : number // LAYER * LAYER],
            estimate_seconds=sum(USUAL_SECONDS) / 2,
            estimate_basis="learned",
            long_seconds=LONG_SECONDS,
            is_repeatable=True,
        )
        for number, name in enumerate(names)
    ]
    return plan_of(*streams, max_parallel=width), seconds, usual if is_quick_again else seconds


def _real(machine: Machine) -> Table:
    contestants: dict[str, Contestant] = {}
    for speculates in (True, False):
        folder = machine.repository(f"speculation-{speculates}", 1)
        marker = folder.parent / f"straggles-{speculates}"
        text = PLAN.format(
            speculation=str(speculates).lower(),
            marker=marker,
            usual=REAL_USUAL,
            straggling=REAL_STRAGGLING,
        )
        (folder / "anabranch.toml").write_text(text, "utf-8")
        _teach(machine, folder, marker)
        name = f"{'with' if speculates else 'without'} speculation"
        contestants[name] = _run(machine, folder, marker)
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    title = f"Speculation, real: 3 streams of {REAL_USUAL} s, one of which straggles by "
    title += f"{REAL_STRAGGLING} s in its first attempt"
    return Table(title, "seconds", tuple(Row(name, values) for name, values in samples.items()))


def _teach(machine: Machine, folder: Path, marker: Path) -> None:
    """Run the plan as often as it takes to know what is usual."""
    marker.mkdir()
    for _ in range(FEWEST_FOR_A_TAIL):
        timed((*machine.anabranch, "run", "--headless"), folder, machine.environment)


def _run(machine: Machine, folder: Path, marker: Path) -> Contestant:
    def measure() -> float:
        shutil.rmtree(marker)
        return machine.whole_run(folder, "converged")

    return measure
