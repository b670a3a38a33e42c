"""``anabranch breakers``: what is kept from failing again and again; close one by hand."""

from __future__ import annotations

import click

from anabranch.core.inputs import ResetBreaker
from anabranch.core.views.projections import breaker_status
from anabranch_console.cli.output import json_option, print_json, run_argument, say, shown
from anabranch_console.cli.reading import found_run
from anabranch_console.cli.steering import steer

REASON = "reset by you"


@click.command
@run_argument
@click.option("--reset", metavar="NAME", help="Close this breaker: what it holds back starts.")
@json_option
def command(run: str | None, reset: str | None, as_json: bool) -> None:
    """List the circuit breakers of RUN (that goes on): one for each command and capability.

    A breaker opens when clearly more fails than is usual. Streams wait then, until one of them has
    tried and got through.
    """
    found, state = found_run("breakers", run)
    if reset is not None:
        state = steer(found.folder, ResetBreaker(breaker=reset, reason=REASON), REASON)
        say(f"the breaker of {shown(reset)} is closed")
    rows = breaker_status(state)
    if as_json:
        print_json({"schema": 1, "run": state.run, "breakers": rows})
        return
    for row in rows:
        rate = f"{row['failures']} of {row['outcomes']} failed"
        usual = f"usual {row['usual_rate']:.0%}"
        click.echo(f"{row['state']:10} {shown(row['breaker'])}: {rate}, {usual}")
        if row["reason"] and row["state"] != "closed":
            held = ", ".join(row["holds_back"]) or "nobody"
            click.echo(f"           {shown(row['reason'])}; holds back {shown(held)}")
    if not rows:
        click.echo("no attempt has ended yet")
