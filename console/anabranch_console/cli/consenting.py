"""Asking whether commands that a project brings with it may be run, where nobody asked for them.

On a terminal it is asked once; without one ``--trust`` says yes, and nothing is run without it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from anabranch.core.plans.consent import PlanCommand
from anabranch.core.wording import counted
from anabranch.engine.trusting import Trust
from anabranch.errors import UsageError
from anabranch.hostile_text import escape_whole
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.terminal import is_in_ci, is_in_foreground

trust_option = click.option(
    "--trust", is_flag=True, help="Run the commands that the project's plan has, as they are now."
)


class NotAsked(UsageError):
    """Commands that nobody has said may be run, and nobody is there to be asked."""

    code = "consent"


def require_consent(commands: Sequence[PlanCommand], trusts: bool, *, asks: bool = True) -> None:
    """Have a person agree to commands that were not agreed to before. Raises UsageError.

    Args:
        commands: all that would be run.
        trusts: whether they have agreed beforehand.
        asks: whether somebody may be asked.
    """
    trust = open_trust()
    _agree(trust, trust.unknown(commands), trusts, asks, "the plan in this folder has")


def require_unchanged(
    plan: Path, commands: Sequence[PlanCommand], trusts: bool, *, asks: bool
) -> None:
    """Have a person agree to what merged work brought into a plan that they run. Raises UsageError.

    All other commands of it they have asked for by running it.
    """
    trust = open_trust()
    brought = trust.brought_by_merged_work(plan, commands)
    _agree(trust, brought, trusts, asks, "merged work has changed this plan: it has")
    trust.allow(commands, plan)


def open_trust() -> Trust:
    """Return what is trusted in this project; say so if that cannot be read."""
    trust = Trust(here())
    if trust.problem:
        say(trust.problem)
    return trust


def _agree(
    trust: Trust, unknown: Sequence[PlanCommand], trusts: bool, asks: bool, because: str
) -> None:
    if not unknown:
        return
    what = counted(len(unknown), "command")
    if trusts:
        say(f"trusted from now on: {what}")
    elif not (asks and can_ask()):
        listed = "\n".join([f"{because} {what} that nobody has agreed to:", *_listed(unknown)])
        raise NotAsked(listed, "nothing was run; --trust agrees to them as they are now")
    else:
        say(f"{because} {what} that you have not agreed to:")
        for line in _listed(unknown):
            say(line)
        if not click.confirm("run them?", default=False, err=True):
            raise UsageError("nothing was run: you did not agree", "mend the plan, or agree")
    trust.allow(unknown)


def _listed(commands: Sequence[PlanCommand]) -> list[str]:
    return [
        line
        for command in commands
        for line in (
            f"  {command.kind} of {shown(command.where)}:",
            *(f"      {escape_whole(part)}" for part in command.command.split("\n")),
        )
    ]


def can_ask() -> bool:
    """Say whether somebody sits at a terminal who can be asked."""
    are_terminals = all(
        stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)
    )
    return are_terminals and is_in_foreground() and not is_in_ci()
