"""``anabranch demo``: a show that needs nothing."""

from __future__ import annotations

import os
import shutil
import sys

import click

from anabranch import exit_codes
from anabranch.core.model.state import RunPhase
from anabranch.engine.starting import start_run
from anabranch_console import demo
from anabranch_console.cli.hosting import Wishes, exit_code, finish, host_run, interrupt_option
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import say
from anabranch_console.cli.terminal import can_show_console
from anabranch_console.demo.stand_in import StandIn


@click.command
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@interrupt_option
def command(headless: bool, on_interrupt: str | None) -> None:
    """Run a dozen streams on a small Python project in a scratch repository; needs no network.

    They write code, tests and documentation side by side; one fans out over all files, one fails
    once and is tried again, one hangs and is recovered, two conflict, two race, one asks; the
    result is merged, taken over, and its tests are run. In a console it takes about a minute, and
    what needs a person goes on by itself after a while.
    """
    folder = demo.make_project()
    say(f"a scratch repository: {folder}")
    strategies = installed().strategies
    show = demo.WATCHED if can_show_console() and not headless else demo.UNWATCHED
    environment = demo.environment(show)
    host = start_run(
        folder,
        demo.bundled_plan(strategies, show),
        strategies,
        plan_path=str(demo.PLAN),
        approve=True,
        environment=environment,
    )
    wishes = Wishes(headless, on_interrupt=on_interrupt)
    with StandIn(host, demo.resolver(strategies), environment, show):
        code = host_run(host, wishes)
    state = host.state
    if state.phase is not RunPhase.CONVERGED or not state.approval.is_done:
        say(f"the demo's run is {state.phase}; look at it: anabranch -C {folder} status")
        finish(code or exit_code(state))
    passed, summary = demo.run_result_tests(folder)
    click.echo(f"the merged result's tests: {'all pass' if passed else 'FAILED'} ({summary})")
    say(f"look around: cd {folder} && git log --graph --oneline && {_program()} report")
    finish(exit_codes.DONE if passed else exit_codes.FAILED)


def _program() -> str:
    """Return how to call this program again: by its name where that is found, else by its path."""
    return "anabranch" if shutil.which("anabranch") else os.path.abspath(sys.argv[0])
