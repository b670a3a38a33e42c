"""Removing a run that is over: its workspaces, refs, logs and journal, with proof or with a word.

First its workspaces are reclaimed, with the proof that belongs to that. Then every ref that keeps
work has to be kept elsewhere too (:mod:`anabranch.engine.workspaces.run_refs`), or a person has to
say that it may be lost. A note in the run's folder says that its removal has begun and what was
agreed to; then refs go, before the records that tell of them. So wherever it is killed the run is
listed as one that is being removed, and a second call goes on. Nothing is asked again for that,
unless a ref has moved since.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.engine.cleaning import OVER, CleanedRun, clean_run, empty_trash, trash_of
from anabranch.engine.disk_use import run_use
from anabranch.engine.git import GitError
from anabranch.engine.journal import Journal
from anabranch.engine.opening import git_errors, open_project
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.engine.run_lock import RunLock, holder_of
from anabranch.engine.runs import has_begun
from anabranch.engine.workspaces import Repository, has_commits
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.engine.workspaces.layers.standing import why_not_its_own
from anabranch.engine.workspaces.records import ASIDE, records_in
from anabranch.engine.workspaces.removing import make_writable
from anabranch.engine.workspaces.run_refs import (
    Unproven,
    drop_refs,
    refs_of_run,
    unproven,
    where_checked_out,
)
from anabranch.errors import AnabranchError, machine_errors
from anabranch.files import replace_whole
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there
from anabranch.undecodable import UNDECODABLE

_NO_PROJECT = "its project is gone or another one, so nothing can be proved of its work"
_PLAIN = "; a folder without a repository has no branches that could keep it"


class RemovedRun(msgspec.Struct, frozen=True):
    """What became of a run: ``removed``, ``found`` (a rehearsal), ``kept`` or ``refused``.

    One that is kept has work in ``would_lose`` that is kept nowhere else; after a removal that is
    what has gone. ``reason`` says why it was refused, ``bytes`` is what it takes of the disk.
    """

    run: str
    outcome: str
    bytes: int = 0
    reason: str = ""
    would_lose: tuple[Unproven, ...] = ()


class Agreed(msgspec.Struct, frozen=True):
    """The note in a run that is being removed: the refs that may go, and where they point."""

    refs: dict[str, str]
    has_repository: bool = True


def remove_run(
    home: RunFolder,
    strategies: Strategies,
    *,
    may_lose: bool = False,
    may_park: bool = True,
    is_rehearsal: bool = False,
) -> RemovedRun:
    """Remove a run that is over, or go on with a removal; a rehearsal only says what would be lost.

    With ``may_lose`` it goes even where its work is kept nowhere else. Unless it ``may_park`` what
    only a workspace holds, such a workspace stays as it is, and the run with it. Raises
    AnabranchError.
    """
    empty_trash(home.project)
    taken = sum(run_use(home).values())
    if is_rehearsal:
        return _looked_at(home, taken)
    cleaned = _cleaned(home, strategies, may_park)
    why_not = _why_not(home, cleaned) or _what_is_not_its_own(home)
    if why_not:
        return RemovedRun(home.run, "refused", taken, why_not)
    with machine_errors():
        lock = RunLock.acquire(home.lock)
    if lock is None:
        return RemovedRun(home.run, "refused", taken, "it is hosted by a running console")
    try:
        return _remove(home, cleaned, taken, may_lose)
    except GitError as error:
        return RemovedRun(home.run, "refused", taken, error.reason)
    finally:
        lock.release()


def steps(home: RunFolder, repo: Repository | None, agreed: Agreed) -> Iterator[str]:
    """Remove a run step by step, and yield what was done by then; any step may be the last.

    Raises GitError if a ref has moved since, or the run's branch is checked out by now; OSError.
    """
    replace_whole(home.removing, msgspec.json.encode(agreed), synced=True)
    yield "noted"
    hide_all_below(home.path)
    yield "workspaces"
    if repo is not None:
        why_not = _why_checked_out(home, repo)  # as late as can be: git has no lock against it
        if why_not:
            raise GitError(why_not)
        standing = refs_of_run(repo, home.run)
        drop_refs(repo, {ref: agreed.refs[ref] for ref in standing if ref in agreed.refs})
    yield "refs"
    _delete(home.project.store / "runs" / home.run)
    yield "store"
    doomed = trash_of(home.project) / home.run
    doomed.parent.mkdir(exist_ok=True, mode=0o700)
    home.path.rename(doomed)
    yield "records"
    _delete(doomed)


def _cleaned(home: RunFolder, strategies: Strategies, may_park: bool) -> CleanedRun | None:
    """Give the workspaces of a run back, with proof; None if its removal has begun before."""
    is_under_way = home.removing.exists()
    return None if is_under_way else clean_run(home, strategies, may_park=may_park)


def _why_not(home: RunFolder, cleaned: CleanedRun | None) -> str:
    """Return why a run cannot be removed, whatever anybody says; empty if it can."""
    if cleaned is None:
        return reach_layers_of(home)
    if cleaned.never_begun:
        return "it was never begun; nothing is left of it"
    if not cleaned.skipped:
        return ""
    why_not = why_refused(home)
    return why_not or ("" if _repository_of(home, _state_of(home)) is None else cleaned.skipped)


def why_refused(home: RunFolder) -> str:
    """Return why a run is not one that is over; empty if it is."""
    if holder_of(home.lock) is not None:
        return "it is hosted by a running console"
    if not has_begun(home):
        return "it has not begun; anabranch gc takes what is left of its start"
    try:
        state = _state_of(home)
    except AnabranchError as error:
        return f"{error.message}; anabranch doctor says more"
    if state is None or state.phase not in OVER:
        return "it is not over; resume it, or stop it first"
    return ""


def _what_is_not_its_own(home: RunFolder) -> str:
    """Return what lies among a run's workspaces and was put there by somebody else, if anything.

    Nobody's word is for that: they may not know of it.
    """
    own = set[Path]()
    for note, noted in records_in(home.project.store / "runs", home.run):
        if noted is None:
            return f"{note} cannot be read, so it is not known what its workspaces are"
        own.add(noted.path)
        why_not = why_not_its_own(noted)
        if why_not:
            return f"{noted.path} is not what was made for it: {why_not}; move it away first"
    with suppress(FileNotFoundError):
        for folder in sorted(home.workspaces.iterdir()):
            if folder not in own and (folder / ".git").is_dir():
                return f"{folder} is a repository that the run did not make; move it away first"
    return ""


def _looked_at(home: RunFolder, taken: int) -> RemovedRun:
    agreed = _agreed(home)
    why_not = ("" if agreed is not None else why_refused(home)) or _what_is_not_its_own(home)
    if why_not:
        return RemovedRun(home.run, "refused", taken, why_not)
    try:
        repo = _repository_of(home, None if agreed is not None else _state_of(home))
        why_not = _why_checked_out(home, repo)
        lost = _lost(home, repo, None, agreed)
    except GitError as error:
        return RemovedRun(home.run, "refused", taken, error.reason)
    return RemovedRun(home.run, "refused" if why_not else "found", taken, why_not, lost)


def _why_checked_out(home: RunFolder, repo: Repository | None) -> str:
    place = where_checked_out(repo, home.run) if repo is not None else None
    return f"its branch is checked out in {place}; switch to another one first" if place else ""


def _remove(home: RunFolder, cleaned: CleanedRun | None, taken: int, may_lose: bool) -> RemovedRun:
    agreed = _agreed(home)
    repo = _repository_of(home, None if agreed is not None else _state_of(home))
    why_not = _why_checked_out(home, repo)
    if why_not:
        return RemovedRun(home.run, "refused", taken, why_not)
    lost = _lost(home, repo, cleaned, agreed)
    if lost and not may_lose:
        return RemovedRun(home.run, "kept", taken, "", lost)
    refs = refs_of_run(repo, home.run) if repo is not None else {}
    earlier = agreed.refs if agreed is not None else {}
    with machine_errors():
        for _ in steps(home, repo, Agreed({**earlier, **refs}, repo is not None)):
            pass
    return RemovedRun(home.run, "removed", taken, "", lost)


def _lost(
    home: RunFolder, repo: Repository | None, cleaned: CleanedRun | None, agreed: Agreed | None
) -> tuple[Unproven, ...]:
    """Return what would be lost and was not agreed to."""
    if repo is None:
        nothing_proved = agreed is None or agreed.has_repository
        return (Unproven("", "", _NO_PROJECT),) if nothing_proved else ()
    refs = refs_of_run(repo, home.run)
    if agreed is not None and refs.items() <= agreed.refs.items():
        return ()
    found = unproven(repo, home.run, refs)
    found += _set_aside(home)
    if repo.kind == "plain":
        found = [msgspec.structs.replace(one, what=one.what + _PLAIN) for one in found]
    for workspace in cleaned.workspaces if cleaned is not None else ():
        if workspace.outcome == "kept":
            name = f"the workspace of {workspace.stream}.{workspace.attempt}"
            found.append(Unproven("", workspace.path, f"{name}: {workspace.reason}"))
    return tuple(found)


def _set_aside(home: RunFolder) -> Iterator[Unproven]:
    """Yield the ignored files that streams had changed, which are kept beside the run's records."""
    for folder in sorted((home.project.store / "runs" / home.run / ASIDE).glob("*")):
        what = f"ignored files that {folder.name} had changed"
        yield Unproven("", utf8_text(str(folder)), what)


def _state_of(home: RunFolder) -> State | None:
    journal = Journal.open(home.journal, "read")
    try:
        return journal.load()
    finally:
        journal.close()


def _repository_of(home: RunFolder, state: State | None) -> Repository | None:
    """Return the repository in which a run's refs are; None if it is gone, or is another one.

    Raises AnabranchError.
    """
    try:
        journal = Journal.open(home.journal, "read")
        try:
            folder = journal.meta("folder")
        finally:
            journal.close()
    except AnabranchError:
        folder = None  # the records are half gone
    place = folder or (state.project if state is not None else "")
    if not place or not os.path.isdir(place):
        return None
    repo, _ = open_project(Path(place))
    base = None if state is None else state.base
    with git_errors():
        is_this = base is None or has_commits(repo, (base.commit,))
    return repo if is_this else None


def _agreed(home: RunFolder) -> Agreed | None:
    try:
        noted = read_if_there(home.removing, LARGE_FILE_BYTES)
        return None if noted is None else msgspec.json.decode(noted, type=Agreed)
    except UNDECODABLE:
        return Agreed({})


def _delete(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder, onerror=make_writable)
