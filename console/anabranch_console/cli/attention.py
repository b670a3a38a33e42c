"""``anabranch attention``: who needs a person, why, and since when."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import click
import msgspec

from anabranch.core.ids import RunId, StreamId
from anabranch.core.inputs import LookAt
from anabranch.core.model.state import State
from anabranch.core.views.attention import (
    Attention,
    attention_status,
    in_turn,
    needy,
    of_the_run,
)
from anabranch.core.views.projections import SCHEMA, run_state
from anabranch.core.wording import age
from anabranch.paths import RunFolder
from anabranch_console.cli.output import (
    glyph,
    json_option,
    paint,
    print_json,
    run_argument,
    say,
    shown,
)
from anabranch_console.cli.reading import found_run, known_streams, last_moment
from anabranch_console.cli.which_run import RunsHere

POLL_SECONDS = 0.25
NOBODY = 1
"""The exit code where the run ended before anybody needed a person."""

SIGNS = {
    "blocked": "needs_operator",
    "conflict": "quarantined",
    "stalled": "stalled",
    "unknown": "interrupted",
}
"""As which state of a stream each is drawn; what is done, as what became of it."""


class Needs(NamedTuple):
    """Who needs a person in a run: streams in the order in which they are gone through."""

    streams: list[tuple[str, Attention]]
    others: list[tuple[str, Attention]]

    def is_somebody(self, with_done: bool) -> bool:
        """Say whether somebody needs a person, or is to be looked at if that counts too."""
        return any(
            a.needs_you or (with_done and a.state == "done") for _, a in self.streams + self.others
        )


@click.command
@run_argument
@click.option("--wait", is_flag=True, help="Wait until somebody needs you.")
@click.option("--done", is_flag=True, help="Wait also for who is done and not looked at.")
@click.option("--seen", multiple=True, metavar="STREAM", help="Note that you have looked at it.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str | None,
    wait: bool,
    done: bool,
    seen: tuple[str, ...],
    as_json: bool,
) -> None:
    """List who in RUN (the latest that goes on) needs you: why, since when, and what to type.

    With --wait: 0 as soon as somebody does, 1 if the run ends before. Streams that are over stay
    listed until somebody has looked at them, in a console or by --seen.
    """
    found, state = found_run("attention", run, tells_silence=not wait)
    if seen:
        state = _looked_at(found.folder, known_streams(state, seen))
    is_hosted, needs = found.is_hosted, _needs(state, found.is_hosted)
    if wait:
        state, is_hosted, needs = _awaited(found.folder, done)
    if as_json:
        print_json(_as_json(state, is_hosted, needs))
    else:
        now = last_moment(found, state)
        for name, attention in needs.streams + needs.others:
            _print(
                name, attention, max(0.0, now - attention.since), sign_of(state, name, attention)
            )
        if not needs.streams and not needs.others:
            say(f"nobody in run {state.run} needs you")
    if wait and not needs.is_somebody(done):
        ctx.exit(NOBODY)


def _looked_at(home: RunFolder, streams: list[StreamId]) -> State:
    from anabranch_console.cli.steering import steer  # it brings all that hosting takes

    return steer(home, LookAt(streams=tuple(streams)), "looked at by you", lambda _: True)


def _needs(state: State, is_hosted: bool) -> Needs:
    found, runs = dict(needy(state, is_hosted=is_hosted)), RunsHere()
    streams = [(str(name), _with_run(found[name], state.run, runs)) for name in in_turn(found)]
    return Needs(streams, of_the_run(state, is_hosted=is_hosted))


def _with_run(attention: Attention, run: RunId, runs: RunsHere) -> Attention:
    """Return it with the run named in what is to be typed, where another would be meant."""
    return msgspec.structs.replace(attention, then=runs.named_in(attention.then, run))


def _awaited(home: RunFolder, with_done: bool) -> tuple[State, bool, Needs]:
    """Return the run once somebody in it needs a person, or once it is over."""
    from anabranch.engine.follower import RunFollower  # it brings what a single look does not need

    follower = RunFollower(home)
    try:
        while True:
            state, is_hosted = follower.state, follower.hosting != "nobody"
            needs = _needs(state, is_hosted)
            if needs.is_somebody(with_done) or state.has_ended:
                return state, is_hosted, needs
            time.sleep(POLL_SECONDS)
    finally:
        follower.close()


def _as_json(state: State, is_hosted: bool, needs: Needs) -> dict[str, Any]:
    everybody = dict(needy(state, is_hosted=is_hosted))
    counts = dict.fromkeys(("needs_you", "done"), 0)
    for attention in everybody.values():
        counts["needs_you"] += attention.needs_you
        counts["done"] += attention.state == "done" and not attention.needs_you
    return {
        "schema": SCHEMA,
        "run": state.run,
        "state": run_state(state, is_hosted),
        "counts": counts,
        "streams": [{"stream": n, **attention_status(state, a)} for n, a in needs.streams],
        "others": [{"name": n, **attention_status(state, a)} for n, a in needs.others],
    }


def sign_of(state: State, name: str, attention: Attention) -> str:
    """Return the name of the sign that stands before whoever needs a person, or is done."""
    if attention.state != "done":
        return SIGNS.get(attention.state, "")
    stream = state.streams.get(StreamId(name))
    return "succeeded" if stream is None else stream.public_state


def _print(name: str, attention: Attention, seconds: float, sign: str) -> None:
    word = paint(f"{glyph(sign)} {attention.state:<8}", sign)
    then = f"  > {attention.then}" if attention.then else ""
    click.echo(f"{word}  {shown(name)}  {age(seconds)}  {shown(attention.why, 100)}{shown(then)}")
