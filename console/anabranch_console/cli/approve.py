"""``anabranch approve``: take a result over."""

from __future__ import annotations

import click

from anabranch.core.inputs import ApproveRun
from anabranch.core.model.state import State
from anabranch.errors import LossRefused, NotSettled
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.steering import await_state, steer
from anabranch_console.cli.which_run import run_meant

PATIENCE_SECONDS = 3600.0
"""A result that is merged onto a branch is verified again, which takes what it takes."""


@click.command
@run_argument
@click.option(
    "--onto",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[BRANCH]",
    help="Merge the result onto BRANCH (yours) as it is now, and verify it again.",
)
@click.option(
    "--allow-sensitive", is_flag=True, help="Also what others run or obey: CI, hooks, agents."
)
def command(run: str | None, onto: str | None, allow_sensitive: bool) -> None:
    """Bring the result of RUN (the latest that has converged) to your branch, or to your folder.

    Your branch moves only from where the run began (or, with --onto, from where it is now), and
    only if nothing of yours would be lost; else nothing changes, and the reason is said (exit 5).
    What others run or obey is named first, and a conflict or a failed check is said (exit 4).
    """
    home = run_meant("approve", run)
    approving = ApproveRun(allow_sensitive=allow_sensitive, onto=onto)
    steer(home, approving, "to approve its result")
    state = await_state(home, _is_decided, PATIENCE_SECONDS)
    if not state.approval.is_done:
        error = NotSettled if state.approval.kind else LossRefused
        raise error(state.approval.message, state.approval.hint)
    say(state.approval.message)


def _is_decided(state: State) -> bool:
    return state.approval.is_done or not state.approval.is_requested
