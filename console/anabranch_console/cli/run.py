"""``anabranch run``: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from anabranch.engine.hosting import accept_project, start_run
from anabranch_console.cli.hosting import Wishes, finish, host_run, interrupt_option
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.planning import DEFAULT_PLAN, read_plan, valid_plan, with_choices


class PlanOrCommands(click.Command):
    """A command that tells ``run PLAN`` from ``run -- COMMAND …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, commands = args, list[str]()
        if "--" in args:
            cut = args.index("--")
            own, commands = args[:cut], args[cut + 1 :]
            if not commands:
                raise click.UsageError("give at least one command after --", ctx)
        rest = super().parse_args(ctx, own)
        ctx.params["commands"] = tuple(commands)
        return rest

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [PLAN]\n[OPTIONS] -- COMMAND ...")


class Duration(click.ParamType[float]):
    """Seconds, or ``90s``, ``10m``, ``2h``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from anabranch.config.values import duration_seconds

        try:
            text = str(value)
            seconds = float(text) if text.replace(".", "", 1).isdigit() else duration_seconds(text)
        except ValueError:
            self.fail(f"{value!r} is not a duration; write 90s, 10m or 2h", param, ctx)
        if seconds <= 0:
            self.fail("it must be longer than 0 seconds", param, ctx)
        return seconds


@click.command(cls=PlanOrCommands)
@click.argument("plan", required=False)
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@click.option("--keep-going", is_flag=True, help="After a failure, run what does not need it.")
@click.option("--approve", is_flag=True, help="Bring the result to your branch when it converged.")
@click.option(
    "--allow-sensitive", is_flag=True, help="With --approve: also what others run or obey."
)
@click.option("--max-parallel", type=click.IntRange(min=1), metavar="N", help="Streams at once.")
@click.option("--time-limit", type=Duration(), help="Stop the run after this long (exit 124).")
@click.option("--trust", is_flag=True, help="Accept the project's git settings as they are now.")
@interrupt_option
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
def command(
    plan: str | None,
    commands: tuple[str, ...],
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

    Each stream works in its own workspace. The result stands on the branch anabranch/RUN until you
    take it. With a terminal this opens the console.
    """
    if plan and commands:
        raise click.UsageError("give either a plan or commands after --, not both")
    found = installed()
    loaded = valid_plan(read_plan(plan, commands, found.strategies, found.extensions), as_json)
    if trust and (names := accept_project(here())):
        say(f"accepted as they are now: {', '.join(map(shown, names))}")
    host = start_run(
        here(),
        with_choices(loaded.plan, keep_going, max_parallel),
        found.strategies,
        plan_path=None if commands else str(Path(plan or DEFAULT_PLAN).absolute()),
        approve=approve,
        allow_sensitive=allow_sensitive,
        extensions=found.extensions,
    )
    finish(host_run(host, Wishes(headless, as_json, time_limit, on_interrupt)))
