"""``anabranch stop``: end a run, or single streams of it, gracefully."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import StopRun, StopStream
from anabranch.core.model.state import RunPhase, State
from anabranch.core.wording import spelled
from anabranch.engine.runs import find_run, run_folders
from anabranch.errors import AnabranchError, UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.main import here
from anabranch_console.cli.output import say
from anabranch_console.cli.reading import known_streams
from anabranch_console.cli.steering import await_state, state_of, steer
from anabranch_console.cli.which_run import run_meant

MARGIN_SECONDS = 20.0
REASON = "stopped by you"


@click.command
@click.argument("names", nargs=-1, metavar="[RUN] [STREAM ...]")
def command(names: tuple[str, ...]) -> None:
    """Stop RUN (the latest that goes on), or only the STREAMs: TERM, their grace, then KILL.

    What they did is kept. A stream that a person stopped is not started again by itself.
    """
    home, streams = _meant(names)
    if streams:
        _stop_streams(home, streams)
    else:
        _stop_run(home)


def _meant(names: Sequence[str]) -> tuple[RunFolder, list[StreamId]]:
    """Return the run and the streams that are meant: a first name may be a run's or a stream's."""
    if not names:
        return run_meant("stop", None), []
    of_this_project = run_folders(here())
    is_run = any(folder.run == names[0] for folder in of_this_project)
    if of_this_project and not is_run:
        goes_on = run_meant("stop", None)
        latest = state_of(goes_on)
        if names[0] in latest.streams or names[0] in latest.registry.joined:
            return goes_on, known_streams(latest, names)
    try:
        home = find_run(here(), names[0])
    except UsageError as error:
        if not of_this_project or any(names[0] in folder.run for folder in of_this_project):
            raise
        running = ", ".join(s.id for s in latest.streams.values() if not s.has_ended)
        hint = f"{error.hint}; its streams that have not ended: {running or 'none'}"
        raise UsageError(f"there is no run and no stream {names[0]!r}", hint) from None
    return home, known_streams(state_of(home), names[1:]) if names[1:] else []


def _stop_run(home: RunFolder) -> None:
    state = state_of(home)
    if _is_over(state):
        say(f"run {home.run} has already ended: {state.phase}")
        return
    try:
        steer(home, StopRun(reason=REASON), REASON)
    except UsageError:
        now = state_of(home)
        if now.stop_reason is None and not _is_over(now):
            raise  # else somebody was quicker, and its end is waited for as well
    after = await_state(home, _is_over, _patience(state))
    if not _is_over(after):
        hint = f"see: anabranch status {home.run}"
        raise AnabranchError(f"run {home.run} is still stopping", hint)
    if after.phase is not RunPhase.STOPPED:
        say(f"run {home.run} has ended before it was stopped: {after.phase}")
    else:
        say(f"run {home.run} is stopped; what its streams did is kept")


def _is_over(state: State) -> bool:
    """Say whether a run has ended for good: one that waits for a person can be stopped."""
    return state.has_ended and state.phase is not RunPhase.NEEDS_OPERATOR


def _stop_streams(home: RunFolder, streams: Sequence[StreamId]) -> None:
    asked = []
    for stream in streams:
        state = state_of(home)
        if _has_ended(state, stream):
            say(f"{stream} has already ended: {state.streams[stream].public_state}")
        else:
            stopping = StopStream(stream=stream, reason=REASON)
            steer(home, stopping, REASON, partial(_has_ended, stream=stream))
            asked.append(stream)
    for stream in asked:
        after = await_state(home, partial(_has_ended, stream=stream), _patience(state))
        if not _has_ended(after, stream):
            hint = f"see: anabranch status {home.run}"
            raise AnabranchError(f"{stream} is still stopping", hint)
        say(f"{stream} is {spelled(after.streams[stream].public_state)}; what it did is kept")


def _has_ended(state: State, stream: StreamId) -> bool:
    return stream in state.streams and state.streams[stream].has_ended


def _patience(state: State) -> float:
    return state.plan.stop_grace_seconds + MARGIN_SECONDS
