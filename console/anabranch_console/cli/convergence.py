"""``anabranch convergence``: where streams meet, who has come, and who is waited for."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.model.state import Point, State
from anabranch.core.views.projections import (
    SCHEMA,
    foreseen_status,
    in_plan_order,
    point_status,
    sync_status,
    wall_time,
)
from anabranch.core.wording import listing
from anabranch_console.cli.output import json_option, print_json, print_table, run_argument, shown
from anabranch_console.cli.reading import found_run


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """List the convergence points of RUN (that goes on): arrived, waited for, merged, left out."""
    _, state = found_run("convergence", run)
    points = [_point(state, point) for point in in_plan_order(state)]
    if as_json:
        foreseen = foreseen_status(state)
        print_json(
            {"schema": SCHEMA, "run": state.run, "convergence": points, "foreseen": foreseen}
        )
        return
    print_table(
        ["STATE", "POINT", "TYPE", "ARRIVED", "WAITING FOR", "MERGED", "QUARANTINED"],
        [
            [
                point["state"],
                point["point"],
                point["type"],
                *(listing(point[part]) or "-" for part in _PARTS),
            ]
            for point in points
        ],
        state_column=0,
    )
    for point in points:
        _tell_more(point)
    for stream in state.streams.values():
        sync = sync_status(state, stream)
        if sync is not None and sync["reason"]:
            click.echo(f"{stream.id}: others' files are {sync['state']}: {shown(sync['reason'])}")
    for found in foreseen_status(state):
        between, paths = " and ".join(found["streams"]), [p["path"] for p in found["paths"]]
        click.echo(f"radar: {between} would conflict in {shown(', '.join(paths))}")


_PARTS = ("arrived", "waiting_for", "merged", "quarantined")


def _point(state: State, point: Point) -> dict[str, Any]:
    """Return a point with the round that gathers there now, by the verb ``arrive``."""
    gathering = point.gathering
    return {
        **point_status(state, point),
        "round": gathering.round,
        "gathering": [
            {
                "stream": arrival.stream,
                "since": wall_time(state, arrival.since),
                "waits": arrival.waits,
                "state": arrival.value,
            }
            for arrival in gathering.arrivals
        ],
    }


def _tell_more(point: dict[str, Any]) -> None:
    if point["reason"]:
        click.echo(f"{point['point']}: {shown(point['reason'])}")
    for arrival in point["gathering"]:
        waits = "waits for the others" if arrival["waits"] else "has gone on"
        click.echo(f"{point['point']}: {arrival['stream']} has arrived and {waits}")
    for out in point["left_out"]:
        click.echo(f"{point['point']}: {shown(out['stream'])} is left out: {shown(out['reason'])}")
    for conflict in point["conflicts"]:
        between = " and ".join(conflict["streams"])
        where = shown(", ".join(conflict["paths"]))
        click.echo(f"{point['point']}: conflict between {between} in {where}")
