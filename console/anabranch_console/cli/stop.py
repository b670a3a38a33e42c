"""``anabranch stop``: end a run gracefully."""

from __future__ import annotations

import click

from anabranch.engine.requests import Request
from anabranch.engine.runs import find_run
from anabranch.errors import AnabranchError
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.steering import await_state, state_of, steer

MARGIN_SECONDS = 20.0


@click.command
@run_argument
def command(run: str | None) -> None:
    """Stop RUN (the latest): streams get TERM, their grace, then KILL. Their work is kept."""
    home = find_run(here(), run)
    state = state_of(home)
    if state.has_ended:
        say(f"run {home.run} has already ended: {state.phase}")
        return
    steer(home, Request("stop-run", "stopped by you"))
    patience = state.plan.stop_grace_seconds + MARGIN_SECONDS
    if not await_state(home, lambda s: s.has_ended, patience).has_ended:
        hint = f"see: anabranch status {home.run}"
        raise AnabranchError(f"run {home.run} is still stopping", hint)
    say(f"run {home.run} is stopped; what its streams did is kept")
