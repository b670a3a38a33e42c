"""``anabranch close``: an open run comes to its end."""

from __future__ import annotations

import click

from anabranch.core.inputs import CloseRun
from anabranch.core.model.state import RunPhase
from anabranch.core.wording import listing
from anabranch_console.cli.hosting import exit_code, finish
from anabranch_console.cli.output import run_argument, say, shown
from anabranch_console.cli.steering import await_state, steer
from anabranch_console.cli.which_run import run_meant

PATIENCE_SECONDS = 7 * 24 * 3600.0
"""Its streams take what they take."""


@click.command
@run_argument
def command(run: str | None) -> None:
    """Add nothing more to the open RUN (that goes on): it converges once its streams are over.

    Beside a console or another command that hosts the run, this waits until it has converged.
    """
    home = run_meant("close", run)
    state = steer(home, CloseRun(), "to close it")
    if not state.has_ended:
        at_work = [shown(p.id) for p in state.plan.streams if not state.streams[p.id].has_ended]
        what = f"{listing(at_work)} to end" if at_work else "its results to be merged"
        say(f"run {home.run} is closed; this waits for {what} (Ctrl+C leaves it to its host)")
    state = await_state(home, lambda s: s.has_ended, PATIENCE_SECONDS)
    say(f"run {home.run} is {state.phase}: {state.reason}")
    if state.phase is RunPhase.CONVERGED and not state.approval.is_done:
        say(f"anabranch approve {home.run} takes it over")
    finish(exit_code(state))
