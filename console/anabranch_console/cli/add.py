"""``anabranch add``: one more stream in the run that goes on, or in an open one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from anabranch.config import PlanContext, Wanted, added_stream
from anabranch.config.templates import Template
from anabranch.core.inputs import AddStream
from anabranch.core.plans.consent import PlanCommand, commands_of
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.engine.host import RunHost
from anabranch.engine.resuming import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run, run_that_goes_on
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch.plugins import Loaded
from anabranch_console.cli.consenting import require_consent, trust_option
from anabranch_console.cli.hosting import Wishes, finish, host_run, open_run_with
from anabranch_console.cli.installed import installed
from anabranch_console.cli.made_of import blanks_of, known_templates, template_options
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say
from anabranch_console.cli.planning import open_plan_of, plan_context
from anabranch_console.cli.steering import ask_the_host, have_it_done, state_of


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--name", metavar="N", default="", help="What it is called; else by its command.")
@click.option("--after", metavar="S,..", multiple=True, help="Streams that must succeed before.")
@click.option("--point", metavar="P", default="", help="Where it meets others; else at the end.")
@click.option(
    "--workspace",
    type=click.Choice(["isolated", "clone", "shared"]),
    help="Where it works; else as the others do.",
)
@click.option("--service", is_flag=True, help="It is not expected to end; others wait for ready.")
@click.option("--ports", metavar="NAME,..", multiple=True, help="Names of ports that it gets.")
@click.option(
    "--ready",
    metavar="KEY=VALUE",
    multiple=True,
    help="When a service is ready, by the keys of a plan: port=web, http=/health, timeout=1m.",
)
@click.option(
    "--restart",
    type=click.Choice(["never", "on_failure", "always"]),
    help="When a service that has ended is started again; else on_failure.",
)
@click.option("--tty", is_flag=True, help="Run it on a terminal of its own, to attach to.")
@click.option("--review", is_flag=True, help="Merge it only when you have taken its result.")
@template_options
@trust_option
@click.option("--run", metavar="RUN", help="The run, if not the latest that goes on.")
@click.argument("words", nargs=-1, metavar="-- CMD")
def command(
    name: str,
    after: tuple[str, ...],
    point: str,
    workspace: str | None,
    service: bool,
    ports: tuple[str, ...],
    ready: tuple[str, ...],
    restart: str | None,
    tty: bool,
    review: bool,
    template: str | None,
    prompt: str | None,
    values: tuple[str, ...],
    trust: bool,
    run: str | None,
    words: tuple[str, ...],
) -> None:
    """Add a stream that runs CMD to the run that goes on, or begin an open run with it.

    One word is a text for the shell, several are a command that is run as it is. Where a console
    or another command hosts the run, this one only adds, and ends. Else it hosts the run until
    nothing is left to do; an open run goes on with the next stream that is added.
    """
    if not words and not template:
        raise click.UsageError("give a command after --, or a template")
    if words and not any(word.strip() for word in words):
        raise click.UsageError("the command after -- is empty")
    wanted = Wanted(
        command=words[0] if len(words) == 1 else words,
        template=template or "",
        values=blanks_of(prompt, values),
        name=name,
        after=_parts(after),
        point=point,
        workspace=workspace,  # type: ignore[arg-type]  # click has looked at it
        tty=tty,
        review=review,
        keys=_keys(service, _parts(ports), ready, restart),
    )
    found = installed()
    home = find_run(here(), run) if run is not None else run_that_goes_on(here())
    context = plan_context(found)
    if home is None:
        _begin(wanted, found, context, trust)
    else:
        require_consent(_of_the_template(wanted), trust)
        _add_to(home, wanted, found, context)


def _parts(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for text in given for part in text.split(",") if part)


def _keys(
    is_service: bool, ports: tuple[str, ...], ready: tuple[str, ...], restart: str | None
) -> dict[str, Any]:
    """Return what was said besides, as a plan file says it."""
    pairs = [text.partition("=") for text in ready]
    unclear = next((text for text, equals, _ in pairs if not equals), None)
    if unclear is not None:
        raise click.UsageError(f"--ready {unclear}: is not KEY=VALUE")
    said = {key: int(value) if value.isdecimal() else value for key, _, value in pairs}
    keys = {"kind": "service" if is_service else "", "ports": list(ports), "ready": said}
    return {key: value for key, value in (keys | {"restart": restart}).items() if value}


def _templates(wanted: Wanted) -> Mapping[str, Template]:
    return known_templates(here()) if wanted.template else {}


def _of_the_template(wanted: Wanted) -> tuple[PlanCommand, ...]:
    """Return what has to be agreed to of the template that is wanted."""
    template = _templates(wanted).get(wanted.template)
    return template.asked_about if template else ()


def _stream(plan: Plan, wanted: Wanted, context: PlanContext) -> StreamPlan:
    return added_stream(plan, wanted, context, _templates(wanted))


def _begin(wanted: Wanted, found: Loaded, context: PlanContext, trust: bool) -> None:
    plan = open_plan_of(here(), context)
    stream = _stream(plan, wanted, context)
    require_consent((*commands_of(plan), *_of_the_template(wanted)), trust)
    host = open_run_with(stream, plan, found)
    say(f"no run goes on here: open run {host.run} begins with {stream.id}")
    finish(host_run(host, Wishes(headless=True, leaves_at_rest=True)))


def _add_to(home: RunFolder, wanted: Wanted, found: Loaded, context: PlanContext) -> None:
    adding = AddStream(stream=_stream(state_of(home).plan, wanted, context))
    try:
        host = resume_run(
            home,
            found.strategies,
            reason=f"to add {adding.stream.id}",
            retry_failed=False,
            extensions=found.extensions,
        )
    except AlreadyHosted:
        if not ask_the_host(home, adding):
            _add_to(home, wanted, found, context)
            return
        say(f"added {adding.stream.id} to run {home.run}")
    else:
        _host(host, adding, f"added to run {home.run}:")


def _host(host: RunHost, adding: AddStream, words: str) -> None:
    try:
        have_it_done(host, adding)
    except UsageError:
        host.close()
        raise
    say(f"{words} {adding.stream.id}")
    finish(host_run(host, Wishes(headless=True, leaves_at_rest=True)))
