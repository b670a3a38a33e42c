"""Finding and reading runs, without anything that hosting one needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.core.events import Recorded
from anabranch.core.ids import Seq
from anabranch.core.model.state import State
from anabranch.core.views.sharing import verify_history
from anabranch.engine.clock import RunClock
from anabranch.engine.journal import Journal
from anabranch.engine.run_lock import holder_of, silent_since
from anabranch.engine.run_numbers import newest_first
from anabranch.errors import AnabranchError, UsageError, machine_errors
from anabranch.paths import ProjectFolder, RunFolder, project_folder, projects_folder

MOST_LOOKED_AT = 20
"""So many of the newest runs are read to find the one that goes on, where nobody hosts it."""


class FoundRun(msgspec.Struct, frozen=True):
    """A run on disk; ``state`` is None if its journal cannot be read, and ``fault`` says why.

    ``silent_since`` is the time of day since which its host, if it has one, gives no sign.
    """

    folder: RunFolder
    state: State | None
    is_hosted: bool
    fault: str = ""
    silent_since: float | None = None


def project_root(folder: Path) -> Path:
    """Return the top of the checkout that a folder lies in, or the folder itself."""
    real = Path(os.path.realpath(folder))
    for candidate in (real, *real.parents):
        if (candidate / ".git").exists():
            return candidate
    return real


def run_folders(project: Path | None) -> list[RunFolder]:
    """Return the runs of one project, or of all, newest first."""
    homes = [ProjectFolder(p) for p in _folders(projects_folder())]
    if project is not None:
        homes = [ProjectFolder(project_folder(project_root(project)))]
    return newest_first(run for home in homes for run in runs_in(home))


def runs_of(project: ProjectFolder) -> list[RunFolder]:
    """Return the runs in a project's folder, newest first."""
    return newest_first(runs_in(project))


def latest_run(project: Path) -> RunFolder:
    """Return the project's latest run, over or not. Raises UsageError if there is none."""
    latest = next(filter(has_begun, run_folders(project)), None)
    if latest is None:
        raise UsageError("there are no runs in this project", "start one with: anabranch run")
    return latest


def find_run(project: Path, name: str) -> RunFolder:
    """Return a run by name or unique part of it.

    A full name is found in other projects too. Raises UsageError if there is none, or several.
    """
    here = run_folders(project)
    exact = [r for r in run_folders(None) if r.run == name]
    found = exact or [r for r in here if name in r.run]
    if not found:
        known = ", ".join(r.run for r in here[:3]) or "none"
        raise UsageError(f"there is no run {name!r}", f"the latest here: {known}")
    if len(found) > 1:
        raise UsageError(f"{name!r} fits {len(found)} runs", "give more of the name")
    return found[0]


def run_that_goes_on(project: Path) -> RunFolder | None:
    """Return the project's newest run that has not ended, one with a host first; or None.

    One that nobody hosts is looked for among the newest: what was left long ago is named.
    """
    known = run_folders(project)
    hosted = [home for home in known if holder_of(home.lock) is not None]
    for home in dict.fromkeys((*hosted, *known[:MOST_LOOKED_AT])):
        state = read_run(home).state
        if state is not None and not state.has_ended:
            return home
    return None


def has_begun(home: RunFolder) -> bool:
    """Say whether a run has an event, or may have one, or somebody is about to begin it.

    What was killed before its first event has left a folder, and was never a run.
    """
    return holder_of(home.lock) is not None or has_events(home)


def has_events(home: RunFolder) -> bool:
    """Say whether a run's journal has an event, or may have one."""
    try:
        if not home.journal.lstat().st_size:
            return False
    except FileNotFoundError:
        return False
    try:
        return any(True for _ in records_of(home))
    except AnabranchError:
        return True


def read_run(home: RunFolder) -> FoundRun:
    """Return what a run's journal says; never raises for a journal that cannot be read."""
    hosted = holder_of(home.lock) is not None
    if home.removing.exists():
        return FoundRun(home, None, hosted, why_removing(home))
    try:
        journal = Journal.open(home.journal, "read")
    except AnabranchError as error:
        return FoundRun(home, None, hosted, error.message)
    try:
        return FoundRun(home, journal.load(), hosted, silent_since=silent_since(home.lock))
    except AnabranchError as error:
        return FoundRun(home, None, hosted, error.message)
    finally:
        journal.close()


def why_removing(home: RunFolder) -> str:
    """Return what is said of a run whose removal has begun."""
    return f"it is being removed; anabranch runs rm {home.run} goes on with that"


def records_of(home: RunFolder, after: Seq = 0) -> Iterator[Recorded]:
    """Yield a run's events after a number, the oldest first. Raises WorldError."""
    journal = Journal.open(home.journal, "read")
    try:
        yield from journal.read(after)
    finally:
        journal.close()


def run_records(home: RunFolder, state: State) -> list[Recorded]:
    """Return the events that a state was made of. Raises WorldError."""
    return [record for record in records_of(home) if record.seq <= state.seq]


def history_faults(home: RunFolder, state: State) -> list[str]:
    """Return where a run's history of its shared state is not whole. Raises WorldError."""
    return verify_history(run_records(home, state), state.shared.hash)


def run_clock(home: RunFolder, state: State) -> RunClock:
    """Return a run's clock, for telling ages. Raises WorldError."""
    journal = Journal.open(home.journal, "read")
    try:
        return RunClock.of_journal(journal, state)
    finally:
        journal.close()


def runs_in(project: ProjectFolder) -> Iterator[RunFolder]:
    """Yield the runs in a project's folder, in no order."""
    return (RunFolder(path) for path in _folders(project.runs))


def _folders(path: Path) -> Iterator[Path]:
    with machine_errors(), suppress(FileNotFoundError, NotADirectoryError):
        yield from (Path(e.path) for e in os.scandir(path) if e.is_dir(follow_symlinks=False))
