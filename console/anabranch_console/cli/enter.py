"""``anabranch enter``: a shell in a stream's workspace."""

from __future__ import annotations

import signal

import click

from anabranch.engine.reaching_layers import reach_layers_of
from anabranch_console.attached.visits import ShellVisit
from anabranch_console.cli.attach import refuse_what_is_no_terminal
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.reading import found_run, known_streams


@click.command
@click.argument("stream")
@run_argument
def command(stream: str, run: str | None) -> None:
    """Enter the workspace of STREAM: your shell there, with the environment that it has.

    The shell has not its token: nothing that is called there is the stream's. What is changed while
    it is at work is part of what it changes; afterwards it is nobody's. Ends as the shell ends.
    """
    refuse_what_is_no_terminal("a shell", "anabranch status --json names the workspace")
    found, state = found_run("enter", run, stream, tells_silence=False)
    reach_layers_of(found.folder)
    (name,) = known_streams(state, [stream])
    visit = ShellVisit(state, name)
    for number in (signal.SIGINT, signal.SIGQUIT):  # they are the shell's
        signal.signal(number, lambda *_: None)
    say(visit.run())
    raise click.exceptions.Exit(visit.code if visit.code >= 0 else 128 - visit.code)
