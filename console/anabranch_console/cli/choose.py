"""``anabranch choose``: have another strategy asked from now on, while a run goes on."""

from __future__ import annotations

import click

from anabranch.core.ids import FINAL_POINT, PointId
from anabranch.core.inputs import ChooseStrategy
from anabranch.core.strategies.kinds import CHOICES
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.steering import steer
from anabranch_console.cli.which_run import run_meant

REASON = "chosen by you"


@click.command
@click.argument("kind", type=click.Choice(tuple(CHOICES)))
@click.argument("strategy")
@click.option(
    "--point", help="Which convergence point, for a convergence type; else the final one."
)
@click.option("--run", help="The run; by default the one that goes on.")
@json_option
def command(kind: str, strategy: str, point: str | None, run: str | None, as_json: bool) -> None:
    """Have STRATEGY asked from now on, for what has not been decided yet.

    A load balancer ranks again all that wait for a slot. What has begun goes on as it is.
    """
    home = run_meant("choose", run)
    is_at_points = CHOICES[kind].is_at_points
    if point is not None and not is_at_points:
        raise click.UsageError(f"--point is for convergence types, and a {kind} is the whole run's")
    at = PointId(point or FINAL_POINT) if is_at_points else PointId("")
    chosen = ChooseStrategy(kind=kind, strategy=strategy, point=at, reason=REASON)
    state = steer(home, chosen, REASON, lambda state: True)
    if as_json:
        print_json({"schema": 1, "run": state.run, "kind": kind, "strategy": strategy})
        return
    say(f"{shown(chosen.words)} from now on")
