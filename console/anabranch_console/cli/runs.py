"""``anabranch runs``: what has been run here."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import click

from anabranch.core.views.projections import SCHEMA, run_summary
from anabranch.core.wording import counted
from anabranch.engine.runs import FoundRun, read_run, run_folders
from anabranch.errors import AnabranchError
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, print_table, say


@click.command
@click.option("--all", "everywhere", is_flag=True, help="The runs of every project.")
@json_option
def command(everywhere: bool, as_json: bool) -> None:
    """List this project's runs, newest first."""
    found = [read_run(folder) for folder in run_folders(None if everywhere else here())]
    rows = [_summary(run) for run in found]
    if as_json:
        print_json({"schema": SCHEMA, "runs": rows})
    elif not rows:
        say("there are no runs in this project; start one with: anabranch run")
        _tell_of_moved_ones()
    else:
        print_table(
            ["RUN", "STATE", "PLAN", "STARTED", "STREAMS", *(["PROJECT"] if everywhere else [])],
            [
                [
                    *(r["run"], r["state"], r["plan"], (r["started"] or "")[:19], _counts(r)),
                    *([_place(r)] if everywhere else []),
                ]
                for r in rows
            ],
            state_column=1,
        )


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
    return ", ".join(f"{count} {state}" for state, count in sorted(row["streams"].items()))
