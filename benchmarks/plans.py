"""Whole plans: what each contestant spends on a graph of tasks that do nothing.

Every contestant gets two slots and a folder of its own. Anabranch runs each stream under a holder,
with a log and a journal; the peers keep nothing. Per task: the wall time beyond that of a plan with
a single task, divided by the tasks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.graphs import FORMS, SLOTS, Graph, as_plan, chain, flat, layered, read_workload
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

REPEATS = 3
BUDGET_SECONDS = 15.0
ISOLATED_STREAMS = 100
REPOSITORY_FILES = 300
OURS = "anabranch, shared"

Samples = Mapping[str, tuple[float, ...]]


def tables(machine: Machine) -> Iterator[Table]:
    """Yield one table a graph, and what isolation adds."""
    nothing = (machine.true,)
    once = _measured(machine, flat(1, nothing), repeats=5)
    yield _table("A plan of one task (what a plan costs)", once, {}, 1)
    for graph in (flat(1000, nothing), chain(200, nothing), layered(20, 50, nothing)):
        samples = _measured(machine, graph)
        yield _table(f"Plan {graph.name}, {SLOTS} slots", samples, once, len(graph.tasks))
    yield _isolated(machine)


def recorded(machine: Machine) -> Iterator[Graph]:
    """Yield the task graphs that were given; raises BenchmarkFailed without a C compiler."""
    for path in machine.workloads:
        if machine.spin is None:
            raise BenchmarkFailed("a recorded workload needs a C compiler for its tasks")
        yield read_workload(path, machine.spin)


def bound_note(graph: Graph) -> str:
    """Return how fast a graph can be at the best, in words."""
    work = graph.work_seconds
    return f"{work:.1f} s of work; {SLOTS} slots cannot be faster than {work / SLOTS:.1f} s"


def _measured(machine: Machine, graph: Graph, repeats: int = REPEATS) -> Samples:
    return in_turns(_contestants(machine, graph), repeats, BUDGET_SECONDS)


def _contestants(machine: Machine, graph: Graph) -> dict[str, Contestant]:
    folder = machine.repository(f"plan-{graph.name}", 0)
    for name, form in FORMS.items():
        (folder / name).write_text(form(graph))
    peers = {
        "make": ("make", "-f", "Makefile", f"-j{SLOTS}", "-s"),
        "ninja": ("ninja", f"-j{SLOTS}", "--quiet"),
    }
    found: dict[str, Contestant] = {OURS: ours(machine, folder, graph, "shared")}
    for name, (program, *options) in peers.items():
        path = machine.program(program)
        if path is not None:
            found[name] = _program(machine, folder, (path, *options))
    spawner = str(Path(__file__).with_name("spawner.py"))
    bare = (sys.executable, "-I", "-S", spawner, "graph.json", str(SLOTS))
    found["bare Python"] = _program(machine, folder, bare)
    return found


def _program(machine: Machine, folder: Path, argv: tuple[str, ...]) -> Contestant:
    return lambda: timed(argv, folder, machine.environment)


def ours(machine: Machine, folder: Path, graph: Graph, workspace: str) -> Contestant:
    """Return a turn of a whole run, with a stream a task."""
    plan = folder / f"{workspace}.toml"
    plan.write_text(as_plan(graph, workspace))
    return partial(machine.whole_run, folder, f"merged {len(graph.tasks)} stream", plan.name)


def _table(
    title: str, samples: Samples, once: Samples, tasks: int, notes: tuple[str, ...] = ()
) -> Table:
    rows = [Row(name, values) for name, values in samples.items()]
    if once and tasks > 1:
        single = {name: Row(name, values).median for name, values in once.items()}
        rows = [
            Row(row.name, row.samples, (row.median - single[row.name]) / (tasks - 1) * 1000)
            for row in rows
        ]
    return Table(title, "seconds", tuple(rows), "ms a task" if once else "", notes)


def _isolated(machine: Machine) -> Table:
    """Compare worktrees with the shared folder: the same streams, and what isolation adds."""
    graph = flat(ISOLATED_STREAMS, (machine.true,))
    folder = machine.repository("plan-isolated", REPOSITORY_FILES)
    contestants = {
        name: ours(machine, folder, graph, workspace)
        for name, workspace in (("anabranch, isolated", "isolated"), (OURS, "shared"))
    }
    samples = in_turns(contestants, 2, BUDGET_SECONDS)
    isolated, shared = (Row(name, values) for name, values in samples.items())
    added = (isolated.median - shared.median) / ISOLATED_STREAMS * 1000
    rows = tuple(
        Row(r.name, r.samples, r.median / ISOLATED_STREAMS * 1000) for r in (isolated, shared)
    )
    return Table(
        f"Isolation: {ISOLATED_STREAMS} streams, a worktree each, {REPOSITORY_FILES} files",
        "seconds",
        rows,
        "ms a task",
        (f"a workspace, its capture and its merge add {added:.0f} ms a stream",),
    )
