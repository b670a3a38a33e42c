"""``anabranch allow``: allow what a stream wrote against the locks to be merged."""

from __future__ import annotations

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AllowViolation
from anabranch.engine.runs import find_run
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.steering import steer

REASON = "allowed by you"


@click.command
@click.argument("stream")
@click.argument("path", required=False)
@click.option("--run", help="The run; the latest by default.")
def command(stream: str, path: str | None, run: str | None) -> None:
    """Allow what STREAM wrote against the locks, or outside its paths, to be merged.

    With PATH only that file is allowed. A run that waits for this goes on.
    """
    home = find_run(here(), run)
    allowing = AllowViolation(stream=StreamId(stream), path=path, reason=REASON)
    state = steer(home, allowing, REASON)
    say(f"allowed; run {home.run} is {shown(state.phase)}")
