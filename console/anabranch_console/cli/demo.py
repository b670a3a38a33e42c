"""``anabranch demo``: a show that needs nothing."""

from __future__ import annotations

import os
import shutil
import sys

import click

from anabranch import exit_codes
from anabranch.config import LoadedPlan, StrategyNames, load_plan
from anabranch.core.model.state import RunPhase
from anabranch.engine.starting import start_run
from anabranch_console import demo
from anabranch_console.cli.hosting import Wishes, exit_code, finish, host_run, interrupt_option
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import say


@click.command
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@interrupt_option
def command(headless: bool, on_interrupt: str | None) -> None:
    """Run nine streams on a small Python project in a scratch repository; needs no network.

    They write code, tests and documentation side by side; one fans out over all files, one fails
    once and is tried again, one hangs and is recovered, two conflict; the result is merged, taken
    over, and its tests are run.
    """
    folder = demo.make_project()
    say(f"a scratch repository: {folder}")
    strategies = installed().strategies
    loaded = load_plan(demo.PLAN, known=StrategyNames())
    assert isinstance(loaded, LoadedPlan), "the bundled plan is valid"
    host = start_run(
        folder,
        loaded.plan,
        strategies,
        plan_path=str(demo.PLAN),
        approve=True,
        environment=demo.environment(),
    )
    code = host_run(host, Wishes(headless, on_interrupt=on_interrupt))
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
