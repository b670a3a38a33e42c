"""``anabranch runs``: what has been run here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import click

from anabranch.core.views.projections import SCHEMA, run_summary
from anabranch.core.views.rest import run_in_words
from anabranch.core.wording import counted
from anabranch.engine.disk_use import in_words, run_use, shared_use
from anabranch.engine.retention import ENDINGS
from anabranch.engine.runs import FoundRun, read_run, run_folders
from anabranch.errors import AnabranchError
from anabranch_console.cli import sinks
from anabranch_console.cli.durations import Age
from anabranch_console.cli.main import here
from anabranch_console.cli.meaning import KnownCommands
from anabranch_console.cli.output import json_option, print_json, print_table, say


@click.group(cls=KnownCommands, invoke_without_command=True)
@click.option("--all", "everywhere", is_flag=True, help="The runs of every project.")
@click.option("--sizes", is_flag=True, help="Also how much of the disk each takes.")
@json_option
@click.pass_context
def command(ctx: click.Context, everywhere: bool, sizes: bool, as_json: bool) -> None:
    """List this project's runs, newest first; `runs rm` removes some that are over."""
    if ctx.invoked_subcommand is not None:
        if isinstance(ctx.obj, sinks.Streams):
            ctx.obj.out.is_essential = False  # what it does is done, whoever listens
        return
    found = [read_run(folder) for folder in run_folders(None if everywhere else here())]
    rows = [_summary(run) for run in found]
    if sizes:
        for run, row in zip(found, rows, strict=True):
            row["bytes"] = run_use(run.folder)
    shared = _shared_bytes(found) if sizes else None
    if as_json:
        print_json({"schema": SCHEMA, "runs": rows, **({"shared_bytes": shared} if sizes else {})})
    elif not rows:
        say("there are no runs in this project; start one with: anabranch run")
        _tell_of_moved_ones()
    else:
        print_table(
            [
                "RUN",
                "STATE",
                "PLAN",
                "STARTED",
                "STREAMS",
                *(["DISK"] if sizes else []),
                *(["PROJECT"] if everywhere else []),
            ],
            [
                [
                    *(
                        r["run"],
                        _state_in_words(run, r),
                        r["plan"],
                        (r["started"] or "")[:19],
                        _counts(r),
                    ),
                    *([in_words(r["bytes"])] if sizes else []),
                    *([_place(r)] if everywhere else []),
                ]
                for run, r in zip(found, rows, strict=True)
            ],
            state_column=1,
        )
        if shared:
            say(f"for all runs together: {in_words(shared)}")


def _shared_bytes(found: Iterable[FoundRun]) -> dict[str, int]:
    """Return what is kept for all runs of these projects, by what it is."""
    sums: Counter[str] = Counter()
    for project in {run.folder.project for run in found}:
        sums.update(shared_use(project))
    return dict(sums)


def _state_in_words(run: FoundRun, row: dict[str, Any]) -> str:
    return row["state"] if run.state is None else run_in_words(run.state, run.is_hosted)


def _place(row: dict[str, Any]) -> str:
    """Return where a run's project lies, and whether it is there."""
    project = row["project"]
    return f"{project} (gone)" if project and not os.path.isdir(project) else project


def _tell_of_moved_ones() -> None:
    """Say that the project has runs from where it lay before, if it has."""
    from anabranch.engine.git_leftovers import moved_runs  # a list of runs does not need it

    with suppress(AnabranchError):
        moved = moved_runs(here())
        if moved:
            say(f"this repository has {counted(len(moved), 'run')} from where it lay before;")
            say("anabranch runs --all lists them, anabranch doctor says more")


def _summary(found: FoundRun) -> dict[str, Any]:
    if found.state is not None:
        return run_summary(found.state, found.is_hosted)
    return {
        "run": found.folder.run,
        "plan": "",
        "project": "",
        "state": "unreadable",
        "reason": found.fault,
        "started": None,
        "ended": None,
        "streams": {},
    }


def _counts(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in sorted(row["streams"].items())
    )


@command.command("rm")
@click.argument("runs", nargs=-1, metavar="[RUN]..")
@click.option("--older-than", type=Age(), metavar="AGE", help="All that are over for so long.")
@click.option(
    "--state", "states", type=click.Choice(ENDINGS), multiple=True, help="All that ended so."
)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and what would be lost.")
@click.option("--lose-work", is_flag=True, help="Remove them though work is kept nowhere else.")
@json_option
def remove(
    runs: tuple[str, ...],
    older_than: float | None,
    states: tuple[str, ...],
    dry_run: bool,
    lose_work: bool,
    as_json: bool,
) -> None:
    """Remove runs that are over: journal, logs, refs, branch and workspaces.

    One goes if all its work is kept by your branches, tags or remote-tracking refs. What is not is
    listed and asked about; without a terminal the run stays (exit 5) unless --lose-work is given.
    A removal that was interrupted goes on with the same command.
    """
    from anabranch_console.cli.removing import remove_runs

    remove_runs(runs, older_than, states, dry_run, lose_work, as_json)
