"""How much of the disk is taken by what is kept of a project, place by place.

A place is what can be given back by itself: a workspace, a frozen checkout, the logs of a run. Of a
workspace of layers only the upper one counts, which is its own. What is counted are blocks, so a
file with holes counts for what it takes; one with several names counts once in a place.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.wording import disk_size
from anabranch.engine.caches import CACHES, entries
from anabranch.paths import ProjectFolder, RunFolder

MOST_ENTRIES = 1_000_000
"""So many files of a place are counted at most."""
BLOCK_BYTES = 512

WORKSPACES, LOGS, JOURNALS, RECORDS, STORE = (
    "workspaces",
    "logs",
    "journals",
    "records",
    "stored versions",
)


class Place(msgspec.Struct, frozen=True):
    """Something that takes room: what it is (``kind``), where, and of which run, if of one."""

    kind: str
    path: Path
    run: RunId | None = None


def bytes_in(place: Path, most_entries: int = MOST_ENTRIES) -> int:
    """Return what a file, or a folder with all in it, takes of the disk that it lies on.

    What is mounted in it is not its own. What is gone by now, or cannot be read, counts nothing.
    """
    try:
        found = place.lstat()
        device = place.parent.lstat().st_dev
    except OSError:
        return 0
    if stat.S_ISDIR(found.st_mode) and found.st_dev != device:
        return 0
    taken, named_twice = found.st_blocks, set[int]()
    inside = _all_in(place, device) if stat.S_ISDIR(found.st_mode) else iter(())
    for facts in islice(inside, most_entries):
        has_names = facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode)
        if not has_names or facts.st_ino not in named_twice:
            taken += facts.st_blocks
        if has_names:
            named_twice.add(facts.st_ino)
    return taken * BLOCK_BYTES


def _all_in(folder: Path, device: int) -> Iterator[os.stat_result]:
    """Yield what all in a folder is like, but for what is mounted there."""
    folders = [os.fspath(folder)]
    while folders:
        for entry in _listed(folders.pop()):
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            is_folder = stat.S_ISDIR(facts.st_mode)
            if is_folder and facts.st_dev == device:
                folders.append(entry.path)
            if not is_folder or facts.st_dev == device:
                yield facts


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listed:
            return list(listed)
    except OSError:
        return []


def places_of_run(home: RunFolder) -> Iterator[Place]:
    """Yield all that takes room for one run, its part of the project's store included."""
    kinds = {home.logs: LOGS, home.workspaces: WORKSPACES}
    for path in _in(home.path):
        if path == home.workspaces:
            yield from (Place(WORKSPACES, own, home.run) for own in _in(path))
        elif path.name.startswith(home.journal.name):
            yield Place(JOURNALS, path, home.run)
        else:
            yield Place(kinds.get(path, RECORDS), path, home.run)
    for path in _in(home.project.store / "runs" / home.run):
        if path.name == "layers":
            yield from (Place(WORKSPACES, own, home.run) for own in _in(path))
        else:
            yield Place(RECORDS, path, home.run)


def shared_places(project: ProjectFolder) -> Iterator[Place]:
    """Yield what takes room for all runs of a project: its caches, and versions in its store."""
    caches = {kind.folder for kind in CACHES}
    for kind in CACHES:
        yield from (Place(kind.name, path) for path in entries(project.store, kind))
    for path in _in(project.store):
        if path.name not in caches and path.name != "runs":
            yield Place(STORE, path)


def places_of_project(project: ProjectFolder) -> Iterator[Place]:
    """Yield all that takes room for a project."""
    for path in _in(project.runs):
        yield from places_of_run(RunFolder(path))
    yield from shared_places(project)


def by_kind(counted: Iterator[tuple[Place, int]]) -> dict[str, int]:
    """Return the sums of what places take, by what they are."""
    sums: Counter[str] = Counter()
    for place, taken in counted:
        sums[place.kind] += taken
    return dict(sums)


def in_words(use: Mapping[str, int], most: int = 3) -> str:
    """Return what is taken in words: ``3.4 GB: 3.1 GB of workspaces, 0.3 GB of logs``."""
    largest = sorted(use.items(), key=lambda part: (-part[1], part[0]))[:most]
    parts = ", ".join(f"{disk_size(count)} of {kind}" for kind, count in largest if count)
    return disk_size(sum(use.values())) + (f": {parts}" if parts else "")


def run_use(home: RunFolder) -> dict[str, int]:
    """Return how many bytes a run takes, by what they are."""
    return by_kind((place, bytes_in(place.path)) for place in places_of_run(home))


def shared_use(project: ProjectFolder) -> dict[str, int]:
    """Return how many bytes a project takes beside its runs, by what they are."""
    return by_kind((place, bytes_in(place.path)) for place in shared_places(project))


def _in(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in _listed(os.fspath(folder)))
