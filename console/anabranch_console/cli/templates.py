"""``anabranch templates``: the outlines that streams can be made of, and where each comes from."""

from __future__ import annotations

import shlex
from typing import Any

import click

from anabranch.config import PlanErrors, check_text, templates_here
from anabranch.config.templates import Template
from anabranch.errors import UsageError
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, print_table, say


@click.command
@json_option
def command(as_json: bool) -> None:
    """List the templates that streams here can be made of: the plan's, yours, the built-in ones.

    None of them is run by itself. A stream of a plan names one with template = "NAME" and fills its
    blanks; nearer ones hide others of their name.
    """
    found = templates_here(here())
    if isinstance(found, PlanErrors):
        first = found.errors[0]
        if as_json:
            raise UsageError(f"{first.file}:{first.line}: {first.key}: {first.message}", first.hint)
        say(check_text(found).rstrip())
        raise click.exceptions.Exit(2)
    if as_json:
        print_json({"schema": 1, "templates": [_as_json(one) for one in found.values()]})
        return
    rows = [_row(one) for one in found.values()]
    print_table(("TEMPLATE", "FROM", "ASKS FOR", "COMMAND"), rows)


def _row(one: Template) -> tuple[str, ...]:
    hidden = f", hides {' and '.join(map(_whose, one.hides))}" if one.hides else ""
    asks = " ".join(f"{{{name}}}" for name in one.asks_for)
    command = one.command if isinstance(one.command, str) else shlex.join(one.command)
    return one.name, f"{one.place}{hidden}", asks, command


def _whose(origin: str) -> str:
    return {"user": "yours", "built-in": "the built-in one"}.get(origin, origin)


def _as_json(one: Template) -> dict[str, Any]:
    return {
        "template": one.name,
        "origin": one.origin,
        "file": one.file or None,
        "line": one.line or None,
        "hides": list(one.hides),
        "description": one.description,
        "command": one.command,
        "blanks": [{"name": n, "default": one.defaults.get(n)} for n in one.blanks],
        "hand_back": one.hand_back,
        "table": dict(one.table),
    }
