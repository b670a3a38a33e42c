"""Recorded workflows beside each other in one run: as streams, as a task graph, and on the peers.

The tasks burn the processor seconds that were recorded. As streams each has a holder, a log and its
place in the journal; as a task graph of handlers an output and a line in a book, which is what the
runner in C keeps as well; make, ninja and Dask keep nothing. All get two slots.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import handlers, plans
from benchmarks.graphs import SLOTS, Graph, as_list
from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns, timed

REPEATS, BUDGET_SECONDS = 3, 15.0
DASK_VARIABLE = "ANABRANCH_DASK_PYTHON"
_DASK = Path(__file__).with_name("dask_graph.py")


def tables(machine: Machine) -> Iterator[Table]:
    """Yield a table for each workflow that was given."""
    graphs = list(plans.recorded(machine))
    dask = _dask(machine) if graphs else None
    for graph in graphs:
        samples = in_turns(_contestants(machine, graph, dask), REPEATS, BUDGET_SECONDS)
        least = graph.work_seconds / SLOTS
        rows = tuple(
            Row(name, values, 100 * least / Row(name, values).median)
            for name, values in samples.items()
        )
        title = f"Recorded workflow {graph.name}, {len(graph.tasks)} tasks, {SLOTS} slots"
        notes = (plans.bound_note(graph), "% of processors: what the work itself got of their time")
        yield Table(title, "seconds", rows, "% of processors", notes)


def _contestants(
    machine: Machine, graph: Graph, dask: tuple[str, Mapping[str, str]] | None
) -> dict[str, Contestant]:
    found: dict[str, Contestant] = {"anabranch, as a task graph": handlers.ours(machine, graph)}
    folder = machine.repository(f"workflow-{graph.name}", 0)
    found["anabranch, as streams"] = plans.ours(machine, folder, graph, "shared")
    found |= handlers.peers(machine, graph)
    if dask is not None:
        python, environment = dask
        (folder / "list.json").write_text(as_list(graph))
        argv = (python, str(_DASK), "list.json", str(SLOTS))
        found["Dask, threads"] = lambda: timed(argv, folder, environment)
    return found


def _dask(machine: Machine) -> tuple[str, Mapping[str, str]] | None:
    """Return the Python that has Dask, if one has, and the environment for it."""
    python = os.environ.get(DASK_VARIABLE, sys.executable)
    look = [python, "-c", "import distributed"]
    if subprocess.run(look, capture_output=True, check=False).returncode == 0:
        return python, machine.environment
    print(f"  Dask is not installed and left out (pip install distributed; {DASK_VARIABLE})")
    return None
