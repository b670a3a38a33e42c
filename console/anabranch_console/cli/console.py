"""``anabranch console``: look at a run."""

from __future__ import annotations

import sys

import click

from anabranch.engine.follower import RunFollower
from anabranch.engine.hosting import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run
from anabranch.errors import UsageError
from anabranch_console.cli.hosting import exit_code, finish
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say


@click.command
@run_argument
def command(run: str | None) -> None:
    """Open the console on RUN (the latest): hosts it if nobody does, else follows it read-only."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the console needs a terminal", "anabranch status tells it in text")
    from anabranch_console.app import run_console

    home = find_run(here(), run)
    try:
        source = resume_run(
            home, installed().strategies, reason="console opened", retry_failed=False
        )
    except AlreadyHosted:
        follower = RunFollower(home)
        try:
            left = run_console(follower)
        finally:
            follower.close()
        say(left.message or f"run {home.run} goes on in its own console")
        return
    try:
        left = run_console(source)
        if left.message:
            say(left.message)
        finish(exit_code(source.state))
    finally:
        source.close()
