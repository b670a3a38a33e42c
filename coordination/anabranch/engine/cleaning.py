"""Giving back the disk space of runs that are over, never without proof that nothing is lost.

A workspace goes only when every byte in it is reachable from a ref; what is not is parked first,
under a rescue ref that the run's journal names. Live runs, and runs that wait for a person, are
left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import RunPhase, State
from anabranch.core.strategies import Strategies
from anabranch.engine.clock import RunClock
from anabranch.engine.engine import Engine
from anabranch.engine.journal import Journal
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.run_lock import RunLock
from anabranch.engine.workspaces import (
    Kept,
    Parked,
    PreparedWorkspace,
    Repository,
    Rescue,
    has_commits,
    list_rescues,
    reclaim_workspace,
)
from anabranch.engine.workspaces.handler_folders import handler_workspaces
from anabranch.engine.workspaces.records import read_record
from anabranch.errors import AnabranchError, machine_errors
from anabranch.paths import RunFolder

_OF_ANOTHER = (
    "it belongs to another repository that lay here, so nothing can be proved of its workspaces; "
    "anabranch doctor says more"
)

OVER = frozenset({RunPhase.CONVERGED, RunPhase.FAILED, RunPhase.STOPPED})


class Cleaned(msgspec.Struct, frozen=True):
    """What became of one workspace: ``reclaimed``, ``parked`` (then ``ref`` holds it) or ``kept``.

    A rehearsal says ``found``.
    """

    stream: StreamId
    attempt: Attempt
    path: str
    outcome: str
    ref: str | None = None
    reason: str = ""


class CleanedRun(msgspec.Struct, frozen=True):
    """What became of one run's workspaces; ``skipped`` says why it was left alone, if it was."""

    run: str
    workspaces: tuple[Cleaned, ...] = ()
    skipped: str = ""


def clean_run(home: RunFolder, strategies: Strategies, is_rehearsal: bool = False) -> CleanedRun:
    """Reclaim the workspaces of a run that is over; a rehearsal only says which there are."""
    try:
        with machine_errors():
            lock = RunLock.acquire(home.lock)
    except AnabranchError as error:
        return CleanedRun(home.run, skipped=error.message)
    if lock is None:
        return CleanedRun(home.run, skipped="it is hosted by a running console")
    try:
        journal = Journal.open(home.journal, "write")
        try:
            return _clean(home, journal, strategies, is_rehearsal)
        finally:
            journal.close()
    except AnabranchError as error:
        return CleanedRun(home.run, skipped=error.message)
    finally:
        lock.release()


def rescues_of(folder: Path) -> tuple[Rescue, ...]:
    """Return all that was kept from reclaimed workspaces of a project, over all its runs."""
    repository, _ = open_project(folder)
    with git_errors():
        return list_rescues(repository)


def _clean(
    home: RunFolder, journal: Journal, strategies: Strategies, is_rehearsal: bool
) -> CleanedRun:
    state = journal.load()
    if state is None:
        return CleanedRun(home.run, skipped="it has no events")
    if state.phase not in OVER:
        word = "waits for you" if state.phase is RunPhase.NEEDS_OPERATOR else "was interrupted"
        return CleanedRun(home.run, skipped=f"it {word}; resume it or stop it first")
    repository, _ = open_project(Path(journal.meta("folder") or state.project))
    with git_errors():
        is_of_here = state.base is None or has_commits(repository, (state.base.commit,))
    if not is_of_here:
        return CleanedRun(home.run, skipped=_OF_ANOTHER)
    engine = Engine(journal, strategies, RunClock.of_journal(journal, state).now, state)
    done: list[Cleaned] = []
    for workspace in list(_workspaces(repository, state)):
        cleaned = _rehearsed(workspace) if is_rehearsal else _reclaim(repository, workspace)
        done.append(cleaned)
        is_of_a_stream = cleaned.stream in state.streams  # no event tells of handlers' workspaces
        if not is_rehearsal and cleaned.outcome != "kept" and is_of_a_stream:
            engine.turn([_observation(cleaned)])
    return CleanedRun(home.run, tuple(done))


def _workspaces(repository: Repository, state: State) -> Iterator[PreparedWorkspace]:
    for plan in state.plan.streams:
        for attempt in range(1, state.streams[plan.id].attempt + 1):
            found = read_record(repository, state.run, plan.id, attempt)
            if found is not None and found.kind != "shared":
                yield found
        yield from handler_workspaces(repository, state.run, plan.id)


def _reclaim(repository: Repository, workspace: PreparedWorkspace) -> Cleaned:
    about = (workspace.stream, workspace.attempt, str(workspace.path))
    outcome = reclaim_workspace(repository, workspace.run, workspace)
    match outcome:
        case Kept():
            return Cleaned(*about, "kept", reason=outcome.reason)
        case Parked():
            return Cleaned(*about, "parked", ref=outcome.ref)
    return Cleaned(*about, "reclaimed")


def _rehearsed(workspace: PreparedWorkspace) -> Cleaned:
    path = str(workspace.path)
    return Cleaned(workspace.stream, workspace.attempt, path, "found")


def _observation(cleaned: Cleaned) -> inputs.WorkspaceGone:
    return inputs.WorkspaceGone(
        stream=cleaned.stream,
        attempt=cleaned.attempt,
        rescue=(cleaned.ref,) if cleaned.ref else (),
    )
