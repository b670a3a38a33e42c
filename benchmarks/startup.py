"""Start-up: what a person waits for before anything of theirs happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns, timed

REPEATS = 7
BUDGET_SECONDS = 12.0


def tables(machine: Machine) -> Iterator[Table]:
    """Yield one table a command, each beside the smallest Python and the smallest make."""
    folder = machine.repository("startup", 20)
    (folder / "Makefile").write_text("all:\n\t@true\n")
    environment = machine.environment
    timed((*machine.anabranch, "run", "--headless", "--", "true"), folder, environment)

    def program(*argv: str) -> Contestant:
        return lambda: timed(argv, folder, environment) * 1000

    contestants = {
        "anabranch run -- true": program(*machine.anabranch, "run", "--headless", "--", "true"),
        "anabranch status": program(*machine.anabranch, "status"),
        "anabranch --help": program(*machine.anabranch, "--help"),
        "python -c pass": program(sys.executable, "-c", "pass"),
    }
    make = machine.program("make")
    if make is not None:
        contestants["make, an empty rule"] = program(make, "-s")
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    rows = [Row(name, values) for name, values in samples.items()]
    peers = tuple(row for row in rows if not row.name.startswith("anabranch"))
    for row in rows:
        if row not in peers:
            yield Table(f"Start-up: {row.name}", "ms", (row, *peers))
