"""The targets of the coordination model, each beside doing without coordination, in one run.

- *Processors*: of the time of all of them, what the work itself got. The work is known to the
  processor second, so whatever coordination, starting and merging take counts as lost.
- *In sequence*: the same streams at full width, one at a time, and as lines of a shell script. What
  waits may be as many times faster as there are slots; what computes, as there are processors.
- *Synchronisation*: layers of streams of a second, each layer after all of the one before. What is
  lost against the layers' seconds is coordination, the program's start and the merge included.

Nothing is asserted: a machine that others use as well takes from all of them.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns, timed

CORES = len(os.sched_getaffinity(0))
REPEATS, BUDGET_SECONDS = 3, 5.0
"""Most of it is work that takes as long as it takes: mostly one turn each."""
SPINS_A_CORE, SPIN_SECONDS = 8, 1.0
NAPS, NAP_SECONDS = 16, 0.5
LAYERS, WIDTH, LAYER_SECONDS = 6, 4, 1.0
FILES = 100
SHARED, ISOLATED = "shared", "isolated"


@dataclass(frozen=True)
class Work:
    """Streams of one command each, in layers of which each waits for all of the one before."""

    name: str
    layers: tuple[tuple[str, ...], ...]

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(command for layer in self.layers for command in layer)


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the processors' use, the speed-up over a sequence, and what synchronising costs."""
    yield _waiting(machine)
    yield _synchronising(machine)
    if machine.spin is not None:
        yield _computing(machine, machine.spin)


def _computing(machine: Machine, spin: str) -> Table:
    """Compare what computes with a sequence, and say what of the processors' time the work got."""
    command = f"{spin} {SPIN_SECONDS:g}"
    work, wave = (Work(f"computes-{n}", ((command,) * n,)) for n in (CORES * SPINS_A_CORE, CORES))
    samples = _measured(machine, work, CORES)
    needed = SPINS_A_CORE * SPIN_SECONDS
    rows = [
        Row(name, values, 100 * needed / statistics.median(values))
        for name, values in samples.items()
    ]
    beside = _run(machine, wave, SHARED, CORES)()
    steady = (needed - SPIN_SECONDS) / (rows[0].median - beside)
    notes = (
        *_times_as_fast(rows),
        f"without what starts and ends a run (seen in a run of {CORES} streams): {steady:.1%}",
    )
    title = (
        f"Against a sequence: {len(work.commands)} streams that compute for {SPIN_SECONDS:g} s, "
        f"on {CORES} processors"
    )
    return Table(title, "seconds", tuple(rows), "% of processors", notes)


def _waiting(machine: Machine) -> Table:
    """Compare what waits with a sequence."""
    work = Work("waits", ((f"sleep {NAP_SECONDS:g}",) * NAPS,))
    samples = _measured(machine, work, NAPS)
    rows = tuple(Row(name, values) for name, values in samples.items())
    title = f"Against a sequence: {NAPS} streams that wait for {NAP_SECONDS:g} s"
    return Table(title, "seconds", rows, notes=_times_as_fast(rows))


def _measured(machine: Machine, work: Work, width: int) -> dict[str, tuple[float, ...]]:
    turns = {
        f"anabranch, {width} at a time": _run(machine, work, SHARED, width),
        f"anabranch, {width} at a time, isolated": _run(machine, work, ISOLATED, width),
        "anabranch, as handlers of one": _run(machine, work, SHARED, width, as_handlers=True),
        f"xargs -P {width}": _xargs(machine, work, width),
        "anabranch, 1 at a time": _run(machine, work, SHARED, 1),
        "a shell, one after the other": _shell(machine, work),
    }
    return in_turns(turns, REPEATS, BUDGET_SECONDS)


def _times_as_fast(rows: Sequence[Row]) -> tuple[str, ...]:
    """Say how many times as fast as the last one the others are."""
    last = rows[-1]
    return tuple(f"{r.name}: {last.median / r.median:.2f} times as fast" for r in rows[:-1])


def _synchronising(machine: Machine) -> Table:
    """Compare what layers take with what they must, by workspace; one layer tells what starts."""
    layer = (f"sleep {LAYER_SECONDS:g}",) * WIDTH
    layers, one = Work("layers", (layer,) * LAYERS), Work("layer", (layer,))
    turns = {
        f"{workspace} {work.name}": _run(machine, work, workspace, WIDTH)
        for workspace in (SHARED, ISOLATED)
        for work in (layers, one)
    }
    samples = in_turns(turns, REPEATS, BUDGET_SECONDS)
    rows, notes = [], []
    for workspace in (SHARED, ISOLATED):
        walls, starts = (samples[f"{workspace} {work.name}"] for work in (layers, one))
        lost = tuple(100 * (1 - LAYERS * LAYER_SECONDS / wall) for wall in walls)
        a_layer = (statistics.median(walls) - statistics.median(starts)) / (LAYERS - 1)
        name = f"anabranch, {workspace}"
        rows.append(Row(name, lost, 100 * (1 - LAYER_SECONDS / a_layer)))
        share = _told(machine, _folder(machine, layers, workspace, WIDTH))
        notes.append(f"{name}: its report tells of {share:.1%} of the time of streams")
    title = f"Synchronisation: {LAYERS} layers of {WIDTH} streams of {LAYER_SECONDS:g} s"
    notes.append("lost of the whole time, from exec to exit; and of that of a layer more")
    return Table(title, "% lost", tuple(rows), "% of a layer", tuple(notes))


def _told(machine: Machine, folder: Path) -> float:
    """Return the share of coordination that the report of a folder's latest run tells."""
    timed((*machine.anabranch, "report", "--json"), folder, machine.environment)
    report = json.loads((folder / "output.txt").read_text("utf-8"))
    return float(report["overhead_share"])


def _folder(machine: Machine, work: Work, workspace: str, width: int) -> Path:
    return machine.scratch / f"targets-{work.name}-{workspace}-{width}"


def _run(
    machine: Machine, work: Work, workspace: str, width: int, *, as_handlers: bool = False
) -> Contestant:
    """Return a turn of a whole run, from exec to exit: a stream a command, or a handler."""
    name = _folder(machine, work, "handlers" if as_handlers else workspace, width).name
    folder = machine.repository(name, FILES)
    plan = _as_handlers(work, width) if as_handlers else _plan(work, workspace, width)
    (folder / "anabranch.toml").write_text(plan, "utf-8")
    streams = 1 if as_handlers else len(work.commands)
    return partial(machine.whole_run, folder, f"merged {streams} stream")


def _as_handlers(work: Work, width: int) -> str:
    """Return a plan of one stream with a handler a command; all commands are the same program."""
    program, _, _ = work.commands[0].partition(" ")
    items = [command.partition(" ")[2] for command in work.commands]
    lines = ["version = 1", "[streams.all]", f"each = {json.dumps(items)}"]
    lines += [f'command = "{program} {{item}}"', f"max_parallel = {width}"]
    return "\n".join(lines) + "\n"


def _plan(work: Work, workspace: str, width: int) -> str:
    lines = ["version = 1", "[coordination]", f"max_parallel = {width}"]
    lines += ["[coordination.isolation]", f'workspace = "{workspace}"']
    if workspace == SHARED:
        lines.append('file_access = "shared"')
    for number, layer in enumerate(work.layers):
        before = [f"l{number - 1}s{n}" for n in range(len(work.layers[number - 1]))]
        for n, command in enumerate(layer):
            lines += [f"[streams.l{number}s{n}]", f"command = {json.dumps(shlex.split(command))}"]
            if number:
                lines.append(f"depends_on = {json.dumps(before)}")
    return "\n".join(lines) + "\n"


def _shell(machine: Machine, work: Work) -> Contestant:
    return _quietly(machine, ("/bin/sh", "-c", "\n".join(work.commands)))


def _xargs(machine: Machine, work: Work, width: int) -> Contestant:
    given = "\n".join(work.commands)
    script = f"printf '%s\\n' \"$0\" | xargs -P {width} -I {{}} sh -c {{}}"
    return _quietly(machine, ("/bin/sh", "-c", script, given))


def _quietly(machine: Machine, argv: Sequence[str]) -> Contestant:
    environment: Mapping[str, str] = machine.environment
    folder = machine.folder("targets-plain")
    return lambda: timed(argv, folder, environment)
