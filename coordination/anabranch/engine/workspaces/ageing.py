"""Caches grow old: what nothing has used for a while goes, unless a workspace stands on it.

Which workspaces stand is on record; one that is not yet has used its cache a moment ago. So what is
young stays whatever is asked, and where a record cannot be read nothing is removed at all. An entry
gets another name before it is deleted, so that half of one is never taken for whole; what a kill
left under such a name goes the next time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from anabranch.core.wording import age
from anabranch.engine.caches import CACHES, LEAST_AGE_SECONDS, LOCK, Aged, CacheKind, entries
from anabranch.engine.disk_use import bytes_in
from anabranch.engine.git import repository_lock
from anabranch.engine.workspaces.records import records_in
from anabranch.hostile_text import utf8_text

UNFINISHED_SECONDS = 86_400.0
_REMOVED = ".removed-"


def forget_old(
    store: Path, older_than: float, needed: Collection[str] = (), *, is_rehearsal: bool = False
) -> list[Aged]:
    """Remove what nothing has used for so many seconds from the caches of a project's store.

    What is ``needed``, by name, stays: runs that go on will want it. Raises GitError if somebody
    keeps a cache's lock, OSError.
    """
    found: list[Aged] = []
    for kind in CACHES:
        if not (store / kind.folder).is_dir():
            continue
        with repository_lock(store / kind.folder / LOCK):
            found += _aged(store, kind, older_than, needed, is_rehearsal)
    return found


def _aged(
    store: Path, kind: CacheKind, older_than: float, needed: Collection[str], is_rehearsal: bool
) -> Iterator[Aged]:
    below, unreadable = _below_workspaces(store)
    for entry in sorted(entries(store, kind)):
        if entry.name.startswith("."):
            if not is_rehearsal and _is_left_behind(entry):
                shutil.rmtree(entry, ignore_errors=True)
            continue
        try:
            idle = _idle_seconds(entry)
        except FileNotFoundError:
            continue  # it was a checkout, and somebody has taken it
        why_not = why_kept(entry.name, idle, older_than, below, unreadable)
        if entry.name in needed:
            why_not = "a run that goes on needs it"
        taken = bytes_in(entry)
        path = utf8_text(str(entry))
        if why_not:
            yield Aged(kind.name, path, "kept", taken, idle, why_not)
        elif is_rehearsal:
            yield Aged(kind.name, path, "found", taken, idle)
        else:
            _remove(entry)
            yield Aged(kind.name, path, "removed", taken, idle)


def _is_left_behind(entry: Path) -> bool:
    """Say whether nobody is at work on what has no name yet, or none any more.

    Some are made without the lock, and a large one takes long.
    """
    try:
        return entry.name.startswith(_REMOVED) or _idle_seconds(entry) > UNFINISHED_SECONDS
    except FileNotFoundError:
        return False


def _idle_seconds(entry: Path) -> float:
    return max(0.0, time.time() - entry.stat().st_mtime)


def why_kept(
    name: str, idle: float, older_than: float, below: frozenset[str], unreadable: str
) -> str:
    """Return why an entry stays; empty if it goes.

    Args:
        idle: for how many seconds nothing has used it.
        below: the names in the paths of all that standing workspaces are made of.
        unreadable: a record of a workspace that cannot be read, if there is one.
    """
    if name in below:
        return "a workspace stands on it"
    if unreadable:
        return f"what stands on it is not known: {unreadable} cannot be read"
    least = max(older_than, LEAST_AGE_SECONDS)
    return f"used {age(idle)} ago" if idle < least else ""


def _below_workspaces(store: Path) -> tuple[frozenset[str], str]:
    """Return the names in the paths of all lower layers, and a record that cannot be read."""
    names: set[str] = set()
    for note, workspace in records_in(store / "runs"):
        if workspace is None:
            return frozenset(names), utf8_text(str(note))
        layers = workspace.layers
        names.update(part for path in (layers.lower if layers else ()) for part in path.parts)
    return frozenset(names), ""


def _remove(entry: Path) -> None:
    doomed = entry.with_name(_REMOVED + entry.name)
    if doomed.exists():
        shutil.rmtree(doomed)
    with suppress(FileNotFoundError):  # somebody has taken it just now
        entry.rename(doomed)
        shutil.rmtree(doomed)
