"""``anabranch console``: look at a run."""

from __future__ import annotations

import sys

import click

from anabranch.engine.follower import RunFollower
from anabranch.engine.hosting import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.hosting import finish, host_in_console
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say


@click.command
@run_argument
def command(run: str | None) -> None:
    """Open the console on RUN (the latest): hosts it if nobody does, else follows it read-only."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the console needs a terminal", "anabranch status tells it in text")
    home = find_run(here(), run)
    try:
        loaded = installed()
        host = resume_run(
            home,
            loaded.strategies,
            reason="console opened",
            retry_failed=False,
            extensions=loaded.extensions,
        )
    except AlreadyHosted:
        _follow(home)
        return
    try:
        finish(host_in_console(host))
    finally:
        host.close()


def _follow(home: RunFolder) -> None:
    from anabranch_console.app import run_console

    follower = RunFollower(home)
    try:
        left = run_console(follower)
    finally:
        follower.close()
    say(left.message or f"run {home.run} goes on in its own console")
