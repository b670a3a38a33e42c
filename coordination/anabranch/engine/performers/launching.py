"""What a stream's process gets to see: its command, folder, environment and log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.checkpoints import NONE
from anabranch.core.model.state import HandedBack, State
from anabranch.core.plans.plan import StreamPlan
from anabranch.engine.ceilings import ceilings_of, way
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.performers.workspaces import working_directory
from anabranch.env_files import read_env_files
from anabranch.paths import RunFolder

MOST_PATHS_NAMED = 100


def launch_spec(
    state: State,
    stream: StreamId,
    attempt: Attempt,
    environment: Mapping[str, str],
    prefix: str,
    variables: Callable[[StreamId, Attempt, str], Mapping[str, str]],
    run: RunFolder,
) -> ProcessSpec:
    """Return what to run for an attempt.

    Raises OSError if its working folder is not to be had, BadEnvFile.

    ``variables`` returns what the gateway adds for an attempt, given the PATH it would have.
    """
    plan = state.stream_plan(stream)
    workspace = state.streams[stream].workspace
    assert workspace is not None, "a stream starts in a prepared workspace"
    folder = Path(workspace.path)
    given = own_variables(state, stream, prefix)
    env = stream_environment(state, stream, attempt, environment) | given
    return ProcessSpec(
        stream=stream,
        attempt=attempt,
        argv=plan.command,
        cwd=str(working_directory(folder, prefix, plan.working_dir)),
        env=env | dict(variables(stream, attempt, env.get("PATH", ""))),
        tty=plan.tty,
        ceilings=ceilings_of(state, stream, run.attempt_name(stream, attempt), way())
        if plan.limits
        else {},
    )


def own_variables(state: State, stream: StreamId, prefix: str) -> dict[str, str]:
    """Return the variables that a plan gives a stream. Raises OSError, BadEnvFile."""
    plan = state.stream_plan(stream)
    return read_env_files(Path(state.project, prefix), plan.env_files) | plan.env


def stream_environment(
    state: State, stream: StreamId, attempt: Attempt, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment a stream runs in: the user's, and who and where it is.

    A Python program buffers its output when that is a file; unless the user says otherwise it is
    told not to, so that the log is live.
    """
    workspace = state.streams[stream].workspace
    handed_back = state.streams[stream].handed_back
    return {
        "PYTHONUNBUFFERED": "1",
        **environment,
        "ANABRANCH_RUN": state.run,
        "ANABRANCH_STREAM": stream,
        "ANABRANCH_ATTEMPT": str(attempt),
        "ANABRANCH_WORKSPACE": workspace.path if workspace else "",
        "ANABRANCH_HEARTBEAT_SECONDS": f"{report_every_seconds(state.stream_plan(stream)):g}",
        **_restored_in_env(state, stream),
        **({"ANABRANCH_CONFLICT": conflict_in_json(handed_back)} if handed_back else {}),
    }


def report_every_seconds(plan: StreamPlan) -> float:
    """Return how often a stream is to report: as its plan says, and always well before it is late.

    A stream that sends heartbeats is judged by them alone, so one must not be due after the time
    at which its silence counts as a stall.
    """
    return min(plan.heartbeat_interval_seconds, plan.heartbeat_timeout_seconds / 2)


def _restored_in_env(state: State, stream: StreamId) -> dict[str, str]:
    """Return which checkpoint's files are there already, so that the command can go on from it."""
    number = state.streams[stream].restored
    if not number:
        return {}
    taken = state.checkpoints.get(stream, NONE).taken
    label = next((t.label for t in taken if t.number == number), "")
    return {
        "ANABRANCH_CHECKPOINT": str(number),
        "ANABRANCH_CHECKPOINT_LABEL": label.replace("\0", ""),
    }


def conflict_in_json(given: HandedBack) -> str:
    """Return the conflict that an attempt does its work again for, short enough for a variable."""
    facts = {
        "streams": list(given.conflict.streams),
        "paths": [p.path for p in given.conflict.paths[:MOST_PATHS_NAMED]],
        "before": given.commit,
    }
    return msgspec.json.encode(facts).decode()
