"""``anabranch run``: the main job."""

from __future__ import annotations

import os
from pathlib import Path

import click

from anabranch.config import ON_STDIN
from anabranch.core.plans.consent import commands_of
from anabranch.engine.starting import accept_project, start_run
from anabranch.errors import UsageError
from anabranch_console.cli.consenting import require_unchanged
from anabranch_console.cli.hosting import (
    Wishes,
    finish,
    host_run,
    interrupt_option,
    time_limit_option,
)
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.planning import DEFAULT_PLAN, read_plan, valid_plan, with_choices


class PlanOrCommands(click.Command):
    """A command that knows ``run PLAN`` from ``run -- COMMAND …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, commands = args, list[str]()
        if "--" in args:
            cut = args.index("--")
            own, commands = args[:cut], args[cut + 1 :]
            if not commands:
                raise click.UsageError("give at least one command after --", ctx)
        own, each = _without_items(own)
        if each and not commands:
            raise click.UsageError("give the command for the items after --", ctx)
        rest = super().parse_args(ctx, own)
        ctx.params["commands"] = tuple(commands)
        ctx.params["each"] = each
        return rest

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        usage = "[OPTIONS] [PLAN]\n[OPTIONS] -- COMMAND ...\n--each ITEM ... -- 'COMMAND {item}'"
        usage += "\n--each - -- 'COMMAND {item}'"
        formatter.write_usage(ctx.command_path, usage)


def _without_items(args: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Take each ``--each ITEM …`` out of the arguments; items end where an option begins."""
    args = [word for arg in args for word in _words_of_each(arg)]
    items: tuple[str, ...] = ()
    while "--each" in args:
        at = args.index("--each")
        is_stdin = tuple(args[at + 1 : at + 2]) == ON_STDIN
        rest = range(at + 1, len(args))
        end = at + 2 if is_stdin else next((i for i in rest if args[i][:1] == "-"), len(args))
        if end == at + 1:
            raise click.UsageError("--each needs at least one item")
        items += tuple(args[at + 1 : end])
        args = [*args[:at], *args[end:]]
    if items != ON_STDIN and ON_STDIN[0] in items:
        raise click.UsageError("--each - takes all items from stdin; give no others beside it")
    return args, items


def _words_of_each(arg: str) -> tuple[str, ...]:
    """Return ``--each=ITEM`` as the two words that it stands for, anything else as it is."""
    name, equals, item = arg.partition("=")
    return (name, item) if name == "--each" and equals else (arg,)


def _take_stdin() -> int:
    """Return what items are read from; no program that we start gets it.

    Raises UsageError if nothing can come from there.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        if os.isatty(0):
            raise UsageError("there are no items on stdin: it is a terminal", _PIPE)
        if os.path.samestat(os.fstat(0), os.fstat(nothing)):  # which it also is if it was closed
            raise UsageError(f"there are no items on stdin: it is {os.devnull}", _PIPE)
        source = os.dup(0)
        os.dup2(nothing, 0)
        return source
    finally:
        os.close(nothing)


_PIPE = "pipe them in, a line each: ls | anabranch run --each - -- 'wc {item}'"


@click.command(cls=PlanOrCommands)
@click.argument("plan", required=False)
@click.option("--each", multiple=True, metavar="ITEM ...", help="Items for {item} in COMMAND.")
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@click.option("--keep-going", is_flag=True, help="After a failure, run what does not need it.")
@click.option("--approve", is_flag=True, help="Bring the result to your branch when it converged.")
@click.option(
    "--allow-sensitive", is_flag=True, help="With --approve: also what others run or obey."
)
@click.option("--max-parallel", type=click.IntRange(min=1), metavar="N", help="Streams at once.")
@time_limit_option
@click.option(
    "--trust",
    is_flag=True,
    help="Accept the project's git settings, and commands that "
    "merged work brought into the plan, as they are now.",
)
@interrupt_option
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
def command(
    plan: str | None,
    commands: tuple[str, ...],
    each: tuple[str, ...],
    headless: bool,
    keep_going: bool,
    approve: bool,
    allow_sensitive: bool,
    max_parallel: int | None,
    time_limit: float | None,
    trust: bool,
    on_interrupt: str | None,
    as_json: bool,
) -> None:
    """Run PLAN (anabranch.toml), or the commands given after --.

    Each stream works in its own workspace. With --each ITEM ... a command is run for every item,
    which stands for {item} in it; --each - reads items from stdin, a line each. The result stands
    on the branch anabranch/RUN until you take it. With a terminal this opens the console.
    """
    if plan and commands:
        raise click.UsageError("give either a plan or commands after --, not both")
    found = installed()
    read = read_plan(plan, commands, found.strategies, found.extensions, each)
    loaded = valid_plan(read, as_json)
    items = _take_stdin() if each == ON_STDIN else None
    if trust and (names := accept_project(here())):
        say(f"accepted as they are now: {', '.join(map(shown, names))}")
    path = None if commands else Path(plan or DEFAULT_PLAN).absolute()
    if path is not None:
        require_unchanged(path, commands_of(loaded.plan), trust, asks=not (headless or as_json))
    host = start_run(
        here(),
        with_choices(loaded.plan, keep_going, max_parallel),
        found.strategies,
        plan_path=None if path is None else str(path),
        approve=approve,
        allow_sensitive=allow_sensitive,
        extensions=found.extensions,
        items=items,
    )
    finish(host_run(host, Wishes(headless, as_json, time_limit, on_interrupt)))
