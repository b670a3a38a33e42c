"""``anabranch approve``: take a result over."""

from __future__ import annotations

import click

from anabranch.core import inputs
from anabranch.core.state import State
from anabranch.engine.hosting import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run, read_run
from anabranch.errors import LossRefused, UsageError
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say


@click.command
@run_argument
def command(run: str | None) -> None:
    """Bring the result of RUN (the latest) to your branch, or to your folder.

    Your branch moves only from where the run began, and only if nothing of yours would be lost;
    else nothing changes, and the reason is told (exit 5).
    """
    home = find_run(here(), run)
    found = read_run(home)
    if found.state is None:
        raise UsageError(f"run {home.run} cannot be read: {found.fault}", "see anabranch doctor")
    try:
        host = resume_run(home, installed().strategies, reason="to approve", retry_failed=False)
    except AlreadyHosted:
        hint = "approve it there, with the key A"
        raise UsageError(f"run {home.run} is open in another console", hint) from None
    try:
        refusal = host.submit(inputs.ApproveRun()).result()
        if refusal is not None:
            raise UsageError(refusal.reason, refusal.hint)
        host.wait()
        _tell(host.state)
    finally:
        host.close()


def _tell(state: State) -> None:
    if not state.approval.is_done:
        raise LossRefused(state.approval.message, state.approval.hint)
    say(state.approval.message)
