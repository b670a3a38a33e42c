"""``anabranch report``: what a run did, what it cost, what it brought."""

from __future__ import annotations

import click

from anabranch.engine.reporting import build_report, read_report
from anabranch.engine.runs import run_clock
from anabranch_console.cli.output import print_json, run_argument
from anabranch_console.cli.reading import found_run
from anabranch_console.cli.report_text import report_lines, report_markdown


@click.command
@run_argument
@click.option(
    "--format", "form", type=click.Choice(["text", "md", "json"]), default="text", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(run: str | None, form: str, as_json: bool) -> None:
    """Report on RUN (the latest): time, work, overhead, critical path, how each stream ended."""
    found, state = found_run(run)
    report = read_report(found.folder.report) if state.has_ended else None
    if report is None or report.get("run") != state.run:
        now = run_clock(found.folder, state).now()
        report = build_report(found.folder, state, now, {})
    if as_json or form == "json":
        print_json(report)
        return
    for line in report_markdown(report) if form == "md" else report_lines(report):
        click.echo(line)
