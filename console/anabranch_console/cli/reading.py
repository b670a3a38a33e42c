"""Reading a run for a command that only looks: also after the run, and beside a running console."""

from __future__ import annotations

from anabranch.core import accounting
from anabranch.core.state import State
from anabranch.engine.reporting import read_report
from anabranch.engine.runs import FoundRun, find_run, read_run, run_clock
from anabranch.errors import WorldError
from anabranch_console.cli.main import here


def found_run(name: str | None) -> tuple[FoundRun, State]:
    """Return a run and its state. Raises UsageError, WorldError."""
    found = read_run(find_run(here(), name))
    if found.state is None:
        raise WorldError(
            f"run {found.folder.run} cannot be read: {found.fault or 'it has no events'}",
            "anabranch doctor looks at it more closely",
        )
    return found, found.state


def overhead_share(found: FoundRun, state: State) -> float:
    """Return the share of coordination in all time spent, 0..1.

    A finished run's report knows the engine's own seconds too; without one the streams' count.
    """
    report = read_report(found.folder.report) if state.has_ended else None
    if report and isinstance(report.get("overhead_share"), float):
        return float(report["overhead_share"])
    work = accounting.work_seconds(state, run_clock(found.folder, state).now())
    return round(accounting.overhead_share(accounting.overhead_seconds(state), work), 6)
