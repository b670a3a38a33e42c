"""``anabranch gc``: give disk space back."""

from __future__ import annotations

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.cleaning import CleanedRun, clean_run, rescues_of
from anabranch.engine.runs import find_run, run_folders
from anabranch_console.cli.hosting import finish
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, run_argument, say, shown


@click.command
@run_argument
@click.option("--dry-run", is_flag=True, help="Only say which workspaces there are.")
@json_option
def command(run: str | None, dry_run: bool, as_json: bool) -> None:
    """Reclaim the workspaces of RUN, or of every run here that is over.

    A workspace goes only with proof that all it holds is kept elsewhere. What is not is parked
    under refs/anabranch/rescue/ first and listed; what cannot be parked stays, with the reason
    (exit 5).
    """
    homes = [find_run(here(), run)] if run else run_folders(here())
    strategies = installed().strategies
    cleaned = [clean_run(home, strategies, is_rehearsal=dry_run) for home in homes]
    if as_json:
        rescued = [r.ref for r in rescues_of(here())]
        runs = msgspec.to_builtins(cleaned)
        print_json({"schema": SCHEMA, "runs": runs, "rescued": rescued})
    else:
        for done in cleaned:
            _tell(done)
        for rescue in rescues_of(here()):
            click.echo(f"rescued: {rescue.ref} at {rescue.commit[:10]}")
    kept = any(w.outcome == "kept" for done in cleaned for w in done.workspaces)
    finish(exit_codes.WOULD_LOSE_WORK if kept and not dry_run else exit_codes.DONE)


def _tell(done: CleanedRun) -> None:
    if done.skipped:
        say(f"{done.run}: left alone: {shown(done.skipped)}")
        return
    click.echo(f"{done.run}: {len(done.workspaces)} workspaces")
    for workspace in done.workspaces:
        detail = workspace.ref or workspace.reason
        name = f"{workspace.stream}.{workspace.attempt}"
        click.echo(f"  {workspace.outcome:<10} {name:<20} {shown(detail or '')}".rstrip())
