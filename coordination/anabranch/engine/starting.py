"""Starting runs: where the parts of a new run's host come together."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.engine.clock import RunClock
from anabranch.engine.git_variables import without_git_variables
from anabranch.engine.host import Parts, RunHost
from anabranch.engine.journal import Journal
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.preflight import require_ready
from anabranch.engine.reaching_layers import reach_layers_for
from anabranch.engine.requirements import require_machine
from anabranch.engine.run_lock import RunLock
from anabranch.engine.run_numbers import next_number, note_number
from anabranch.engine.runs import runs_in
from anabranch.engine.workspaces import (
    GitError,
    Repository,
    accept_settings,
)
from anabranch.errors import UsageError, machine_errors
from anabranch.extending import NO_EXTENSIONS, Extensions
from anabranch.hostile_text import utf8_text
from anabranch.paths import (
    ProjectFolder,
    RunFolder,
    new_run_id,
    run_counter,
)


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
    items: int | None = None,
) -> RunHost:
    """Begin a new run of a plan in a project and host it.

    ``folder`` is where the plan lies; streams work in the same place inside their workspaces.
    With ``approve`` the result is brought to the user's branch, with ``allow_sensitive`` also what
    others run or obey. From the descriptor ``items`` the plan's kept items are read while
    the run goes on. Raises AnabranchError if the project or the machine does not allow it; then
    nothing is left behind.
    """
    require_machine()
    repository, project = open_project(folder)
    reach_layers_for(plan)
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
            if items is not None:
                _keep_items(items, home)
            return _host_new(home, repository, folder, strategies, env, command, extensions)
    except Exception:
        shutil.rmtree(home.path, ignore_errors=True)  # it has not begun
        raise


def _keep_items(source: int, home: RunFolder) -> None:
    """Keep what comes on a descriptor in the run's folder, from now on until its end."""
    from anabranch.handlers.kept_items import Keeper  # here, for few runs read items

    keeper = Keeper(source, str(home.items))
    threading.Thread(target=keeper.keep_all, name="items", daemon=True).start()


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
    clock = RunClock.begin()
    lock = RunLock.acquire(home.lock)
    assert lock is not None, "nobody else knows a run that has just got its name"
    facts = {"project": str(repository.root), "folder": str(folder), "number": str(number)}
    journal = Journal.create(home.journal, facts | clock.facts())
    world = (home, lock, journal, clock, repository, strategies, environment)
    host = RunHost(Parts(*world, None, command, extensions))
    host.open()
    note_number(home, number)  # only now is it the latest: before, nobody could read how it stands
    return host
