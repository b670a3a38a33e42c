"""``anabranch locks``: who holds what, who waits for whom, and what has gone wrong."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.model.state import State
from anabranch.core.views.locks import locks_as_json
from anabranch.core.wording import duration
from anabranch.engine.runs import FoundRun
from anabranch_console.cli.output import json_option, print_json, print_table, run_argument, shown
from anabranch_console.cli.reading import found_run, last_moment


@click.command
@run_argument
@json_option
def command(run: str | None, as_json: bool) -> None:
    """List the locks of RUN (that goes on), the waits of its last minute, deadlocks, violations."""
    found, state = found_run("locks", run)
    listed = {**locks_as_json(state, _last_moment(found, state)), "run": state.run}
    if as_json:
        print_json(listed)
        return
    _print_locks(listed["locks"])
    _print_contentions(listed["contentions"])
    for cycle in listed["cycles"]:
        edges = (f"{e['stream']} waits for {e['waits_for']} ({e['what']})" for e in cycle)
        click.echo(f"deadlock, broken: {shown('; '.join(edges))}")
    for wrong in listed["violations"]:
        allowed = " (allowed by you)" if wrong["allowed"] else ""
        write = f"{wrong['stream']} wrote {wrong['path']}: {wrong['reason']}"
        click.echo(f"violation{allowed}: {shown(write)}")


def _last_moment(found: FoundRun, state: State) -> float:
    """Return the moment whose last minute counts: now, or the end of a run that is over."""
    if state.has_ended or not found.is_hosted:
        return state.at
    return last_moment(found, state)


def _print_locks(locks: list[dict[str, Any]]) -> None:
    if not locks:
        click.echo("no lock is held, and nobody waits for one")
        return
    rows = []
    for lock in locks:
        path = lock["path"]
        for holder in lock["holders"]:
            since = _clock(holder["since"])
            rows.append([path, holder["mode"], "holds", holder["stream"], _fence(holder), since])
            path = ""
        for holder in lock["held_over"]:
            grant = f"{holder['path']}, {_fence(holder)}"
            since = _clock(holder["since"])
            rows.append([path, holder["mode"], "held by", holder["stream"], grant, since])
            path = ""
        for waiting in lock["waiting"]:
            place, since = f"#{waiting['position']}", _clock(waiting["since"])
            rows.append([path, waiting["mode"], "waits", waiting["stream"], place, since])
            path = ""
    print_table(["PATH", "MODE", "", "STREAM", "FENCE/PLACE", "SINCE"], rows)


def _print_contentions(waits: list[dict[str, Any]]) -> None:
    if not waits:
        return
    click.echo()
    print_table(
        ["WAITED", "FOR", "STREAM", "HELD BY", "OUTCOME"],
        [
            [duration(w["waited_seconds"]), w["path"], w["stream"], w["holder"], w["outcome"]]
            for w in waits
        ],
    )


def _fence(holder: dict[str, Any]) -> str:
    return f"fence {holder['fence']}"


def _clock(time: str) -> str:
    """Return the time of day in a timestamp, in UTC."""
    return time[11:19] + "Z"
