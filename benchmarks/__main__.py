"""``python -m benchmarks [NAME ...] [--json FILE] [--workload FILE ...] [--handlers NUMBER]``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    balancers,
    builds,
    coordination,
    fusion,
    handlers,
    idle,
    in_process,
    isolation,
    journal,
    layers,
    learning,
    memory,
    plans,
    plugins,
    pool,
    spawning,
    speculation,
    startup,
    stealing,
    targets,
    thousand,
    width,
    windows,
    workflows,
    workspaces,
)
from benchmarks.machine import MANY_HANDLERS, Machine, described
from benchmarks.measuring import BenchmarkFailed, Table, as_data, drawn

BENCHES: dict[str, Callable[[Machine], Iterator[Table]]] = {
    "startup": startup.tables,
    "targets": targets.tables,
    "balancers": balancers.tables,
    "stealing": stealing.tables,
    "width": width.tables,
    "fusion": fusion.tables,
    "speculation": speculation.tables,
    "windows": windows.tables,
    "plans": plans.tables,
    "workload": workflows.tables,
    "spawning": spawning.tables,
    "handlers": handlers.tables,
    "learning": learning.tables,
    "in_process": in_process.tables,
    "workspaces": workspaces.tables,
    "layers": layers.tables,
    "isolation": isolation.tables,
    "pool": pool.tables,
    "journal": journal.tables,
    "coordination": coordination.tables,
    "plugins": plugins.tables,
    "idle": idle.tables,
    "builds": builds.tables,
    "memory": memory.tables,
    "thousand": thousand.tables,
}
BY_NAME_ONLY = frozenset({"thousand", "memory"})
"""What takes minutes by itself, and is run only if it is asked for."""
WORKLOAD_VARIABLE = "ANABRANCH_WORKLOAD"
MOST_SECONDS = 360.0
SHARES = 3
"""So many equal shares of the time that is left may one take: most need less than one."""

Found = dict[str, list[dict[str, object]]]


def main() -> int:
    """Run the chosen benchmarks, print their tables, and return the exit code."""
    arguments = _arguments()
    print(f"{described()}\nours ÷ peer: below 1 is less than the peer. Medians of taken turns.")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="anabranch-bench-") as scratch:
        place = Path(os.path.realpath(scratch))
        machine = Machine(place, tuple(arguments.workload), arguments.handlers)
        found, failed = _run(machine, arguments.names or _usual(), began + MOST_SECONDS)
    print(f"\n{time.perf_counter() - began:.0f} s. {described()}")
    if arguments.json is not None:
        content = {"schema": 1, "machine": described(), "benches": found}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 1 if failed else 0


def _usual() -> list[str]:
    return [name for name in BENCHES if name not in BY_NAME_ONLY]


def _run(machine: Machine, names: list[str], ends_at: float) -> tuple[Found, bool]:
    """Print each table as it comes until time is up; return them, and whether anything failed.

    Whoever has had its share of the time leaves the rest to the others, after its first table.
    """
    found: Found = {name: [] for name in names}
    failed = False
    for place, (name, tables) in enumerate(found.items()):
        left = ends_at - time.perf_counter()
        if left < 0:
            print(f"\n{MOST_SECONDS:g} s are over: {name} is left out")
            continue
        until = time.perf_counter() + min(left, left * SHARES / (len(names) - place))
        try:
            for table in BENCHES[name](machine):
                print(drawn(table), flush=True)
                tables.append(as_data(table))
                if time.perf_counter() > until:
                    print(f"\nits time is over: what may be left of {name} is shown if it is named")
                    break
        except (BenchmarkFailed, subprocess.CalledProcessError, OSError) as error:
            failed = True
            print(f"\n{name}: {error}", file=sys.stderr)
    return found, failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    given = os.environ.get(WORKLOAD_VARIABLE, "").split(os.pathsep)
    parser.add_argument(
        "--workload",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[Path(path) for path in given if path],
        help=f"task graphs to run besides the synthetic ones (or set {WORKLOAD_VARIABLE})",
    )
    parser.add_argument(
        "--handlers",
        type=int,
        metavar="NUMBER",
        default=MANY_HANDLERS,
        help=f"how many handlers a large run has (default {MANY_HANDLERS})",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
