"""Resuming runs: taking over what another host has left, or ending it where nobody can host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.deciding.owed import stops_asked_for
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.engine.clock import RunClock
from anabranch.engine.git_orphans import end_git_orphans
from anabranch.engine.git_variables import without_git_variables
from anabranch.engine.host import Parts, RunHost
from anabranch.engine.journal import Journal
from anabranch.engine.opening import open_project
from anabranch.engine.performers.process_records import send_control
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.engine.requirements import require_machine
from anabranch.engine.run_lock import RunLock, holder_of
from anabranch.engine.runs import why_removing
from anabranch.engine.workspaces import show_layers
from anabranch.engine.workspaces.layers.standing import WorkspaceElsewhere
from anabranch.errors import AnabranchError, DiskFull, UsageError, WorldError, machine_errors
from anabranch.extending import NO_EXTENSIONS, Extensions
from anabranch.paths import (
    RunFolder,
)


class AlreadyHosted(UsageError):
    """Another process hosts the run."""

    code = "already_hosted"


def stop_unhosted(home: RunFolder, state: State, command: inputs.Command) -> bool:
    """Send the signals of a stop that nobody can host or note just now.

    Their holders end the processes, and what those did stays where it is. Returns False if the
    command is not a stop.
    """
    stops = stops_asked_for(state, command)
    for stop in stops:
        folder = home.attempts / home.attempt_name(stop.stream, stop.attempt)
        with suppress(OSError):  # it has ended
            send_control(folder, {"op": "stop", "grace_seconds": stop.grace_seconds})
    return bool(stops)


@machine_errors()
def resume_run(
    home: RunFolder,
    strategies: Strategies,
    *,
    reason: str,
    retry_failed: bool,
    environment: Mapping[str, str] | None = None,
    extensions: Extensions = NO_EXTENSIONS,
) -> RunHost:
    """Take a run over: adopt what lives, settle what ended, go on with what is left.

    With ``retry_failed`` a run that ended without converging is opened again. Raises AlreadyHosted,
    WorldError.
    """
    require_machine()
    if home.removing.exists():
        raise UsageError(f"run {home.run} cannot be resumed", why_removing(home))
    why_not = reach_layers_of(home)
    if why_not:
        raise WorldError(
            f"the workspaces of run {home.run} cannot be reached from here: {why_not}",
            f"a process of its own can: anabranch resume {home.run}",
        )
    lock = RunLock.acquire(home.lock)
    if lock is None:
        pid = holder_of(home.lock)
        raise AlreadyHosted(
            f"run {home.run} is hosted by {f'process {pid}' if pid else 'another process'}",
            f"follow it with: anabranch console {home.run}",
        )
    try:
        end_git_orphans()  # before anything is written where they write
        journal = Journal.open(home.journal, "write")
        state = journal.load()
        if state is None:
            raise WorldError(f"run {home.run} has no events", "it can be deleted")
        clock = RunClock.of_journal(journal, state)
        if retry_failed or not state.has_ended:  # who only looks writes nothing
            journal.set_meta(**clock.facts())
        repository, _ = open_project(Path(journal.meta("folder") or state.project))
        try:
            show_layers(repository, home.run)  # before anything is written into an empty folder
        except WorkspaceElsewhere:
            if retry_failed or not state.has_ended:
                raise
    except DiskFull as error:
        lock.release()
        raise DiskFull(error.message, f"make room, then: anabranch resume {home.run}") from error
    except AnabranchError:
        lock.release()
        raise
    command = inputs.ResumeRun(reason=reason, adopted=0, retry_failed=retry_failed)
    env = without_git_variables(os.environ if environment is None else environment)
    world = (home, lock, journal, clock, repository, strategies, env)
    host = RunHost(Parts(*world, state, command, extensions))
    host.open()
    return host
