"""``anabranch schema``: the JSON Schema of plan files, for editors."""

from __future__ import annotations

import click

from anabranch.config.model import plan_schema
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import print_json


@click.command
def command() -> None:
    """Print the JSON Schema of plan files, with the options of all strategies that are installed.

    Write it where your editor finds it: anabranch schema > anabranch.schema.json
    """
    known = installed().strategies
    print_json(plan_schema(known.convergence_options, known.balancer_options))
