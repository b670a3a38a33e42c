"""A width that follows the machine, beside fixed ones: streams that wait, and streams that work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.machine import Machine
from benchmarks.measuring import Contestant, Row, Table, in_turns

REPEATS, BUDGET_SECONDS = 3, 45.0
WAITING, WAIT_SECONDS = 40, 3
WORKING, WORK_SECONDS = 16, 0.5
PLAN = """version = 1
[coordination]
max_parallel = {width}
isolation = {{ workspace = "shared", file_access = "shared" }}
[streams]
{streams}
"""


def tables(machine: Machine) -> Iterator[Table]:
    """Yield a table for streams that wait and, with a C compiler, one for streams that work."""
    commands = {f"s{n}": f"sleep {WAIT_SECONDS}" for n in range(WAITING)}
    title = f"Width: {WAITING} streams that wait for {WAIT_SECONDS} s"
    yield _table(machine, title, commands, (4, 10, WAITING))
    if machine.spin is not None:
        commands = {f"s{n}": f"{machine.spin} {WORK_SECONDS}" for n in range(WORKING)}
        title = f"Width: {WORKING} streams that work for {WORK_SECONDS} s"
        yield _table(machine, title, commands, (2, 4, WORKING))


def _table(
    machine: Machine, title: str, commands: Mapping[str, str], widths: tuple[int, ...]
) -> Table:
    streams = "\n".join(f'{name} = "{command}"' for name, command in commands.items())
    contestants: dict[str, Contestant] = {}
    for number, width in enumerate(('"auto"', *widths)):
        folder = machine.repository(f"width-{len(commands)}-{number}", 1)
        (folder / "anabranch.toml").write_text(PLAN.format(width=width, streams=streams), "utf-8")
        name = "as the machine bears" if number == 0 else f"{width} at a time"
        contestants[name] = partial(machine.whole_run, folder, "converged")
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    return Table(title, "seconds", tuple(Row(name, values) for name, values in samples.items()))
