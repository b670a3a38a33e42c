"""``anabranch approve``: take a result over."""

from __future__ import annotations

import click

from anabranch.core.projections import in_plan_order, point_status
from anabranch.core.state import State
from anabranch.engine.requests import Request
from anabranch.engine.runs import find_run
from anabranch.errors import LossRefused
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.report_text import left_out_lines
from anabranch_console.cli.steering import await_state, steer

PATIENCE_SECONDS = 60.0


@click.command
@run_argument
def command(run: str | None) -> None:
    """Bring the result of RUN (the latest) to your branch, or to your folder.

    Your branch moves only from where the run began, and only if nothing of yours would be lost;
    else nothing changes, and the reason is told (exit 5).
    """
    home = find_run(here(), run)
    steer(home, Request("approve", "to approve its result"))
    state = await_state(home, _is_decided, PATIENCE_SECONDS)
    if not state.approval.is_done:
        raise LossRefused(state.approval.message, state.approval.hint)
    say(state.approval.message)
    for line in left_out_lines([point_status(state, p) for p in in_plan_order(state)]):
        say(f"  {line}")


def _is_decided(state: State) -> bool:
    return state.approval.is_done or not state.approval.is_requested
