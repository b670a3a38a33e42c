"""What to begin with where no run goes on: asked on the start screen, and done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from anabranch.config import PlanErrors, check_text, templates_here
from anabranch.core.plans.plan import StreamPlan
from anabranch.engine.runs import find_run
from anabranch.engine.trusting import Trust
from anabranch.errors import UsageError
from anabranch_console.cli import demo, init, run
from anabranch_console.cli.hosting import Wishes, finish, host_run, open_run_with
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.planning import DEFAULT_PLAN, open_plan_of, plan_context
from anabranch_console.cli.sitting import sit_at
from anabranch_console.other_runs import run_choices
from anabranch_console.screens.dialogs import Choice

if TYPE_CHECKING:
    from anabranch_console.start_screen import Beginning


def begin() -> None:
    """Ask what to begin with, and do it; ends the command with its exit code."""
    while True:
        wanted = _ask()
        if wanted is None:
            return
        match wanted.choice:
            case "new" if wanted.stream is not None:
                _begin_open_run(wanted.stream)
            case "plan":
                _invoke(run.command)
            case "demo":
                _invoke(demo.command)
            case "last":
                sit_at(find_run(here(), wanted.run))
                return
            case "write":
                _invoke(init.command)


def _ask() -> Beginning | None:
    from anabranch_console.start_screen import StartApp  # here: it loads the toolkit
    from anabranch_console.terminal import ConsoleDriver

    templates = templates_here(here())
    if isinstance(templates, PlanErrors):
        raise UsageError(check_text(templates).rstrip(), "mend the template, then try again")
    found, runs = installed(), run_choices(here())
    choices = start_choices(runs, has_plan=Path(DEFAULT_PLAN).exists())
    context, trust = plan_context(found), Trust(here())
    plan = open_plan_of(here(), context)
    app = StartApp(plan, choices, runs, context, templates, trust, driver_class=ConsoleDriver)
    return app.run()


def start_choices(runs: list[Choice], *, has_plan: bool) -> list[Choice]:
    """Return what there is to begin with, and why something is not."""
    no_plan = f"there is no {DEFAULT_PLAN} in this folder"
    return [
        Choice("new", "n", "New stream", "a command; more can be added while it runs"),
        Choice("plan", "r", "Run the plan", DEFAULT_PLAN, None if has_plan else no_plan),
        Choice(
            "write",
            "w",
            "Write a plan",
            f"a small commented {DEFAULT_PLAN}",
            f"{DEFAULT_PLAN} exists already" if has_plan else None,
        ),
        Choice("last", "l", "Last runs", "look at one again", None if runs else "there are none"),
        Choice("demo", "d", "The demo", "a dozen streams at work, about a minute"),
    ]


def _begin_open_run(stream: StreamPlan) -> None:
    found = installed()
    plan = open_plan_of(here(), plan_context(found))
    finish(host_run(open_run_with(stream, plan, found), Wishes()))


def _invoke(command: click.Command) -> None:
    click.get_current_context().invoke(command)
