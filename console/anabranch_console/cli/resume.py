"""``anabranch resume``: go on with a run."""

from __future__ import annotations

import click

from anabranch.engine.resuming import resume_run
from anabranch_console.cli.hosting import (
    Wishes,
    finish,
    host_run,
    interrupt_option,
    time_limit_option,
)
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import run_argument
from anabranch_console.cli.which_run import run_meant


@click.command
@run_argument
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@time_limit_option
@interrupt_option
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
def command(
    run: str | None,
    headless: bool,
    time_limit: float | None,
    on_interrupt: str | None,
    as_json: bool,
) -> None:
    """Go on with RUN (that was left): adopt what lives, settle what ended, run what is left.

    A run that failed, was stopped or waits for you is opened again: what succeeded stays, the rest
    is tried once more.
    """
    home = run_meant("resume", run)
    loaded = installed()
    host = resume_run(
        home,
        loaded.strategies,
        reason="resumed",
        retry_failed=True,
        extensions=loaded.extensions,
    )
    finish(host_run(host, Wishes(headless, as_json, time_limit, on_interrupt)))
