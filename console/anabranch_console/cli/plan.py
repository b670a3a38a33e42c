"""``anabranch plan``: the plan of a run as it is by now, as a plan file."""

from __future__ import annotations

import click
import tomli_w

from anabranch.config.written_plans import not_carried, plan_document
from anabranch_console.cli.output import json_option, print_json, run_argument, say, shown
from anabranch_console.cli.reading import found_run


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """Print the plan of RUN (that goes on) as it is now, with all that was added and edited."""
    _, state = found_run("plan", run)
    document, lost = plan_document(state.plan), list(not_carried(state.plan))
    if as_json:
        print_json({"schema": 1, "run": state.run, "plan": document, "not_carried": lost})
        return
    click.echo(tomli_w.dumps(document, multiline_strings=False), nl=False)
    for words in lost:
        say(f"not in it: {shown(words)}")
