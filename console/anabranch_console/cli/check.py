"""``anabranch check``: is the plan right, and what does it come to?"""

from __future__ import annotations

import click

from anabranch.config import PlanErrors, as_strict, check_report, check_text
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import json_option, print_json, say
from anabranch_console.cli.planning import in_this_project, read_plan


@click.command
@click.argument("plan", required=False)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@json_option
def command(plan: str | None, strict: bool, as_json: bool) -> None:
    """Check PLAN (anabranch.toml): its waves, its critical path, what is wrong with it."""
    found = installed()
    loaded = in_this_project(read_plan(plan, (), found.strategies, found.extensions))
    if strict:
        loaded = as_strict(loaded)
    if as_json:
        print_json(check_report(loaded))
    elif isinstance(loaded, PlanErrors):
        say(check_text(loaded).rstrip())
    else:
        click.echo(check_text(loaded).rstrip())
    raise click.exceptions.Exit(2 if isinstance(loaded, PlanErrors) else 0)
