"""What a stream's process gets to see: its command, folder, environment and log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.checkpoints import NONE
from anabranch.core.model.reviews import HandedBack
from anabranch.core.model.state import State
from anabranch.core.plans.plan import StreamPlan, variable_of
from anabranch.engine.ceilings import ceilings_of, way
from anabranch.engine.performers.plan_variables import own_variables
from anabranch.engine.performers.processes import ProcessSpec, SetupSpec
from anabranch.engine.performers.reviewing import command_after_review, review_in_env
from anabranch.engine.performers.workspaces import working_directory
from anabranch.paths import RunFolder

MOST_PATHS_NAMED = 100
TERM = "xterm-256color"
"""What terminals of streams are, unless the plan says otherwise."""


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
    workspace = state.at_attempt(stream, attempt).workspace
    assert workspace is not None, "a stream starts in a prepared workspace"
    folder = Path(workspace.path)
    given = own_variables(state, stream, prefix, run) | review_in_env(state, stream, attempt, run)
    outer = _on_terminal(environment) if plan.tty else environment
    env = stream_environment(state, stream, attempt, outer) | given
    return ProcessSpec(
        stream=stream,
        attempt=attempt,
        argv=command_after_review(state, stream),
        cwd=str(working_directory(folder, prefix, plan.working_dir)),
        env=env | dict(variables(stream, attempt, env.get("PATH", ""))),
        tty=plan.tty,
        setup=_setup_spec(state, stream, attempt, folder, prefix),
        ceilings=ceilings_of(state, stream, run.attempt_name(stream, attempt), way())
        if plan.limits
        else {},
    )


def _setup_spec(
    state: State,
    stream: StreamId,
    attempt: Attempt,
    workspace: Path,
    prefix: str,
) -> SetupSpec | None:
    """Return what makes a workspace ready; one that was taken over is: it was for another stream.

    Raises OSError if its working folder is not to be had.
    """
    plan = state.stream_plan(stream)
    if plan.setup is None or state.at_attempt(stream, attempt).goes_on_from:
        return None
    folder = working_directory(workspace, prefix, plan.setup.working_dir)
    return SetupSpec(plan.setup.argv, str(folder), plan.setup_timeout_seconds)


def surroundings_of(
    state: State,
    stream: StreamId,
    attempt: Attempt,
    environment: Mapping[str, str],
    prefix: str,
    run: RunFolder,
) -> tuple[dict[str, str], Path]:
    """Return the environment of an attempt, without its token, and where its command runs.

    Raises OSError, BadEnvFile.
    """
    plan, workspace = state.stream_plan(stream), state.at_attempt(stream, attempt).workspace
    assert workspace is not None, "it has a workspace as long as it is at work"
    env = stream_environment(state, stream, attempt, environment)
    folder = working_directory(Path(workspace.path), prefix, plan.working_dir)
    return env | own_variables(state, stream, prefix, run), folder


def stream_environment(
    state: State, stream: StreamId, attempt: Attempt, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment a stream runs in: the user's, and who and where it is.

    A Python program buffers its output when that is a file; unless the user says otherwise it is
    told not to, so that the log is live.
    """
    at_work = state.at_attempt(stream, attempt)
    workspace = at_work.workspace
    handed_back = state.streams[stream].handed_back
    return {
        "PYTHONUNBUFFERED": "1",
        **environment,
        "ANABRANCH_RUN": state.run,
        "ANABRANCH_STREAM": stream,
        "ANABRANCH_ATTEMPT": str(attempt),
        "ANABRANCH_WORKSPACE": workspace.path if workspace else "",
        "ANABRANCH_PROJECT": state.project,
        "ANABRANCH_INDEX": str(state.topology.position[stream] + 1),
        **_ports_of_services(state, stream),
        **{variable_of(name): str(port) for name, port in at_work.ports.items()},
        "ANABRANCH_HEARTBEAT_SECONDS": f"{report_every_seconds(state.stream_plan(stream)):g}",
        **_restored_in_env(state, stream, attempt),
        **_conflict_in_env(handed_back),
    }


def _on_terminal(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a terminal of a stream's own, which is not the one it was made on.

    Whoever attaches has another one, of another size: what it is called is what all of them are.
    """
    own = {name: value for name, value in environment.items() if name not in ("LINES", "COLUMNS")}
    return own | {"TERM": TERM}


def report_every_seconds(plan: StreamPlan) -> float:
    """Return how often a stream is to report: as its plan says, and always well before it is late.

    A stream that sends heartbeats is judged by them alone, so one must not be due after the time
    at which its silence counts as a stall.
    """
    return min(plan.heartbeat_interval_seconds, plan.heartbeat_timeout_seconds / 2)


def _ports_of_services(state: State, stream: StreamId) -> dict[str, str]:
    """Return the ports of the services that a stream waits for: ``ANABRANCH_PORT_API_WEB``."""
    needed = (s for d in state.stream_plan(stream).depends_on for s in d.streams)
    return {
        variable_of(f"{service}-{name}"): str(port)
        for service in needed
        if service in state.topology.services
        for name, port in state.streams[service].ports.items()
    }


def _restored_in_env(state: State, stream: StreamId, attempt: Attempt) -> dict[str, str]:
    """Return which checkpoint's files are there already, so that the command can go on from it."""
    number = state.at_attempt(stream, attempt).restored
    if not number:
        return {}
    taken = state.checkpoints.get(stream, NONE).taken
    label = next((t.label for t in taken if t.number == number), "")
    return {
        "ANABRANCH_CHECKPOINT": str(number),
        "ANABRANCH_CHECKPOINT_LABEL": label.replace("\0", ""),
    }


def _conflict_in_env(given: HandedBack | None) -> dict[str, str]:
    """Return the conflict that an attempt does its work again for, short enough for a variable."""
    if given is None or given.conflict is None:
        return {}
    facts = {
        "streams": list(given.conflict.streams),
        "paths": [p.path for p in given.conflict.paths[:MOST_PATHS_NAMED]],
        "before": given.commit,
    }
    return {"ANABRANCH_CONFLICT": msgspec.json.encode(facts).decode()}
