"""What earlier runs teach: how long a stream of a plan took with the command that it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

from anabranch.core.plans.plan import Work
from anabranch.engine.reporting import read_report
from anabranch.engine.runs import runs_of
from anabranch.paths import ProjectFolder

RUNS_REMEMBERED = 5
RUNS_LOOKED_AT = 25


def estimates(project: ProjectFolder) -> dict[Work, float]:
    """Return the median seconds of each work over the last runs of a project that did it."""
    seen: defaultdict[Work, list[float]] = defaultdict(list)
    for run in islice(runs_of(project), RUNS_LOOKED_AT):
        for work, seconds in _durations(read_report(run.report) or {}):
            if len(seen[work]) < RUNS_REMEMBERED:
                seen[work].append(seconds)
    return {work: _median(seconds) for work, seconds in seen.items()}


def _median(seconds: list[float]) -> float:
    """Return the middle one, or what is between the two; ``statistics`` takes long to load."""
    ordered = sorted(seconds)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _durations(report: dict[str, Any]) -> Iterator[tuple[Work, float]]:
    """Yield what a report tells; one of an earlier version does not tell commands."""
    plan, seconds, commands = (report.get(key) for key in ("plan", "seconds", "commands"))
    if not isinstance(seconds, dict) or not isinstance(commands, dict):
        return
    for stream, taken in seconds.items():
        if isinstance(taken, int | float) and stream in commands:
            yield Work(str(plan), stream, str(commands[stream])), float(taken)
