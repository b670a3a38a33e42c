"""``anabranch streams``: a run's streams, one line each."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State, Stream
from anabranch.core.views.accounting import worked_seconds
from anabranch.core.views.attention import Signs, signs_of
from anabranch.core.views.outlook import outlook, with_expectations
from anabranch.core.views.projections import (
    SCHEMA,
    joined_status,
    joined_streams,
    stream_status,
    wall_time,
)
from anabranch.core.wording import duration
from anabranch_console.cli.output import glyph, json_option, print_json, print_table, run_argument
from anabranch_console.cli.reading import found_run, last_moment


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """List the streams of RUN (that goes on) and why each is where it is."""
    found, state = found_run("streams", run)
    now = last_moment(found, state)
    signs = signs_of(state)
    rows = [_planned(state, state.streams[p.id], signs) for p in state.plan.streams]
    rows = with_expectations(rows, state, outlook(state, now), now)
    rows += [joined_status(state, joined) for joined in joined_streams(state)]
    if as_json:
        print_json({"schema": SCHEMA, "run": state.run, "streams": rows})
    else:
        print_streams(state, rows, now)


def _planned(state: State, stream: Stream, signs: Signs) -> dict[str, Any]:
    """Return a stream of the plan with what it can do and how it gets on."""
    seen = stream.liveness
    return {
        **stream_status(state, stream, signs=signs),
        "capabilities": list(state.stream_plan(stream.id).capabilities),
        "liveness": {
            "verdict": seen.verdict,
            "evidence": seen.evidence,
            "status": seen.status,
            "status_time": wall_time(state, seen.status_at),
            "progress": seen.progress,
            "info": seen.info,
        },
    }


def print_streams(state: State, rows: list[dict[str, Any]], now: float) -> None:
    """Print streams as a table; ``now`` is run time, for those that still run."""
    print_table(
        ["STATE", "STREAM", "TRY", "TIME", "FILES", "WHY"],
        [
            [
                f"{glyph(row['state'])} {row['state'].replace('_', ' ')}",
                row["stream"],
                str(row["attempt"] or ""),
                duration(_seconds(state, row["stream"], now)),
                str(row["files_changed"] if row["files_changed"] is not None else ""),
                _why(row),
            ]
            for row in rows
        ],
        state_column=0,
    )


def _seconds(state: State, stream: StreamId, now: float) -> float:
    """Return how long a stream has worked; one that joined, how long it has been there."""
    joined = state.registry.joined.get(stream)
    if joined is None:
        return worked_seconds(state.streams[stream], now)
    return (now if joined.ended_at is None else joined.ended_at) - joined.since


def _why(row: dict[str, Any]) -> str:
    status = row.get("liveness", {}).get("status", "")
    said = (row["reason"], _handlers(row.get("handlers")), status)
    return "; ".join(part for part in said if part)


def _handlers(counts: dict[str, int] | None) -> str:
    """Return how many handlers are done; of how many is only sure once all have ended."""
    if counts is None:
        return ""
    ended = counts["succeeded"] + counts["failed"]
    of = "" if counts["running"] or ended < counts["total"] else f" of {counts['total']:,}"
    parts = [f"{counts['succeeded']:,}{of} handlers done"]
    parts += [f"{counts[how]:,} {how}" for how in ("failed", "running") if counts[how]]
    if counts["not_tried_again"]:
        parts.append(f"{counts['not_tried_again']:,} not tried again")
    return ", ".join(parts)
