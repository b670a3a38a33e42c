"""What is learned of earlier runs, on and off: the same task graph with and without it.

The tasks say nothing of their time. Without anything learned each counts as long as any other; the
peer that knows most has the seconds that were recorded. Needs recorded workflows (``--workload``).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from anabranch.engine.handler_durations import seconds_in
from anabranch.engine.performers.fanning import CROWD_PROGRAM
from anabranch.handlers.job import Job
from benchmarks.graphs import SLOTS, Graph, as_tasks
from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns, timed
from benchmarks.plans import bound_note, recorded

REPEATS, BUDGET_SECONDS = 3, 40.0
WITHOUT, KNOWN = "without.json", "known.json"


def tables(machine: Machine) -> Iterator[Table]:
    """Yield a table for each recorded workflow."""
    for graph in recorded(machine):
        contestants = _contestants(machine, graph)
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(Row(name, values) for name, values in samples.items())
        title = f"What is learned: {graph.name} as a task graph"
        yield Table(title, "seconds", rows, "", (bound_note(graph),))


def _contestants(machine: Machine, graph: Graph) -> dict[str, Contestant]:
    folder = machine.folder(f"learning-{graph.name}")
    declared = json.loads(as_tasks(graph))
    (folder / "declared.json").write_text(json.dumps(declared))
    for task in declared["tasks"]:
        del task["seconds"]
    (folder / WITHOUT).write_text(json.dumps(declared))
    _turn(machine, folder, WITHOUT, None)()  # unmeasured: what is learned, is learned here
    learned = {text: [seconds] for text, seconds in seconds_in(folder / "kept" / "book").items()}
    (folder / KNOWN).write_text(json.dumps(learned))
    return {
        "learned in one run before": _turn(machine, folder, WITHOUT, str(folder / KNOWN)),
        "guessed, the first run": _turn(machine, folder, WITHOUT, None),
        "declared": _turn(machine, folder, "declared.json", None),
    }


def _turn(machine: Machine, folder: Path, tasks: str, known: str | None) -> Contestant:
    """Return a turn of the program that runs handlers, with nothing kept of an earlier one."""
    state = folder / "kept"
    argv = (sys.executable, "-I", "-S", str(CROWD_PROGRAM), str(state / "job"))
    job = Job({"graph": tasks}, None, str(folder), 1, SLOTS, known_seconds=known)

    def measure() -> float:
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        (state / "job").write_text(json.dumps(job._asdict()))
        return timed(argv, folder, machine.environment)

    return measure
