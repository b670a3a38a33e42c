"""Giving back the disk space of runs that are over, never without proof that nothing is lost.

A workspace goes only when every byte in it is reachable from a ref; what is not is parked first,
under a rescue ref that the run's journal names. Live runs, and runs that wait for a person, are
left alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import RunPhase, State
from anabranch.core.strategies import Strategies
from anabranch.engine.caches import MOST_AGE_SECONDS, Aged
from anabranch.engine.clock import RunClock
from anabranch.engine.disk_use import bytes_in
from anabranch.engine.engine import Engine
from anabranch.engine.journal import Journal
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.pool_bounds import bounds_of_recycling
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.engine.run_lock import RunLock
from anabranch.engine.runs import has_events, project_root, read_run, runs_of
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
from anabranch.engine.workspaces.ageing import forget_old
from anabranch.engine.workspaces.handler_folders import handler_workspaces
from anabranch.engine.workspaces.including.frozen_files import copies_named_in
from anabranch.engine.workspaces.pool.bounds import Bounds
from anabranch.engine.workspaces.records import own_place, read_record
from anabranch.engine.workspaces.removing import make_writable
from anabranch.errors import AnabranchError, machine_errors
from anabranch.paths import ProjectFolder, RunFolder, project_folder
from anabranch.undecodable import UNDECODABLE

_OF_ANOTHER = (
    "it belongs to another repository that lay here, so nothing can be proved of its workspaces; "
    "anabranch doctor says more"
)

STARTING_SECONDS = 600.0
"""So old has a folder without an event to be before it counts as left behind."""

OVER = frozenset({RunPhase.CONVERGED, RunPhase.FAILED, RunPhase.STOPPED})


class Cleaned(msgspec.Struct, frozen=True):
    """What became of one workspace: ``reclaimed``, ``parked`` (then ``ref`` holds it) or ``kept``.

    A rehearsal says ``found``. ``bytes`` is what it took of the disk.
    """

    stream: StreamId
    attempt: Attempt
    path: str
    outcome: str
    ref: str | None = None
    reason: str = ""
    bytes: int = 0


class CleanedRun(msgspec.Struct, frozen=True):
    """What became of one run's workspaces; ``skipped`` says why it was left alone, if it was.

    One that was ``never_begun``, as its start was killed at once, has no folder any more.
    """

    run: str
    workspaces: tuple[Cleaned, ...] = ()
    skipped: str = ""
    never_begun: bool = False


def clean_run(
    home: RunFolder,
    strategies: Strategies,
    is_rehearsal: bool = False,
    *,
    may_park: bool = True,
) -> CleanedRun:
    """Reclaim the workspaces of a run that is over; a rehearsal only says which there are.

    Unless it ``may_park`` what only a workspace holds, such a one is kept.
    """
    why_not = reach_layers_of(home)
    if why_not:
        return CleanedRun(home.run, skipped=f"its workspaces cannot be reached: {why_not}")
    try:
        with machine_errors():
            lock = RunLock.acquire(home.lock)
    except AnabranchError as error:
        return CleanedRun(home.run, skipped=error.message)
    if lock is None:
        return CleanedRun(home.run, skipped="it is hosted by a running console")
    try:
        if _was_never_begun(home):
            if not is_rehearsal:
                shutil.rmtree(home.path, ignore_errors=True)
            return CleanedRun(home.run, never_begun=True)
        journal = Journal.open(home.journal, "write")
        try:
            return _clean(home, journal, strategies, is_rehearsal, may_park)
        finally:
            journal.close()
    except AnabranchError as error:
        return CleanedRun(home.run, skipped=error.message)
    finally:
        lock.release()


def _was_never_begun(home: RunFolder) -> bool:
    """Say whether a folder is left of a start that was killed before it had its first event.

    Nothing was started then, and nobody has worked in it. A start may be under way that has not
    come to its lock yet, so the folder has to be old enough.
    """
    if has_events(home) or home.attempts.exists() or any(home.workspaces.glob("*")):
        return False
    try:
        # Of a part, for the folder itself is as young as the lock that was just taken in it.
        return time.time() - home.logs.lstat().st_mtime > STARTING_SECONDS
    except OSError:
        return False


def clean_caches(
    folder: Path, older_than: float = MOST_AGE_SECONDS, is_rehearsal: bool = False
) -> list[Aged]:
    """Remove what nothing has used for so many seconds from a project's caches. Raises WorldError.

    What a workspace stands on stays, and what was used of late.
    """
    home = ProjectFolder(project_folder(project_root(folder)))
    if not is_rehearsal:
        empty_trash(home)
    with git_errors(), machine_errors():
        return forget_old(home.store, older_than, _needed(home), is_rehearsal=is_rehearsal)


def _needed(home: ProjectFolder) -> frozenset[str]:
    """Return what runs that are not over were begun with, and cannot make again."""
    names: set[str] = set()
    for run in runs_of(home):
        try:
            name = copies_named_in(home.store / "runs" / run.run)
        except UNDECODABLE:
            continue  # nor can the run itself read it
        found = read_run(run) if name else None
        if found is not None and (found.state is None or found.state.phase not in OVER):
            names.add(name)
    return frozenset(names)


def trash_of(project: ProjectFolder) -> Path:
    """Return where runs lie that are removed and not deleted yet; nothing tells of them."""
    return project.path / "removed"


def empty_trash(project: ProjectFolder) -> None:
    """Delete what removals that were killed have left behind."""
    for left in trash_of(project).glob("*"):
        shutil.rmtree(left, onerror=make_writable)


def rescues_of(folder: Path) -> tuple[Rescue, ...]:
    """Return all that was kept from reclaimed workspaces of a project, over all its runs."""
    repository, _ = open_project(folder)
    with git_errors():
        return list_rescues(repository)


def _clean(
    home: RunFolder,
    journal: Journal,
    strategies: Strategies,
    is_rehearsal: bool,
    may_park: bool,
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
        cleaned = (
            _rehearsed(workspace)
            if is_rehearsal
            else _reclaim(repository, workspace, may_park, bounds_of_recycling(repository, state))
        )
        done.append(cleaned)
        is_of_a_stream = cleaned.stream in state.streams  # no event tells of handlers' workspaces
        if not is_rehearsal and cleaned.outcome != "kept" and is_of_a_stream:
            engine.turn([_observation(cleaned)])
    return CleanedRun(home.run, tuple(done))


def _workspaces(repository: Repository, state: State) -> Iterator[PreparedWorkspace]:
    for plan in state.plan.streams:
        newest = state.speculation.newest(plan.id, state.streams[plan.id].attempt)
        for attempt in range(1, newest + 1):
            found = read_record(repository, state.run, plan.id, attempt)
            if found is not None and found.kind != "shared":
                yield found
        yield from handler_workspaces(repository, state.run, plan.id)


def _reclaim(
    repository: Repository, workspace: PreparedWorkspace, may_park: bool, recycled: Bounds
) -> Cleaned:
    about = (workspace.stream, workspace.attempt, str(workspace.path))
    taken = bytes_in(own_place(workspace))
    outcome = reclaim_workspace(
        repository, workspace.run, workspace, may_park=may_park, recycled=recycled
    )
    match outcome:
        case Kept():
            return Cleaned(*about, "kept", reason=outcome.reason, bytes=taken)
        case Parked():
            aside = _aside(outcome.aside)
            return Cleaned(*about, "parked", ref=outcome.ref, reason=aside, bytes=taken)
    return Cleaned(*about, "reclaimed", reason=_aside(outcome.aside), bytes=taken)


def _aside(folder: Path | None) -> str:
    """Say where ignored files are as a workspace had them, if they were changed in it."""
    return f"what it changed of the ignored files it was given: {folder}" if folder else ""


def _rehearsed(workspace: PreparedWorkspace) -> Cleaned:
    path = str(workspace.path)
    taken = bytes_in(own_place(workspace))
    return Cleaned(workspace.stream, workspace.attempt, path, "found", bytes=taken)


def _observation(cleaned: Cleaned) -> inputs.WorkspaceGone:
    return inputs.WorkspaceGone(
        stream=cleaned.stream,
        attempt=cleaned.attempt,
        rescue=(cleaned.ref,) if cleaned.ref else (),
    )
