"""``anabranch env``: how a program that was started elsewhere finds its way into a run."""

from __future__ import annotations

import shlex

import click

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.gateway.outside import joined_environment, operators_environment
from anabranch.errors import UsageError
from anabranch_console.cli.output import json_option, print_json, run_argument, say
from anabranch_console.cli.reading import found_run


@click.command
@run_argument
@click.option("--as", "stream", metavar="STREAM", help="As a stream that has joined the run.")
@json_option
def command(run: str | None, stream: str | None, as_json: bool) -> None:
    """Print the environment with which a program outside speaks to RUN (that goes on).

    It is that of the run's operator, or of a stream that has joined:

    \b
      eval "$(anabranch env)"
      ab-stream register guest --capability review
      eval "$(anabranch env --as guest)"
      ab-stream heartbeat --status reading
      ab-stream leave
    """
    found, state = found_run("env", run)
    variables = (
        operators_environment(found.folder)
        if stream is None
        else joined_environment(found.folder, StreamId(stream), _attempt(state, stream))
    )
    commands = str(found.folder.commands)
    if not found.is_hosted:
        say(f"nobody hosts run {found.folder.run} now: its socket does not answer")
    if as_json:
        print_json({"schema": SCHEMA, "environment": variables, "commands": commands})
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(commands)}:"$PATH"')


def _attempt(state: State, stream: str) -> int:
    """Return the attempt of a stream that is part of the run now. Raises UsageError."""
    joined = state.registry.live(StreamId(stream))
    if joined is not None:
        return joined.attempt
    if StreamId(stream) in state.streams:
        hint = "it finds its own environment; anabranch env without --as is the operator's"
        raise UsageError(f"{stream} is a stream of the plan and did not join", hint)
    known = ", ".join(j.id for j in state.registry.joined.values() if j.is_live) or "none"
    hint = f"it joins with: ab-stream register {shlex.quote(stream)}; joined now: {known}"
    raise UsageError(f"no stream {stream!r} has joined the run", hint)
