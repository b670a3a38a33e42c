"""``anabranch console``: look at a run."""

from __future__ import annotations

from functools import partial

import click

from anabranch.engine.follower import RunFollower
from anabranch.engine.host import RunHost
from anabranch.engine.resuming import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run, read_run
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.hosting import after_console, exit_code, finish, host_in_console
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say
from anabranch_console.cli.terminal import why_no_console
from anabranch_console.followed_run import FollowedRun


@click.command
@run_argument
def command(run: str | None) -> None:
    """Open the console on RUN (the latest): hosts it if nobody does, else steers it by its host.

    A run that is over is only looked at, until something is to be done in it.
    """
    reason = why_no_console()
    if reason is not None:
        raise UsageError(reason, "anabranch status shows it as text")
    home = find_run(here(), run)
    found = read_run(home)
    if found.is_hosted or (found.state is not None and found.state.has_ended):
        _follow(home)
        return
    try:
        host = _host(home)
    except AlreadyHosted:
        _follow(home)
        return
    try:
        finish(host_in_console(host))
    finally:
        host.close()


def _host(home: RunFolder) -> RunHost:
    loaded = installed()
    return resume_run(
        home,
        loaded.strategies,
        reason="console opened",
        retry_failed=False,
        extensions=loaded.extensions,
    )


def _follow(home: RunFolder) -> None:
    from anabranch_console.app import run_console

    run = FollowedRun(RunFollower(home), partial(_host, home))
    try:
        left = run_console(run)
        if run.host is not None:
            finish(after_console(run.host, left))
        if left.message:
            say(left.message)
        if run.state.has_ended:
            finish(exit_code(run.state))
    finally:
        run.close()
