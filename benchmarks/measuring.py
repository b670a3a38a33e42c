"""Taking turns, timing, and tables: what all benchmarks share."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Contestant = Callable[[], float]
"""Does the work once and returns what it measured."""


class BenchmarkFailed(Exception):
    """A contestant did not do its work, so there is nothing to compare."""


@dataclass(frozen=True)
class Row:
    """What one contestant measured; ``each`` is a figure derived from the median, if any."""

    name: str
    samples: tuple[float, ...]
    each: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Table:
    """One comparison: ours in the first row, a peer in each other.

    ``unit`` names what the samples are in; ``each_unit`` what ``Row.each`` is in.
    """

    title: str
    unit: str
    rows: tuple[Row, ...]
    each_unit: str = ""
    notes: tuple[str, ...] = ()


def in_turns(
    contestants: Mapping[str, Contestant], repeats: int, budget_seconds: float
) -> dict[str, tuple[float, ...]]:
    """Let every contestant work once per repeat and return what each measured.

    Repeats end early when the budget is spent, after the first at the soonest.
    """
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    ends_at = time.perf_counter() + budget_seconds
    for repeat in range(repeats):
        names = list(contestants)
        for name in names if repeat % 2 == 0 else reversed(names):
            samples[name].append(contestants[name]())
        if time.perf_counter() >= ends_at:
            break
    return {name: tuple(values) for name, values in samples.items()}


def timed(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a program quietly, from exec to exit, and return the seconds; raises BenchmarkFailed."""
    output = folder / "output.txt"
    with output.open("wb") as sink:
        began = time.perf_counter()
        done = subprocess.run(
            argv,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            check=False,
        )
        elapsed = time.perf_counter() - began
    if done.returncode != 0:
        tail = output.read_text(errors="replace")[-600:]
        raise BenchmarkFailed(f"{' '.join(argv[:3])} ended with {done.returncode}: {tail}")
    return elapsed


def clocked(work: Callable[[], object]) -> float:
    """Do some work and return the seconds it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def drawn(table: Table) -> str:
    """Return a table as text; the last column is ours divided by that peer."""
    header = ["", table.unit, "min-max", *([table.each_unit] if table.each_unit else []), "ours ÷"]
    lines = [header]
    ours = table.rows[0]
    for row in table.rows:
        span = f"{figure(min(row.samples))}-{figure(max(row.samples))}"
        cells = [row.name, figure(row.median), f"{span} ({len(row.samples)})"]
        if table.each_unit:
            cells.append("" if row.each is None else figure(row.each))
        lines.append([*cells, "" if row is ours else f"{ratio(ours, row):.2f}x"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = [f"\n{table.title}"]
    for line in lines:
        first, *rest = zip(line, widths, strict=True)
        cells = [f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]
        text.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*text, *(f"  {note}" for note in table.notes)])


def ratio(ours: Row, peer: Row) -> float:
    """Return ours divided by a peer's, by the medians."""
    return ours.median / peer.median if peer.median else float("inf")


def figure(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 1 if value >= 100 else 2 if value >= 10 else 3
    return f"{value:.{digits}f}"


def as_data(table: Table) -> dict[str, object]:
    """Return a table as plain values, for a file."""
    return {
        "title": table.title,
        "unit": table.unit,
        "each_unit": table.each_unit,
        "notes": list(table.notes),
        "rows": [
            {
                "name": row.name,
                "median": row.median,
                "samples": list(row.samples),
                "each": row.each,
                "ours_divided_by_this": ratio(table.rows[0], row),
            }
            for row in table.rows
        ],
    }
