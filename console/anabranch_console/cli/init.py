"""``anabranch init``: a plan to begin with, and the schema that its first line names."""

from __future__ import annotations

import click

from anabranch.config import initial_plan
from anabranch.config.model import plan_schema
from anabranch.config.writing import SCHEMA_FILE
from anabranch.errors import UsageError
from anabranch.hostile_text import json_text
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say

PLAN_FILE = "anabranch.toml"


@click.command
def command() -> None:
    """Write a small commented plan, anabranch.toml, to begin with, and its schema for editors."""
    if not _written(PLAN_FILE, initial_plan()):
        raise UsageError(f"{PLAN_FILE} exists already", "anabranch check says how it is")
    known = installed().strategies
    schema = json_text(plan_schema(known.convergence_options, known.balancer_options), indent=2)
    also = f" and {SCHEMA_FILE} for your editor" if _written(SCHEMA_FILE, schema + "\n") else ""
    say(f"wrote {PLAN_FILE}{also}; next: anabranch check, then anabranch run")


def _written(name: str, content: str) -> bool:
    """Write a file that is not there yet; False if it is. Raises UsageError."""
    try:
        with open(here() / name, "x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}") from None
    return True
