"""``anabranch send``: type a line into a stream's terminal, and say what became of it."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import click

from anabranch import exit_codes
from anabranch.core.ids import StreamId
from anabranch.core.inputs import SendInput
from anabranch.core.model.state import State
from anabranch.core.model.terminal import LONGEST_LINE_BYTES, TOO_LONG, Input
from anabranch.errors import AnabranchError, UsageError
from anabranch_console.cli.output import json_option, print_json, say, shown
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.steering import await_state, steer
from anabranch_console.cli.which_run import with_run_named

REASON = "something was sent to one of its streams"
VERDICT_SECONDS = 20.0
CODES = {"delivered": 0, "refused": exit_codes.FAILED}


@click.command
@click.argument("stream")
@click.argument("text", nargs=-1)
@click.option("--run", help="The run; by default the one that goes on.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, stream: str, text: tuple[str, ...], run: str | None, as_json: bool
) -> None:
    """Type TEXT and Enter into the terminal of STREAM (`tty = true`); without TEXT only Enter.

    Says what became of it: 0 delivered, which is read to the last byte; 1 refused, and not a byte
    was typed; 4 stalled, not read within five seconds, or unknown. It stands in the journal.
    """
    found, state = found_run("send", run, stream)
    name = known_streams(state, [stream])[0]
    if state.has_ended:
        hint = with_run_named(f"anabranch logs {stream}", state.run)
        raise UsageError(f"{stream} does not run: the run has ended", hint)
    if len(" ".join(text).encode("utf-8", "surrogatepass")) > LONGEST_LINE_BYTES:
        _refuse_for_length(state, name, as_json=as_json)
        ctx.exit(exit_codes.FAILED)
    request = f"send-{uuid4().hex}"
    is_known = partial(_is_known, name, request)
    sending = SendInput(stream=name, text=" ".join(text), request=request)
    after = steer(found.folder, sending, REASON, is_known)
    if not is_known(after):
        after = await_state(found.folder, is_known, VERDICT_SECONDS)
    outcome = after.streams[name].terminal.sent(request)
    if outcome is None or outcome.verdict is None:
        raise AnabranchError(
            f"nobody says yet what became of it; see: anabranch events {run or ''}"
        )
    _tell(after, name, outcome, as_json=as_json)
    ctx.exit(CODES.get(outcome.verdict, exit_codes.NEEDS_OPERATOR))


def _is_known(stream: StreamId, request: str, state: State) -> bool:
    found = state.streams[stream].terminal.sent(request)
    return found is not None and found.verdict is not None


def _refuse_for_length(state: State, stream: StreamId, *, as_json: bool) -> None:
    """Refuse before anybody is asked: what is far too long would not even reach the host."""
    why, hint = TOO_LONG
    attempt = state.streams[stream].attempt
    refused = Input(0, "", attempt, "", state.at, "refused", evidence=why, hint=hint)
    _tell(state, stream, refused, as_json=as_json)


def _tell(state: State, stream: StreamId, outcome: Input, *, as_json: bool) -> None:
    if as_json:
        facts = {"verdict": outcome.verdict, "why": outcome.evidence, "hint": outcome.hint or None}
        print_json({"schema": 1, "run": state.run, "stream": stream, **facts})
        return
    say(f"{outcome.verdict}: {shown(outcome.evidence)}")
    if outcome.hint:
        say(f"  {shown(with_run_named(outcome.hint, state.run))}")
