"""``anabranch attach``: a stream's terminal on the person's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from anabranch import exit_codes
from anabranch.errors import UsageError
from anabranch_console.attached.session import Left
from anabranch_console.attached.visits import TerminalVisit, Visit
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.terminal import is_in_foreground, is_screen


@click.command
@click.argument("stream")
@run_argument
def command(stream: str, run: str | None) -> None:
    """Attach to the terminal of STREAM, which its plan gives it with `tty = true`.

    Keys go to the stream, and ctrl+] leaves: the stream runs on. Whoever is attached sees the same,
    in the size of the smallest terminal. Works whoever hosts the run, also if nobody does.
    """
    refuse_what_is_no_terminal("attaching", "anabranch logs STREAM -f follows its output")
    found, state = found_run("attach", run, stream, tells_silence=False)
    (name,) = known_streams(state, [stream])
    visit = TerminalVisit(found.folder, state, name)
    with _signals_heard(visit):
        words = visit.run()
    if visit.left is Left.BY_KEY:
        words += f". Come back with: anabranch attach {name}{f' {run}' if run else ''}"
    elif visit.left is not Left.STREAM_ENDED:
        raise click.exceptions.Exit(exit_codes.INTERRUPTED)
    say(words)


def refuse_what_is_no_terminal(what: str, hint: str) -> None:
    """Raise UsageError unless stdin and stdout are a terminal that is ours to use."""
    if not (os.isatty(0) and is_screen()):
        raise UsageError(f"{what} needs a terminal: stdin and stdout", hint)
    if not is_in_foreground():
        raise UsageError(f"{what} needs the terminal for itself, and is in its background", hint)


@contextmanager
def _signals_heard(visit: Visit) -> Iterator[None]:
    """Let a visit hear that its terminal has another size, or that it is to end."""

    def heard(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            visit.resized()
        else:
            visit.call_off()

    heeded = (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.signal(number, heard) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
