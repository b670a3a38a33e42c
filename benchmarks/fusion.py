"""A chain of short streams, fused and not fused, in a small repository and in a larger one.

Both are taught beforehand how long a link takes, and come to the same tree. The peer besides is
one shell that does all of it in one folder: no workspaces, results, logs or retries, and no merge.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

LINKS = 40
FILES = (300, 2059)
REPEATS = 3
BUDGET_SECONDS = 20.0


def tables(machine: Machine) -> Iterator[Table]:
    """Yield how long a chain takes, by the size of the repository."""
    for files in FILES:
        chain = _Chain(machine, files)
        chain.run("true")  # teaches
        contestants: dict[str, Contestant] = {
            "fused": partial(chain.run, "true"),
            "each in a workspace of its own": partial(chain.run, "false"),
            "one shell, without any of it": chain.shell,
        }
        found = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(
            Row(name, samples, Row(name, samples).median / LINKS * 1000)
            for name, samples in found.items()
        )
        yield Table(
            f"A chain of {LINKS} short streams, {files:,} files", "seconds", rows, "ms a stream"
        )


class _Chain:
    """A repository with a plan in which each stream needs the one before."""

    def __init__(self, machine: Machine, files: int) -> None:
        self._machine = machine
        self._folder = machine.repository(f"chain-{files}", files)
        self._trees: set[str] = set()

    def run(self, fusion: str) -> float:
        """Run the chain and return the seconds; raises BenchmarkFailed if its result differs."""
        plan = self._folder / "anabranch.toml"
        plan.write_text(_plan(fusion))
        argv = (*self._machine.anabranch, "run", "--headless")
        seconds = timed(argv, self._folder, self._environment())
        status = json.loads(self._asked("status", "--json"))
        self._trees.add(
            self._machine.git(self._folder, "rev-parse", f"{status['branch']}^{{tree}}")
        )
        if len(self._trees) != 1:
            raise BenchmarkFailed("the fused chain and the other do not come to the same tree")
        fused = sum(s["goes_on_from"] is not None for s in status["streams"])
        if fusion == "false" and fused:
            raise BenchmarkFailed(f"{fused} streams were fused, and none should have been")
        return seconds

    def shell(self) -> float:
        """Do the same in one folder by one shell."""
        script = "\n".join(_command(n) for n in range(LINKS))
        return timed(("sh", "-c", script), self._machine.folder("shell"), self._environment())

    def _environment(self) -> dict[str, str]:
        return dict(self._machine.environment)

    def _asked(self, *words: str) -> str:
        done = subprocess.run(
            (*self._machine.anabranch, *words),
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()


def _command(number: int) -> str:
    return f"echo {number} > link{number}.txt"


def _plan(fusion: str) -> str:
    lines = ["version = 1", "[coordination]", f"fusion = {fusion}"]
    for number in range(LINKS):
        lines += [f"[streams.s{number}]", f'command = "{_command(number)}"']
        if number:
            lines.append(f'depends_on = ["s{number - 1}"]')
    return "\n".join(lines) + "\n"
