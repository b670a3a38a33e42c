"""Runs a plan's teardown in the workspace of an attempt whose work has been kept.

It runs in the stream's environment, without what speaks for the stream, for a bounded time; all
that it has started is ended then. An engine that is killed meanwhile does not end it, and the next
one waits for it: it is run once, unless it was cut off itself, which is told then. Whatever becomes
of it is told and nothing else: the workspace is given back by who does that, who proves by himself
that nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.model.state import State
from anabranch.core.plans.plan import SideCommand
from anabranch.engine.bounded_command import Ended, run_bounded
from anabranch.engine.executing import Executing
from anabranch.engine.masking import masked_last_line
from anabranch.engine.once import Record, command_line, record_in
from anabranch.engine.performers.launching import stream_environment
from anabranch.engine.performers.plan_variables import own_variables
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.performers.workspaces import WorkspaceEffects, working_directory
from anabranch.engine.workspaces.records import read_record
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
LONGEST_SAID = 200
ASKING_SECONDS = 60.0
"""So much longer than two of them take (an earlier engine's, then ours) is the answer awaited."""
CUT_OFF = "it was cut off, and was run again from the beginning"


async def tear_down(
    workspaces: WorkspaceEffects,
    folder: RunFolder,
    state: State,
    effect: fx.TearDown,
    environment: Mapping[str, str],
    executing: Executing,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> inputs.TeardownDone:
    """Run it, and return how it ended; it is over then, whatever has hindered it."""
    began = time.monotonic()
    try:
        ended = await _run(
            workspaces, folder, state, effect, environment, executing, timeout_seconds
        )
    except asyncio.CancelledError:
        raise
    except Exception as error:  # a bad environment, no workspace, no process: nobody waits for it
        _log.warning("the teardown of %s.%s: %s", effect.stream, effect.attempt, error)
        ended = Ended(None, f"it could not be run: {error}")
    failure = "" if ended.reason in ("", "exit 0") else ended.reason
    said = masked_last_line(folder.teardown_log(effect.stream, effect.attempt)).strip()
    if failure and ended.exit_code is not None and said:
        failure = f"{failure}: {utf8_text(said)[:LONGEST_SAID]}"
    return inputs.TeardownDone(
        stream=effect.stream,
        attempt=effect.attempt,
        exit_code=ended.exit_code,
        seconds=round(time.monotonic() - began, 3),
        failure=utf8_text(failure),
        cause=effect.cause,
    )


async def _run(
    workspaces: WorkspaceEffects,
    folder: RunFolder,
    state: State,
    effect: fx.TearDown,
    environment: Mapping[str, str],
    executing: Executing,
    timeout_seconds: float,
) -> Ended:
    plan = state.stream_plan(effect.stream)
    place = await asyncio.to_thread(_workspace, workspaces, state, effect)
    if plan.teardown is None or place is None:
        return Ended(0, "")  # its workspace is gone
    spec = await asyncio.to_thread(
        _spec, state, effect, plan.teardown, place, workspaces.prefix, environment, folder
    )
    if plan.executor:
        spec = await asyncio.to_thread(executing.applied, plan, spec)
    log = folder.teardown_log(effect.stream, effect.attempt)
    record = folder.teardown_record(effect.stream, effect.attempt)
    await asyncio.to_thread(record.parent.mkdir, parents=True, exist_ok=True)
    argv = command_line(record, timeout_seconds, tuple(spec.argv))
    longest = 2 * timeout_seconds + ASKING_SECONDS
    asked = await run_bounded(argv, Path(spec.cwd), spec.env, log, longest)
    return _in_words(await asyncio.to_thread(record_in, record), asked)


def _in_words(found: Record | None, asked: Ended) -> Ended:
    """Return how it ended, and whether it may have been run in part before."""
    if found is None or not found.reason:
        what = asked.reason if asked.exit_code is None else "what ran it was ended"
        return Ended(None, f"nobody knows how it ended: {what}")
    if found.cut_off:
        return Ended(found.exit_code, f"{CUT_OFF} ({found.reason})")
    return Ended(found.exit_code, found.reason)


def _workspace(workspaces: WorkspaceEffects, state: State, effect: fx.TearDown) -> Path | None:
    """Return where an attempt has worked; None if that has been given back."""
    record = read_record(workspaces.repository, state.run, effect.stream, effect.attempt)
    return record.path if record is not None and record.path.is_dir() else None


def _spec(
    state: State,
    effect: fx.TearDown,
    teardown: SideCommand,
    workspace: Path,
    prefix: str,
    environment: Mapping[str, str],
    folder: RunFolder,
) -> ProcessSpec:
    given = own_variables(state, effect.stream, prefix, folder)
    env = stream_environment(state, effect.stream, effect.attempt, environment) | given
    cwd = working_directory(workspace, prefix, teardown.working_dir)
    own = {"ANABRANCH_WORKSPACE": str(workspace)}
    return ProcessSpec(effect.stream, effect.attempt, teardown.argv, str(cwd), env | own)
