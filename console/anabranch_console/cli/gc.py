"""``anabranch gc``: give disk space back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.views.projections import SCHEMA
from anabranch.core.wording import age, counted, disk_size
from anabranch.engine.caches import MOST_AGE_SECONDS, Aged
from anabranch.engine.cleaning import CleanedRun, clean_caches, clean_run, rescues_of
from anabranch.engine.reaching_layers import leave_unused_layers
from anabranch.engine.runs import find_run, run_folders
from anabranch.errors import UsageError
from anabranch_console.cli.durations import Age
from anabranch_console.cli.hosting import finish
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, run_argument, say, shown

_NAME_CELLS = 20


@click.command
@run_argument
@click.option("--dry-run", is_flag=True, help="Only say what would be given back.")
@click.option("--caches", is_flag=True, help="Also every cache that no workspace stands on.")
@click.option("--older-than", type=Age(), metavar="AGE", help="Only caches unused for so long.")
@json_option
def command(
    run: str | None, dry_run: bool, caches: bool, older_than: float | None, as_json: bool
) -> None:
    """Reclaim the workspaces of RUN, or of every run here that is over.

    A workspace goes only with proof that all it holds is kept elsewhere. What is not is parked
    under refs/anabranch/rescue/ first and listed; what cannot be parked stays, with the reason
    (exit 5). Without RUN, caches go too that nothing has used for 14 days.
    """
    if run is not None and (caches or older_than is not None):
        raise UsageError("caches belong to no run", "leave RUN out, or --caches")
    homes = [find_run(here(), run)] if run else run_folders(here())
    strategies = installed().strategies
    cleaned = [clean_run(home, strategies, is_rehearsal=dry_run) for home in homes]
    leave_unused_layers()
    limit = older_than if older_than is not None else 0.0 if caches else MOST_AGE_SECONDS
    aged = [] if run else clean_caches(here(), limit, is_rehearsal=dry_run)
    if as_json:
        rescued = [r.ref for r in rescues_of(here())]
        runs = msgspec.to_builtins(cleaned)
        outcome = {"runs": runs, "caches": msgspec.to_builtins(aged), "rescued": rescued}
        print_json({"schema": SCHEMA, **outcome})
    else:
        for done in cleaned:
            _tell(done)
        _tell_of_caches(aged, is_whole=caches)
        for rescue in rescues_of(here()):
            click.echo(f"rescued: {rescue.ref} at {rescue.commit[:10]}")
    kept = any(w.outcome == "kept" for done in cleaned for w in done.workspaces)
    finish(exit_codes.WOULD_LOSE_WORK if kept and not dry_run else exit_codes.DONE)


def _tell(done: CleanedRun) -> None:
    if done.skipped:
        say(f"{done.run}: left alone: {shown(done.skipped)}")
        return
    if done.never_begun:
        click.echo(f"{done.run}: its start was killed before it had begun; nothing is kept of it")
        return
    taken = disk_size(sum(w.bytes for w in done.workspaces))
    click.echo(f"{done.run}: {counted(len(done.workspaces), 'workspace')}, {taken}")
    for workspace in done.workspaces:
        detail = "; ".join(filter(None, (workspace.ref, workspace.reason)))
        name = f"{workspace.stream}.{workspace.attempt}"
        size = disk_size(workspace.bytes)
        line = f"  {_in_words(workspace.outcome):<10} {name:<20} {size:>7}  {shown(detail or '')}"
        click.echo(line.rstrip())


def _in_words(outcome: str) -> str:
    """Return what became of something, or would: in a rehearsal it is only found."""
    return "would go" if outcome == "found" else outcome


def _tell_of_caches(aged: Sequence[Aged], *, is_whole: bool) -> None:
    """Say what has gone, and also what has stayed if caches were asked for."""
    for one in aged:
        if one.outcome != "kept" or is_whole:
            name = Path(one.path).name[:_NAME_CELLS]
            detail = one.reason or f"unused for {age(one.age_seconds)}"
            size = disk_size(one.bytes)
            click.echo(f"{one.kind}: {_in_words(one.outcome):<8} {name} {size:>7}  {shown(detail)}")
