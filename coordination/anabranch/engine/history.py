"""What earlier runs teach: how long streams took, by name."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median

from anabranch.engine.reporting import read_report
from anabranch.paths import ProjectFolder

RUNS_REMEMBERED = 5


def estimates(project: ProjectFolder, plan_name: str | None = None) -> dict[str, float]:
    """Return the median seconds of each stream over the last runs of a project.

    ``plan_name`` limits that to runs of one plan.
    """
    seen: defaultdict[str, list[float]] = defaultdict(list)
    reports = (read_report(path / "report.json") for path in _latest_first(project))
    wanted = (r for r in reports if r and plan_name in (None, r.get("plan")))
    for _, report in zip(range(RUNS_REMEMBERED), wanted, strict=False):
        for stream, seconds in report.get("seconds", {}).items():
            seen[stream].append(float(seconds))
    return {stream: median(seconds) for stream, seconds in seen.items()}


def _latest_first(project: ProjectFolder) -> list[Path]:
    try:
        return sorted(project.runs.iterdir(), reverse=True)
    except OSError:
        return []
