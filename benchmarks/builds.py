"""Ten builds at once: C files compiled by make in ten streams, with and without the jobserver.

One build is larger than the others, as one usually is. How many compilers run at once is told by
the compilers themselves: each writes a letter as it begins and one as it ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns, timed

BUILDS = 10
FILES, FILES_OF_THE_LARGEST = 3, 16
FUNCTIONS = 40
REPEATS = 3
BUDGET_SECONDS = 20.0
WIDTHS = (4, BUILDS)

Work = Callable[[Mapping[str, str]], float]
"""Builds everything with an environment and returns the seconds."""

COMPILER = """#!/bin/sh
printf b >> "$COMPILERS"
cc "$@"
code=$?
printf e >> "$COMPILERS"
exit $code
"""
MAKEFILE = """objects := $(patsubst %.c,$(OUT)/%.o,$(wildcard *.c))
all: $(objects)
$(OUT)/%.o: %.c ; @mkdir -p $(OUT) && $(COMPILER) -O2 -c -o $@ $<
"""


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the seconds of ten builds, and how many compilers ran at once, for each width."""
    if machine.program("make") is None or machine.program("cc") is None:
        return
    folder = _project(machine)
    for width in WIDTHS:
        most: dict[str, list[float]] = {}
        samples = in_turns(_contestants(machine, folder, width, most), REPEATS, BUDGET_SECONDS)
        title = f"{BUILDS} builds at once, {width} streams at a time, {os.cpu_count()} processors"
        yield Table(title, "seconds", _rows(samples), notes=(_about(),))
        yield Table(f"{title}: compilers at once", "at most", _rows(most))


def _about() -> str:
    files = (BUILDS - 1) * FILES + FILES_OF_THE_LARGEST
    return f"{files} files, {FILES_OF_THE_LARGEST} of them in one build; workspaces are shared"


def _rows(samples: Mapping[str, tuple[float, ...] | list[float]]) -> tuple[Row, ...]:
    return tuple(Row(name, tuple(values)) for name, values in samples.items())


def _project(machine: Machine) -> Path:
    folder = machine.repository("builds", 0)
    compiler = folder / "compiler"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    for build in range(BUILDS):
        place = folder / f"build{build}"
        place.mkdir()
        (place / "Makefile").write_text(MAKEFILE)
        for number in range(FILES if build else FILES_OF_THE_LARGEST):
            (place / f"file{number}.c").write_text(_source(number))
    builds = " ".join(f"build{n}" for n in range(BUILDS))
    all_of_them = f"all: {builds}\n.PHONY: {builds}\n{builds}: ; @$(MAKE) -s -C $@\n"
    (folder / "Makefile").write_text(all_of_them)
    return folder


def _source(number: int) -> str:
    """Return a file that takes a compiler something like a tenth of a second."""
    return "".join(
        f"int work{number}_{n}(int *a, int k) {{ int s = {n}; for (int i = 0; i < k; i++)"
        f" {{ if (a[i] % {n + 2}) s += a[i] * (k - i); else s ^= a[k - i - 1] << (i & 7); }}"
        " return s; }\n"
        for n in range(FUNCTIONS)
    )


def _contestants(
    machine: Machine, folder: Path, width: int, most: dict[str, list[float]]
) -> dict[str, Contestant]:
    slots = os.cpu_count() or 1
    ours = {
        "make, with the jobserver": ("make -s", True),
        "make, without it": ("make -s", False),
        f"make -j{slots}, without it": (f"make -s -j{slots}", False),
    }
    found = {
        name: _streams(machine, folder, command, width, has_jobserver)
        for name, (command, has_jobserver) in ours.items()
    }
    make = (machine.program("make") or "make", "-s", f"-j{slots}")
    found[f"one make -j{slots} of all, no streams"] = lambda env: timed(make, folder, env)
    return {name: _counted(machine, folder, work, name, most) for name, work in found.items()}


def _streams(machine: Machine, folder: Path, command: str, width: int, has_jobserver: bool) -> Work:
    plan = folder / f"plan-{width}-{command.replace(' ', '')}-{has_jobserver}.toml"
    streams = "".join(
        f'[streams.build{n}]\ncommand = "{command}"\nworking_dir = "build{n}"\n'
        for n in range(BUILDS)
    )
    plan.write_text(
        f"version = 1\n[coordination]\nmax_parallel = {width}\n"
        f"jobserver = {str(has_jobserver).lower()}\n"
        f'[coordination.isolation]\nworkspace = "shared"\n{streams}'
    )
    argv = (*machine.anabranch, "run", "--headless", plan.name)
    return lambda env: timed(argv, folder, env)


def _counted(
    machine: Machine, folder: Path, work: Work, name: str, most: dict[str, list[float]]
) -> Contestant:
    """Return a contestant that builds everything anew and notes how many compilers there were."""
    files = (BUILDS - 1) * FILES + FILES_OF_THE_LARGEST

    def measure() -> float:
        letters = machine.folder("built") / "compilers"
        names = {
            "OUT": str(letters.parent / "$(notdir $(CURDIR))"),
            "COMPILER": str(folder / "compiler"),
            "COMPILERS": str(letters),
        }
        seconds = work({**machine.environment, **names})
        written = letters.read_text()
        if written.count("b") != files:
            raise BenchmarkFailed(f"{name}: {written.count('b')} files of {files} were compiled")
        most.setdefault(name, []).append(_most_at_once(written))
        return seconds

    return measure


def _most_at_once(letters: str) -> float:
    now = most = 0
    for letter in letters:
        now += 1 if letter == "b" else -1
        most = max(most, now)
    return float(most)
