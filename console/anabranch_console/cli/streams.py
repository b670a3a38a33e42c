"""``anabranch streams``: a run's streams, one line each."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.accounting import worked_seconds
from anabranch.core.projections import SCHEMA, stream_status
from anabranch.core.state import State
from anabranch.engine.runs import run_clock
from anabranch_console.cli.output import (
    duration,
    glyph,
    json_option,
    print_json,
    print_table,
    run_argument,
)
from anabranch_console.cli.reading import found_run


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """List the streams of RUN (the latest) and why each is where it is."""
    found, state = found_run(run)
    rows = [stream_status(state, state.streams[p.id]) for p in state.plan.streams]
    if as_json:
        print_json({"schema": SCHEMA, "run": state.run, "streams": rows})
    else:
        print_streams(state, rows, run_clock(found.folder, state).now())


def print_streams(state: State, rows: list[dict[str, Any]], now: float) -> None:
    """Print streams as a table; ``now`` is run time, for those that still run."""
    print_table(
        ["STATE", "STREAM", "TRY", "TIME", "FILES", "WHY"],
        [
            [
                f"{glyph(row['state'])} {row['state']}",
                row["stream"],
                str(row["attempt"] or ""),
                duration(worked_seconds(state.streams[row["stream"]], now)),
                str(row["files_changed"] if row["files_changed"] is not None else ""),
                row["reason"],
            ]
            for row in rows
        ],
        state_column=0,
    )
