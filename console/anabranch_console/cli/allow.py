"""``anabranch allow``: let what a stream wrote against the locks be merged."""

from __future__ import annotations

import click

from anabranch.engine.requests import Request
from anabranch.engine.runs import find_run
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.steering import steer


@click.command
@click.argument("stream")
@click.argument("path", required=False)
@click.option("--run", help="The run; the latest by default.")
def command(stream: str, path: str | None, run: str | None) -> None:
    """Allow what STREAM wrote against the locks, or outside its paths, to be merged.

    With PATH only that file is allowed. A run that waits for this goes on.
    """
    home = find_run(here(), run)
    state = steer(home, Request("allow", "allowed by you", stream, path or ""))
    say(f"allowed; run {home.run} is {shown(state.phase)}")
