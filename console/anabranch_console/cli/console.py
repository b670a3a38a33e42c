"""``anabranch console``: look at a run, or begin one."""

from __future__ import annotations

import click

from anabranch.core.model.state import RunPhase
from anabranch.engine.runs import find_run, has_begun, read_run, run_folders, run_that_goes_on
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument
from anabranch_console.cli.sitting import sit_at
from anabranch_console.cli.terminal import why_no_console


@click.command
@run_argument
def command(run: str | None) -> None:
    """Open the console on RUN, or on the run that goes on here: hosts it if nobody does.

    Else it steers the run by its host; a run that is over is only looked at, until something is to
    be done in it. Where no run goes on it asks what to begin with: the plan, a new stream in an
    open run, the last runs, the demo.
    """
    reason = why_no_console()
    if reason is not None:
        raise UsageError(reason, "anabranch status shows it as text")
    home = find_run(here(), run) if run else run_to_sit_at()
    if home is None:
        from anabranch_console.cli.beginning import begin

        begin()
    else:
        sit_at(home)


def run_to_sit_at() -> RunFolder | None:
    """Return the run here that goes on, else the latest if it waits for a person; or None."""
    home = run_that_goes_on(here())
    latest = next(filter(has_begun, run_folders(here())), None)
    if home is not None or latest is None:
        return home
    state = read_run(latest).state
    if state is None:  # the console says what is wrong with it
        return latest
    waits_to_be_taken = state.phase is RunPhase.CONVERGED and not state.approval.is_done
    return latest if waits_to_be_taken or state.phase is RunPhase.NEEDS_OPERATOR else None
