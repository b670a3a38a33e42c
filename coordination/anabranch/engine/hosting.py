"""Starting and resuming runs: where a host's parts come together."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.deciding.owed import stops_asked_for
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.engine.clock import RunClock
from anabranch.engine.git_variables import without_git_variables
from anabranch.engine.host import Parts, RunHost
from anabranch.engine.journal import Journal
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.performers.process_records import send_control
from anabranch.engine.preflight import require_ready
from anabranch.engine.requirements import require_machine
from anabranch.engine.run_lock import RunLock, holder_of
from anabranch.engine.run_numbers import next_number, note_number
from anabranch.engine.runs import runs_in
from anabranch.engine.workspaces import (
    GitError,
    Repository,
    accept_settings,
)
from anabranch.errors import AnabranchError, DiskFull, UsageError, WorldError, machine_errors
from anabranch.extending import NO_EXTENSIONS, Extensions
from anabranch.hostile_text import utf8_text
from anabranch.paths import (
    ProjectFolder,
    RunFolder,
    new_run_id,
    run_counter,
)


class AlreadyHosted(UsageError):
    """Another process hosts the run."""

    code = "already_hosted"


@machine_errors()
def accept_project(folder: Path) -> tuple[str, ...]:
    """Accept a project's git settings as they are; return the names of what had changed.

    Raises UsageError if there is no such project.
    """
    repository, _ = open_project(folder)
    try:
        return accept_settings(repository)
    except GitError as error:
        raise UsageError(error.reason, error.hint) from error


def start_run(
    folder: Path,
    plan: Plan,
    strategies: Strategies,
    *,
    plan_path: str | None = None,
    approve: bool = False,
    allow_sensitive: bool = False,
    environment: Mapping[str, str] | None = None,
    extensions: Extensions = NO_EXTENSIONS,
) -> RunHost:
    """Begin a new run of a plan in a project and host it.

    ``folder`` is where the plan lies; streams work in the same place inside their workspaces.
    With ``approve`` the result is brought to the user's branch, with ``allow_sensitive`` also what
    others run or obey. Raises AnabranchError if the project or the machine does not allow it; then
    nothing is left behind.
    """
    require_machine()
    repository, project = open_project(folder)
    home = _new_home(project)
    env = without_git_variables(os.environ if environment is None else environment)
    try:
        with git_errors():
            warnings = require_ready(repository, home.run, plan, approve, env)
        command = inputs.StartRun(
            run=home.run,
            project=str(repository.root),
            plan_path=None if plan_path is None else utf8_text(plan_path),
            plan=plan,
            approve=approve,
            allow_sensitive=allow_sensitive,
            warnings=warnings,
            wall=time.time(),
        )
        with machine_errors():
            return _host_new(home, repository, folder, strategies, env, command, extensions)
    except Exception:
        shutil.rmtree(home.path, ignore_errors=True)  # it has not begun
        raise


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
def _new_home(project: ProjectFolder) -> RunFolder:
    """Make a folder for a run, under a name that no other has. Raises WorldError."""
    while True:
        home = project.run(new_run_id(datetime.now()))
        with suppress(FileExistsError):
            home.create()
            return home


def _host_new(
    home: RunFolder,
    repository: Repository,
    folder: Path,
    strategies: Strategies,
    environment: Mapping[str, str],
    command: inputs.StartRun,
    extensions: Extensions,
) -> RunHost:
    number = next_number(run_counter(), runs_in(ProjectFolder(home.path.parents[1])))
    note_number(home, number)
    clock = RunClock.begin()
    lock = RunLock.acquire(home.lock)
    assert lock is not None, "nobody else knows a run that has just got its name"
    facts = {"project": str(repository.root), "folder": str(folder), "number": str(number)}
    journal = Journal.create(home.journal, facts | clock.facts())
    world = (home, lock, journal, clock, repository, strategies, environment)
    host = RunHost(Parts(*world, None, command, extensions))
    host.open()
    return host


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
    lock = RunLock.acquire(home.lock)
    if lock is None:
        pid = holder_of(home.lock)
        raise AlreadyHosted(
            f"run {home.run} is hosted by {f'process {pid}' if pid else 'another process'}",
            f"follow it with: anabranch console {home.run}",
        )
    try:
        journal = Journal.open(home.journal, "write")
        state = journal.load()
        if state is None:
            raise WorldError(f"run {home.run} has no events", "it can be deleted")
        clock = RunClock.of_journal(journal, state)
        if retry_failed or not state.has_ended:  # who only looks writes nothing
            journal.set_meta(**clock.facts())
        repository, _ = open_project(Path(journal.meta("folder") or state.project))
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
