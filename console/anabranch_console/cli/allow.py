"""``anabranch allow``: allow what a stream wrote against the locks to be merged."""

from __future__ import annotations

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AllowViolation
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.steering import steer
from anabranch_console.cli.which_run import run_meant

REASON = "allowed by you"


@click.command
@click.argument("stream")
@click.argument("path", required=False)
@click.option("--run", help="The run; by default the one that goes on.")
def command(stream: str, path: str | None, run: str | None) -> None:
    """Allow what STREAM wrote against the locks, or outside its paths, to be merged.

    With PATH only that file is allowed. A run that waits for this goes on.
    """
    home = run_meant("allow", run, stream)
    allowing = AllowViolation(stream=StreamId(stream), path=path, reason=REASON)
    state = steer(home, allowing, REASON)
    say(f"allowed; run {home.run} is {shown(state.phase)}")
