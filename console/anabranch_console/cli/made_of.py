"""Streams that commands make of templates: which there are, and what stands in the blanks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from anabranch.config import PlanErrors, templates_here
from anabranch.config.templates import PROMPT, Template
from anabranch.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def template_options(command: Command) -> Command:
    """Give a command the options that name a template and fill its blanks."""
    value = click.option(
        "--value", "values", metavar="NAME=TEXT", multiple=True, help="For another blank of it."
    )
    prompt = click.option("--prompt", metavar="TEXT", help="What stands in its blank {prompt}.")
    template = click.option("--template", metavar="T", help="A template; anabranch templates.")
    return template(prompt(value(command)))


def blanks_of(prompt: str | None, values: tuple[str, ...]) -> dict[str, str]:
    """Return what the options say stands in the blanks. Raises UsageError."""
    found = {} if prompt is None else {PROMPT: prompt}
    for text in values:
        name, is_there, value = text.partition("=")
        if not name or not is_there:
            raise click.UsageError(f"{text!r} is not NAME=TEXT")
        found[name] = value
    return found


def known_templates(folder: Path) -> Mapping[str, Template]:
    """Return the templates that there are in a folder. Raises UsageError if some are wrong."""
    found = templates_here(folder)
    if isinstance(found, PlanErrors):
        first = found.errors[0]
        raise UsageError(f"{first.file}:{first.line}: {first.key}: {first.message}", first.hint)
    return found
