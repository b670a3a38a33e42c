"""Asks a silent stream for a sign in the way that its plan says: a signal, a line, a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.model.state import State
from anabranch.core.plans.plan import AskPlan
from anabranch.engine.attaching import terminal_record
from anabranch.engine.bounded_command import run_bounded
from anabranch.engine.interference import Interference
from anabranch.engine.performers.launching import stream_environment
from anabranch.engine.performers.processes import Processes
from anabranch.paths import RunFolder
from anabranch.shortage import is_short

COMMAND_SECONDS = 30.0
SHARE_OF_GRACE = 0.5
"""While the command runs nobody can tell who changes files, so it has half of the grace at most."""


async def ask_stream(
    processes: Processes,
    folder: RunFolder,
    state: Callable[[], State],
    effect: fx.AskStream,
    environment: Mapping[str, str],
    interference: Interference,
) -> inputs.Input:
    """Ask, and return how that went; what comes of it shows in the stream's signs of life."""
    way = state().stream_plan(effect.stream).ask
    outcome = "asked"
    if way.signal:
        await processes.signal(effect.stream, effect.attempt, way.signal)
    elif way.line:
        terminal = terminal_record(folder, effect.stream, effect.attempt)
        if terminal is not None and terminal.half_typed:
            outcome = "not asked: a person's half-typed line stands there"
        else:
            line = f"{way.line}\n".encode()
            await processes.write_input(effect.stream, effect.attempt, line)
    elif way.command:
        with interference.at_work_in(effect.stream):
            outcome = await _run(folder, state, effect, way, environment)
    return inputs.StreamAsked(
        stream=effect.stream,
        attempt=effect.attempt,
        way=way.words,
        outcome=outcome,
        cause=effect.cause,
    )


async def _run(
    folder: RunFolder,
    state: Callable[[], State],
    effect: fx.AskStream,
    way: AskPlan,
    environment: Mapping[str, str],
) -> str:
    """Run the plan's command in the stream's workspace, as long as anybody waits for a sign.

    It has no token: a call of its would pass for the stream's.
    """
    seen = state()
    stream = seen.streams[effect.stream]
    if stream.workspace is None:
        return "it has no workspace"
    env = stream_environment(seen, effect.stream, effect.attempt, environment)
    env["ANABRANCH_DIAGNOSIS"] = stream.care.diagnosis
    env["ANABRANCH_PID"] = str(stream.pid or "")
    log = folder.log(effect.stream, effect.attempt).with_suffix(".ask.log")
    try:
        ended = await run_bounded(
            way.command,
            Path(stream.workspace.path),
            env,
            log,
            min(COMMAND_SECONDS, SHARE_OF_GRACE * seen.plan.soft_grace_seconds),
            lambda: state().streams[effect.stream].care.cause != effect.cause,
        )
    except OSError as error:
        if is_short(error.errno):
            raise
        return str(error)
    return ended.reason
