"""What ``anabranch runs rm`` says and asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.views.projections import SCHEMA
from anabranch.core.wording import counted, disk_size
from anabranch.engine.reaching_layers import leave_unused_layers
from anabranch.engine.removing import RemovedRun, remove_run
from anabranch.engine.retention import chosen, standing
from anabranch.engine.runs import find_run, read_run, run_folders
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.consenting import can_ask
from anabranch_console.cli.hosting import finish
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import print_json, say, shown

MOST_LISTED = 20


def remove_runs(
    names: Sequence[str],
    older_than: float | None,
    states: Sequence[str],
    is_rehearsal: bool,
    may_lose: bool,
    as_json: bool,
) -> None:
    """Remove runs by name, by age (in seconds) and by state; end with the exit code that tells."""
    homes = _meant(names, older_than, states)
    strategies = installed().strategies
    asks = can_ask() and not as_json
    done: list[RemovedRun] = []
    for home in homes:
        one = remove_run(home, strategies, may_lose=may_lose, is_rehearsal=is_rehearsal)
        if not as_json:
            _tell(one)
        if one.outcome == "kept" and asks and click.confirm("lose it?", default=False, err=True):
            one = remove_run(home, strategies, may_lose=True)
            _tell(one)
        done.append(one)
    leave_unused_layers()
    if as_json:
        print_json({"schema": SCHEMA, "runs": msgspec.to_builtins(done)})
    elif not done:
        say("no run is that old")
    outcomes = {one.outcome for one in done}
    lost = exit_codes.WOULD_LOSE_WORK if "kept" in outcomes else exit_codes.DONE
    finish(exit_codes.USAGE if "refused" in outcomes and names else lost)


def _meant(
    names: Sequence[str], older_than: float | None, states: Sequence[str]
) -> list[RunFolder]:
    if not names and older_than is None and not states:
        raise UsageError("no run is named", "name one, or say --older-than 30d or --state failed")
    if names and (older_than is not None or states):
        raise UsageError("runs are named, or chosen by age and state", "leave one of both out")
    if names:
        return list(dict.fromkeys(find_run(here(), name) for name in names))
    found = {home.run: home for home in run_folders(here())}
    known = (standing(read_run(home)) for home in found.values())
    wanted = chosen(known, older_than or 0.0, states)
    return [home for run, home in found.items() if run in wanted]


def _tell(one: RemovedRun) -> None:
    size = disk_size(one.bytes)
    match one.outcome:
        case "refused":
            say(f"{one.run}: left alone: {shown(one.reason)}")
        case "kept":
            say(f"{one.run}: kept, for work would be lost that only it keeps:")
        case "found":
            losing = "; work would be lost that only it keeps:" if one.would_lose else ""
            click.echo(f"{one.run}: would be removed, {size}{losing}")
        case _:
            click.echo(f"{one.run}: removed, {size}")
    for line in _lines(one):
        say(line)


def _lines(one: RemovedRun) -> Iterator[str]:
    for item in one.would_lose[:MOST_LISTED]:
        where = " ".join(filter(None, (item.object[:12], item.ref)))
        yield f"  {shown(f'{where}: {item.what}' if where else item.what)}"
    more = len(one.would_lose) - MOST_LISTED
    if more > 0:
        yield f"  and {counted(more, 'other')}"
    if one.outcome == "kept":
        yield "  bring it to a branch of yours (anabranch approve), or say --lose-work"
    elif one.outcome == "removed" and any(item.object for item in one.would_lose):
        yield "  until git prunes them: git branch NAME COMMIT brings one back"
