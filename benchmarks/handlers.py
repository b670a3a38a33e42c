"""Handlers: what the program that runs a stream's handlers spends, beside those that keep less.

It keeps each handler's output apart and a book of what began and ended. ``make`` and ``ninja`` keep
nothing; ``runner.c`` keeps the same and is the least that it can cost. All get two slots.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from anabranch.engine.performers.fanning import CROWD_PROGRAM
from anabranch.handlers.job import Job
from benchmarks import handler_runs
from benchmarks.graphs import (
    SLOTS,
    Graph,
    as_lines,
    as_makefile,
    as_ninja,
    as_tasks,
    chain,
    diamond,
    flat,
    layered,
    short_tasks,
)
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

REPEATS = 5
BUDGET_SECONDS = 5.0
FEW = 1000
SHORT_TASKS, SHORT_SECONDS = 150, 0.024
RUNNER_SOURCE = Path(__file__).with_name("runner.c")
OURS, AS_TEXT, RUNNER = "anabranch handlers", "anabranch, commands as texts", "C that keeps as much"


def tables(machine: Machine) -> Iterator[Table]:
    """Yield one table a graph, then what many handlers cost in a whole run."""
    nothing = (machine.true,)
    yield _each(machine, flat(FEW, nothing), with_texts=True)
    if machine.handlers > FEW:
        yield _prices(machine, (FEW, machine.handlers))
    for graph in (chain(200, nothing), layered(20, 50, nothing), diamond(500, nothing)):
        yield _each(machine, graph)
    if machine.spin is not None:
        yield _overhead(machine, short_tasks(SHORT_TASKS, SHORT_SECONDS, machine.spin))
    yield from handler_runs.tables(machine)


def _each(machine: Machine, graph: Graph, *, with_texts: bool = False) -> Table:
    contestants = _contestants(machine, graph)
    if with_texts:
        contestants[AS_TEXT] = ours(machine, graph, as_texts=True)
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    tasks = len(graph.tasks)
    rows = tuple(
        Row(n, values, Row(n, values).median / tasks * 1000) for n, values in samples.items()
    )
    return Table(f"Handlers: {graph.name} of tasks that do nothing", "seconds", rows, "ms a task")


def _prices(machine: Machine, counts: tuple[int, int]) -> Table:
    """Compare the price of a handler in a large crowd and in a small one."""
    few, many = counts
    folder = machine.folder("prices")
    contestants = {
        f"{count:,} handlers": _crowd(machine, folder, count, _lines_of(count, machine.true))
        for count in (many, few)
    }
    samples = in_turns(contestants, 1, BUDGET_SECONDS)
    each = {
        name: tuple(value / count * 1000 for value in values)
        for (name, values), count in zip(samples.items(), (many, few), strict=True)
    }
    rows = tuple(Row(name, values) for name, values in each.items())
    return Table("Handlers: the price of one, among many and among few", "ms a task", rows)


def _overhead(machine: Machine, graph: Graph) -> Table:
    samples = in_turns(_contestants(machine, graph), 3, BUDGET_SECONDS)
    best = graph.work_seconds / SLOTS
    rows = tuple(
        Row(name, values, (1 - best / Row(name, values).median) * 100)
        for name, values in samples.items()
    )
    title = f"Handlers: {len(graph.tasks)} tasks of {SHORT_SECONDS * 1000:.0f} ms in the mean"
    note = f"overhead: what is left of the time of {SLOTS} processors, all of it theirs alone"
    return Table(title, "seconds", rows, "% overhead", (note,))


def _contestants(machine: Machine, graph: Graph) -> dict[str, Contestant]:
    return {OURS: ours(machine, graph), **peers(machine, graph)}


def peers(machine: Machine, graph: Graph) -> dict[str, Contestant]:
    """Return turns of those that run the same graph: what there is of C, make and ninja."""
    folder = machine.folder(f"handlers-{graph.name}")
    found: dict[str, Contestant] = {}
    runner = machine.compiled("runner", RUNNER_SOURCE.read_text("utf-8"))
    if runner is not None:
        found[RUNNER] = _runner(machine, folder, runner, graph)
    forms = {
        "make": ("Makefile", as_makefile, ("-s",)),
        "ninja": ("build.ninja", as_ninja, ("--quiet",)),
    }
    for name, (file, form, options) in forms.items():
        path = machine.program(name)
        if path is not None:
            (folder / file).write_text(form(graph))
            found[name] = _program(machine, folder, (path, f"-j{SLOTS}", *options))
    return found


def _program(machine: Machine, folder: Path, argv: tuple[str, ...]) -> Contestant:
    return lambda: timed(argv, folder, machine.environment)


def _runner(machine: Machine, folder: Path, runner: str, graph: Graph) -> Contestant:
    (folder / "lines").write_text(as_lines(graph))
    kept = folder / "kept"

    def measure() -> float:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        return timed((runner, "lines", str(SLOTS), "kept"), folder, machine.environment)

    return measure


def ours(machine: Machine, graph: Graph, *, as_texts: bool = False) -> Contestant:
    """Return a turn of the program that runs handlers, on a graph."""
    folder = machine.folder(f"crowd-{graph.name}{'-texts' if as_texts else ''}")
    (folder / "tasks.json").write_text(as_tasks(graph, as_texts=as_texts))
    return _crowd(machine, folder, len(graph.tasks), {"source": {"graph": "tasks.json"}})


def _lines_of(count: int, program: str) -> dict[str, object]:
    return {"source": {"lines_of": f"seq {count}"}, "command": (program,)}


def _crowd(machine: Machine, folder: Path, count: int, what: Mapping[str, object]) -> Contestant:
    """Return a turn of the program that runs handlers, with nothing kept of an earlier one."""
    state = folder / f"kept-{count}"
    argv = (sys.executable, "-I", "-S", str(CROWD_PROGRAM), str(state / "job"))
    defaults = {"command": None, "folder": str(folder), "attempt": 1, "width": SLOTS}

    def measure() -> float:
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        job = Job(**{**defaults, **what})  # type: ignore[arg-type]
        (state / "job").write_text(json.dumps(job._asdict()))
        elapsed = timed(argv, folder, machine.environment)
        said = (folder / "output.txt").read_text(errors="replace")
        if f"{count} of {count} handlers succeeded" not in said:
            raise BenchmarkFailed(f"not every handler succeeded: {said[-600:]}")
        return elapsed

    return measure
