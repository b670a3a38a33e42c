"""``python -m benchmarks [NAME ...] [--json FILE] [--workload FILE]``."""

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

from benchmarks import journal, plans, spawning, startup, workspaces
from benchmarks.machine import Machine, described
from benchmarks.measuring import BenchmarkFailed, Table, as_data, drawn

BENCHES: dict[str, Callable[[Machine], Iterator[Table]]] = {
    "startup": startup.tables,
    "plans": plans.tables,
    "workload": plans.workload,
    "spawning": spawning.tables,
    "workspaces": workspaces.tables,
    "journal": journal.tables,
}
WORKLOAD_VARIABLE = "ANABRANCH_WORKLOAD"


def main() -> int:
    """Run the chosen benchmarks, print their tables, and return the exit code."""
    arguments = _arguments()
    print(f"{described()}\nours ÷ peer: below 1 is less than the peer. Medians of taken turns.")
    found: dict[str, list[dict[str, object]]] = {}
    failed = False
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="anabranch-bench-") as scratch:
        machine = Machine(Path(os.path.realpath(scratch)), arguments.workload)
        for name in arguments.names or BENCHES:
            found[name] = []
            try:
                for table in BENCHES[name](machine):
                    print(drawn(table), flush=True)
                    found[name].append(as_data(table))
            except (BenchmarkFailed, subprocess.CalledProcessError, OSError) as error:
                failed = True
                print(f"\n{name}: {error}", file=sys.stderr)
    print(f"\n{time.perf_counter() - began:.0f} s. {described()}")
    if arguments.json is not None:
        content = {"schema": 1, "machine": described(), "benches": found}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    given = os.environ.get(WORKLOAD_VARIABLE)
    parser.add_argument(
        "--workload",
        type=Path,
        metavar="FILE",
        default=Path(given) if given else None,
        help=f"a task graph to run besides the synthetic ones (or set {WORKLOAD_VARIABLE})",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
