"""``anabranch race``: several attempts at one task, side by side, of which one is adopted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click
from msgspec.structs import replace

from anabranch.config import LoadedPlan, PlanErrors, StrategyNames, race_plan
from anabranch.config.command_plans import stream_names
from anabranch.config.open_plans import parts_for_all
from anabranch.config.templates import Template, named, table_for_a_person
from anabranch.core.plans.consent import commands_of
from anabranch.core.plans.plan import Plan
from anabranch.engine.durations import read_learned
from anabranch.engine.runs import project_root
from anabranch.engine.starting import start_run
from anabranch.paths import ProjectFolder, project_folder
from anabranch_console.cli.after_dashes import WithWords
from anabranch_console.cli.consenting import require_consent, trust_option
from anabranch_console.cli.hosting import (
    Wishes,
    finish,
    host_run,
    interrupt_option,
    time_limit_option,
)
from anabranch_console.cli.installed import installed
from anabranch_console.cli.made_of import blanks_of, known_templates, template_options
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.planning import auto_parallel, valid_plan, with_choices
from anabranch_console.cli.race_compared import compare

MOST = 100


class RaceOrComparison(WithWords):
    """A command that knows ``race N -- COMMAND …`` from ``race --compare [NAME]``."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        usage = "[OPTIONS] N -- COMMAND ...\n[OPTIONS] N --template NAME --prompt TEXT"
        usage += "\n--compare [NAME] [--run RUN] [--json]"
        formatter.write_usage(ctx.command_path, usage)


@click.command(cls=RaceOrComparison)
@click.argument("what", required=False, metavar="N | [NAME]")
@template_options
@click.option("--name", metavar="NAME", help="What the race is called; the command's by default.")
@click.option("--verify", metavar="CMD", help="Only who passes CMD can be adopted.")
@click.option(
    "--adopt",
    type=click.Choice(["ask", "first", "smallest"]),
    help="Who is adopted: you are asked, the first to succeed, or who changes fewest files.",
)
@click.option("--compare", "compares", is_flag=True, help="Show attempts side by side.")
@click.option(
    "--run", "run", metavar="RUN", help="With --compare: the run; by default the latest with one."
)
@click.option("--headless", is_flag=True, help="No console, even on a terminal.")
@click.option("--max-parallel", type=click.IntRange(min=1), metavar="N", help="Attempts at once.")
@trust_option
@time_limit_option
@interrupt_option
@click.option("--json", "as_json", is_flag=True, help="Print events, or the comparison, as JSON.")
def command(
    what: str | None,
    words: tuple[str, ...],
    template: str | None,
    prompt: str | None,
    values: tuple[str, ...],
    name: str | None,
    verify: str | None,
    adopt: str | None,
    compares: bool,
    run: str | None,
    headless: bool,
    max_parallel: int | None,
    trust: bool,
    time_limit: float | None,
    on_interrupt: str | None,
    as_json: bool,
) -> None:
    """Run the same task N times, isolated from each other, and adopt one of the results.

    When all have ended you are asked which one: anabranch race --compare shows them side by side,
    anabranch adopt NAME.2 takes one. Only that one is merged; the others are kept.
    """
    if compares:
        compare(what, run, as_json)
        return
    count = _count_of(what)
    known = installed()
    table, made_of = _table(words, template, blanks_of(prompt, values))
    point = {"verify": verify} if verify else {}
    options: Mapping[str, Any] = {"options": {"adopt": adopt}} if adopt else {}
    loaded = _plan(
        count, name or _name_of(words, template), table, {**point, **options}, made_of, known
    )
    plan = valid_plan(loaded, as_json).plan
    brought = commands_of(_as_the_project_says(plan, point))
    of_template = made_of.asked_about if made_of else ()
    require_consent((*brought, *of_template), trust, asks=not (headless or as_json))
    host = start_run(
        here(),
        with_choices(plan, False, max_parallel),
        known.strategies,
        plan_path=None,
        approve=False,
        extensions=known.extensions,
    )
    finish(host_run(host, Wishes(headless, as_json, time_limit, on_interrupt)))


def _count_of(what: str | None) -> int:
    if what is None or not what.isdecimal() or not 2 <= int(what) <= MOST:
        given = f", not {what!r}" if what else ""
        raise click.UsageError(f"say how many attempts race: a number from 2 to {MOST}{given}")
    return int(what)


def _name_of(words: tuple[str, ...], template: str | None) -> str:
    if template is not None:
        return template
    return stream_names([words[0] if len(words) == 1 else shlex.join(words)])[0]


def _table(
    words: tuple[str, ...], template: str | None, values: Mapping[str, str]
) -> tuple[dict[str, Any], Template | None]:
    """Return what each attempt does, and the template that it was made of."""
    if template is None:
        if values:
            raise click.UsageError("--prompt and --value are for a --template")
        if not words:
            raise click.UsageError("give a command after --, or a --template")
        return {"command": words[0] if len(words) == 1 else list(words)}, None
    if words:
        raise click.UsageError("give either a --template or a command after --, not both")
    found = named(template, known_templates(here()))
    table = table_for_a_person(found, values)
    command = table["command"]
    text = command if isinstance(command, str) else shlex.join(command)
    say(f"from the template {shown(found.name)} ({shown(found.place)}): {shown(text)}")
    return table, found


def _as_the_project_says(plan: Plan, point: Mapping[str, Any]) -> Plan:
    """Return the plan without the check that was asked for on the command line."""
    if "verify" not in point:
        return plan
    return replace(plan, points=tuple(p for p in plan.points if not p.adopts_one))


def _plan(
    count: int,
    name: str,
    table: Mapping[str, Any],
    point: Mapping[str, Any],
    made_of: Template | None,
    known: Any,
) -> LoadedPlan | PlanErrors:
    parts = parts_for_all(here())
    if isinstance(parts, PlanErrors):
        return parts
    return race_plan(
        count,
        name,
        table,
        point,
        made_of=made_of,
        parts=parts[0],
        known=StrategyNames.of(known.strategies, known.extensions.executors),
        auto_parallel=auto_parallel(),
        learned=read_learned(ProjectFolder(project_folder(project_root(here())))),
    )
