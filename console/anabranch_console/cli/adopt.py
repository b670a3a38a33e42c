"""``anabranch adopt``: of several attempts at one task, let this one count."""

from __future__ import annotations

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import AdoptStream
from anabranch_console.cli.output import run_argument, say, shown
from anabranch_console.cli.steering import steer
from anabranch_console.cli.which_run import run_meant

REASON = "adopted by you"


@click.command
@click.argument("stream")
@run_argument
def command(stream: str, run: str | None) -> None:
    """Adopt STREAM, of those that raced in RUN (the latest in which it can be adopted).

    It is merged, and the run goes on.

    The others are kept, and named as left out. `anabranch race --compare` shows them side by side.
    """
    name = StreamId(stream)
    home = run_meant("adopt", run, name)
    state = steer(home, AdoptStream(stream=name, reason=REASON), REASON)
    say(f"{shown(stream)} is adopted; run {home.run} is {shown(state.phase)}")
