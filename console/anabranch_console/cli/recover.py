"""``anabranch recover``: a remedy of the guardian by hand, or what it would do."""

from __future__ import annotations

import click
import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverStream
from anabranch.core.views.guardian import REMEDIES, forecast, in_words
from anabranch.engine.runs import find_run
from anabranch.errors import UsageError
from anabranch_console.cli.main import here
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.steering import state_of, steer

REASON = "asked for by you"


@click.command
@click.argument("stream")
@click.argument("remedy", type=click.Choice(REMEDIES))
@click.option("--run", help="The run; the latest by default.")
@click.option("--dry-run", is_flag=True, help="Say what it would do and why, and do nothing.")
@json_option
def command(stream: str, remedy: str, run: str | None, dry_run: bool, as_json: bool) -> None:
    """Recover STREAM: soft asks it for a sign; hard ends its processes, keeps its work and starts
    it again; fallback does what the plan says when nothing else has helped.
    """
    home = find_run(here(), run)
    expected = forecast(state_of(home), StreamId(stream), remedy)
    if dry_run:
        if as_json:
            print_json({"schema": 1, "run": home.run, **msgspec.to_builtins(expected)})
        elif not expected.refusal:
            for line in in_words(expected):
                click.echo(line)
        if expected.refusal and not as_json:
            raise UsageError(expected.refusal, expected.hint)
        return
    recovering = RecoverStream(stream=StreamId(stream), remedy=remedy, reason=REASON)
    state = steer(home, recovering, REASON)
    after = state.streams[StreamId(stream)]
    if as_json:
        facts = {"stream": stream, "remedy": remedy, "state": after.public_state}
        print_json({"schema": 1, "run": home.run, **facts, "reason": after.reason})
    else:
        how = f"{after.public_state}; run {home.run} is {shown(state.phase)}"
        say(f"{remedy} recovery of {stream}: {how}")
