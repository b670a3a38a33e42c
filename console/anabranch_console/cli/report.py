"""``anabranch report``: what a run did, what it cost, what it brought."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from anabranch.bounded_call import in_words
from anabranch.core.model.state import State
from anabranch.core.views.projections import event_line
from anabranch.engine.reporting import build_report, proved_anew, read_report
from anabranch.engine.runs import records_of
from anabranch.errors import PluginRefused, UsageError
from anabranch.extending import ReportFormat
from anabranch.paths import RunFolder
from anabranch.undisturbed import Misbehaved, asked_undisturbed
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import print_json, run_argument, say, shown
from anabranch_console.cli.reading import found_run, last_moment
from anabranch_console.cli.report_text import report_lines, report_markdown

OWN_FORMATS = ("text", "md", "json")
LIMIT_SECONDS = 60.0


@click.command
@run_argument
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    default="text",
    show_default=True,
    help="text, md, json, junit, trace, or what a plugin brings.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(run: str | None, form: str, as_json: bool) -> None:
    """Report on RUN (that goes on): time, work, overhead, critical path, how each stream ended."""
    other = None if form in OWN_FORMATS else _format(form)
    found, state = found_run("report", run)
    report = read_report(found.folder.report) if state.has_ended else None
    if report is None or report.get("run") != state.run:
        report = build_report(found.folder, state, last_moment(found, state))
    else:
        report = proved_anew(report, found.folder, state)
    if as_json or form == "json":
        print_json(report)
        return
    if other is not None:
        click.echo(_rendered(other, report, _events(found.folder, state)), nl=False)
        return
    for line in report_markdown(report) if form == "md" else report_lines(report):
        click.echo(line)


def _format(name: str) -> ReportFormat:
    formats = installed().extensions.report_formats
    if name not in formats:
        known = [*OWN_FORMATS, *formats]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"formats: {', '.join(known)}"
        raise UsageError(f"there is no report format {name!r}", hint)
    return formats[name]


def _events(folder: RunFolder, state: State) -> list[dict[str, Any]]:
    return [event_line(state, record) for record in records_of(folder)]


def _rendered(form: ReportFormat, report: dict[str, Any], events: list[dict[str, Any]]) -> str:
    did: list[str] = []
    try:
        text = asked_undisturbed(LIMIT_SECONDS, lambda: form.render(report, events), did)
    except Misbehaved as error:
        raise PluginRefused(f"{form.name} made no report: {error}") from None
    except TimeoutError:
        raise PluginRefused(f"{form.name} gave no report within {LIMIT_SECONDS:g} s") from None
    except Exception as error:
        raise PluginRefused(f"{form.name} made no report: {in_words(error)}") from None
    finally:
        for what in did:
            say(f"report format {form.name}: {shown(what)}")
    if not isinstance(text, str):
        raise PluginRefused(f"{form.name} made no report: it answered with {type(text).__name__}")
    return text
