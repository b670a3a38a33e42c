"""``anabranch init``: a plan to begin with."""

from __future__ import annotations

import click

from anabranch.config import initial_plan
from anabranch.errors import UsageError
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say

PLAN_FILE = "anabranch.toml"


@click.command
def command() -> None:
    """Write a small commented plan, anabranch.toml, to begin with."""
    path = here() / PLAN_FILE
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(initial_plan())
    except FileExistsError:
        raise UsageError(f"{PLAN_FILE} exists already", "anabranch check says how it is") from None
    except OSError as error:
        raise UsageError(f"{PLAN_FILE} cannot be written: {error.strerror}") from None
    say(f"wrote {PLAN_FILE}; next: anabranch check, then anabranch run")
