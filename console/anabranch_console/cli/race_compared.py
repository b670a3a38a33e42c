"""``anabranch race --compare``: attempts at one task side by side."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.adoption import Racer, racers_at, races
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.differences import DifferenceReader
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.errors import AnabranchError, UsageError
from anabranch_console.cli.output import print_json, print_table, say, shown
from anabranch_console.cli.reading import found_run, last_moment
from anabranch_console.cli.which_run import with_run_named
from anabranch_console.presenters.race_lines import Counts, facts_of


def compare(name: str | None, run: str | None, as_json: bool) -> None:
    """Print the races of a run, or one of them. Raises UsageError if there is none."""
    found, state = found_run("race", run)
    reach_layers_of(found.folder)
    known = races(state)
    if not known:
        raise UsageError(f"run {state.run} has no race", "anabranch race N -- COMMAND runs one")
    if name is not None and name not in known:
        raise UsageError(
            f"run {state.run} has no race called {name!r}", f"races: {', '.join(known)}"
        )
    now = last_moment(found, state)
    wanted = known if name is None else [PointId(name)]
    rows = {point: racers_at(state, point, now) for point in wanted}
    lines = _lines(state, [racer for racers in rows.values() for racer in racers])
    if as_json:
        races_found = [_as_json(state, point, racers, lines) for point, racers in rows.items()]
        print_json({"schema": SCHEMA, "run": state.run, "races": races_found})
        return
    for point, racers in rows.items():
        _print(state, point, racers, lines)


def _lines(state: State, racers: list[Racer]) -> Counts:
    found: dict[StreamId, tuple[int, int]] = {}
    with DifferenceReader(state) as reader:
        for racer in racers:
            try:
                seen = reader.read(state, racer.stream, with_lines=False)
            except AnabranchError:
                continue  # it has not begun, or its work cannot be read now
            found[racer.stream] = (seen.found.added, seen.found.removed)
    return found


def _as_json(state: State, point: PointId, racers: list[Racer], lines: Counts) -> dict[str, Any]:
    known = state.points[point]
    return {
        "race": point,
        "state": known.phase.value,
        "reason": known.reason,
        "adopted": known.adoption.adopted,
        "asks_to_adopt": list(known.adoption.asked),
        "verify": state.point_plan(point).verify or None,
        "attempts": [
            {
                **racer.as_json,
                "added": lines[racer.stream][0] if racer.stream in lines else None,
                "removed": lines[racer.stream][1] if racer.stream in lines else None,
            }
            for racer in racers
        ],
    }


def _print(state: State, point: PointId, racers: list[Racer], lines: Counts) -> None:
    known = state.points[point]
    click.echo(f"{point}: {shown(known.reason)}")
    print_table(
        ["STANDS", "ATTEMPT", "FILES", "LINES", "VERIFY", "TIME", "EXIT", "WHY"],
        [_row(state, point, racer, lines) for racer in racers],
    )
    for racer in racers:
        if racer.check is not None and racer.check.log:
            say(f"what the check said of {racer.stream}: {shown(racer.check.log)}")
    if known.adoption.asked:
        adopt = with_run_named(f"anabranch adopt {known.adoption.asked[0]}", state.run)
        say(f"take one with: {adopt}")


def _row(state: State, point: PointId, racer: Racer, counts: Counts) -> list[str]:
    facts = facts_of(racer, counts, bool(state.point_plan(point).verify))
    return [racer.standing, racer.stream, *facts, racer.reason]
