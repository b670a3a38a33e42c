"""``anabranch recover``: a remedy of the guardian by hand, or what it would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverHandler, RecoverStream
from anabranch.core.model.state import Stream
from anabranch.core.views.guardian import REMEDIES, forecast, in_words
from anabranch.core.views.handlers import why_not as why_no_handler
from anabranch.core.wording import listing, spelled
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.steering import state_of, steer
from anabranch_console.cli.which_run import run_meant

if TYPE_CHECKING:
    from anabranch.engine.handler_book import Handler

REASON = "asked for by you"


@click.command
@click.argument("stream")
@click.argument("remedy", type=click.Choice(REMEDIES), required=False)
@click.option("--handler", type=click.IntRange(min=0), help="Only this one, of a stream with many.")
@click.option("--run", help="The run; by default the one that goes on.")
@click.option("--dry-run", is_flag=True, help="Say what it would do and why, and do nothing.")
@json_option
def command(
    stream: str,
    remedy: str | None,
    handler: int | None,
    run: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Recover STREAM: soft asks it for a sign; hard ends its processes, keeps its work and starts
    it again; fallback does what the plan says when nothing else has helped.

    With --handler one handler is tried again (ended first, if it runs), and the others stay as they
    are; if the stream has failed, it gets another attempt for that.
    """
    home = run_meant("recover", run, stream)
    if handler is not None:
        if remedy is not None or dry_run:
            given = "--dry-run" if remedy is None else remedy
            hint = "it is ended, if it runs, and tried again"
            raise UsageError(f"{given} is for streams, and --handler for one handler", hint)
        _recover_handler(home, StreamId(stream), handler, as_json=as_json)
        return
    if remedy is None:
        raise UsageError("which remedy?", f"one of {', '.join(REMEDIES)}")
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
        how = f"{spelled(after.public_state)}; run {home.run} is {shown(state.phase)}"
        say(f"{remedy} recovery of {stream}: {how}")


def _recover_handler(home: RunFolder, stream: StreamId, place: int, *, as_json: bool) -> None:
    before = state_of(home)
    if refusal := why_no_handler(before, stream):
        raise UsageError(refusal.reason, refusal.hint)
    found = _handler_to_try(home, before.streams[stream], place)
    after = steer(home, RecoverHandler(stream=stream, handler=place, reason=REASON), REASON)
    if as_json:
        print_json({"schema": 1, "run": home.run, "stream": stream, "handler": place})
        return
    say(f"handler {place} of {stream} is tried again: {shown(found.text)}")
    now = after.streams[stream]
    if now.has_ended:
        say(f"{stream} has {spelled(now.public_state)}: {shown(now.reason)}")


def _handler_to_try(home: RunFolder, stream: Stream, place: int) -> Handler:
    """Return a handler that may be tried again. Raises UsageError with why it may not."""
    from anabranch.engine.handler_output import handler_at
    from anabranch.engine.handler_waits import failed_before

    found = handler_at(home, stream.id, place)
    if found is not None and found.state == "succeeded":
        raise UsageError(
            f"handler {place} of {stream.id} has succeeded", "there is nothing to recover"
        )
    if failed := failed_before(home, stream.id, place):
        names = listing([shown(handler.text) for handler in failed])
        raise UsageError(
            f"handler {place} of {stream.id} comes after {names}, which failed",
            f"anabranch recover {stream.id} --handler {failed[0].place} tries that one again; what "
            "waits behind it follows",
        )
    if found is None:
        rest = "what has not begun begins by itself"
        if stream.has_ended:
            rest = f"anabranch recover {stream.id} hard runs all that are not done"
        raise UsageError(f"{stream.id} has begun no handler {place}", f"they count from 0; {rest}")
    return found
