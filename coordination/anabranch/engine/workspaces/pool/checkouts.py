"""Checkouts that were made ahead, not yet anybody's: where they lie, and how one is taken.

Each is a folder with the files of a tree and the index that git keeps for them. It gets its name
when it is whole. Whoever takes one renames its files into the place of the workspace: of two who
want the same, one gets it, and who is killed meanwhile has it or has it not. What is left of the
folder then is nobody's.

A stream runs as the same user and may write here as well as anywhere. So a checkout is looked at
before it is taken: each file is the one that was written, by its inode and by the time when that
was changed last, which nobody can set, and there is no other.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.engine.git import GitError
from anabranch.engine.workspaces.direct.index_file import (
    GITLINK,
    IndexEntry,
    index_of,
    read_entries,
)
from anabranch.engine.workspaces.layers.bases import give_times, way_of_writing
from anabranch.engine.workspaces.removing import make_writable
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole, take_lock
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

MOST_DIFFERING = 500
"""A checkout of another tree is as good as none if so many files have to be written in it."""
TAKING_SECONDS = 600.0
"""So long nobody takes to fetch the index, too, of a checkout whose files he has."""
VERSION: tuple[tuple[str, str], ...] = (("index.version", "2"), ("index.skipHash", "false"))
"""The index of a checkout is one that is read here, whatever the project likes."""

_WHOLE = re.compile(r"([0-9a-f]{40,64})-([0-9a-f]+)\.\w+")
_UNFINISHED = ".made-"
_ATTRIBUTES = ".gitattributes"


class Checkout(msgspec.Struct, frozen=True):
    """A checkout of ``tree``; ``way`` names the settings that say how its files were written."""

    folder: Path
    tree: str
    way: str

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def index(self) -> Path:
        return self.folder / "index"


class Taken(msgspec.Struct, frozen=True):
    """A checkout whose files are in their place; its ``index`` has still to come into its own."""

    tree: str
    index: Path
    content: bytes

    def bring_index(self, place: Path) -> None:
        """Have the index lie where git looks for it. Raises OSError."""
        try:
            self.index.rename(place)
        except FileNotFoundError:  # what was left of the checkout is removed already
            replace_whole(place, self.content, mode=0o666)
        with suppress(OSError):
            self.index.parent.rmdir()


def pool_folder(repo: Repository) -> Path:
    """Return where the checkouts of a project lie that were made ahead."""
    return repo.store / "pool"


def checkouts(repo: Repository) -> list[Checkout]:
    """Return the checkouts that nobody has taken, in a lasting order. Raises OSError."""
    place, found = pool_folder(repo), list[Checkout]()
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(place)):
            parts = _WHOLE.fullmatch(name)
            if parts is not None and (place / name / "files").is_dir():
                found.append(Checkout(place / name, parts[1], parts[2]))
    return found


def take_checkout(repo: Repository, run: RunId, tree: str, folder: Path) -> Taken | None:
    """Put a checkout in a folder's place that holds a tree, or nearly; None if there is none.

    Nothing may be at ``folder``. Raises OSError, GitError.
    """
    for found in _nearest_first(repo, run, tree):
        try:
            content = _untouched(repo, found)
            if content is None:
                forget(found)
                continue
            folder.parent.mkdir(parents=True, exist_ok=True)
            found.files.rename(folder)
        except FileNotFoundError:
            continue  # somebody else was quicker
        except OSError as error:
            if error.errno == errno.EXDEV:
                return None
            raise
        return Taken(found.tree, found.index, content)
    return None


def _untouched(repo: Repository, found: Checkout) -> bytes | None:
    """Return the index of a checkout, None if that is not as it was made.

    Raises FileNotFoundError if it is not there.
    """
    try:
        content = read_plain(found.index, LARGE_FILE_BYTES)
        entries = read_entries(content, repo.object_format)
        return content if is_as_made(found.files, entries) else None
    except FileNotFoundError:
        raise
    except OSError:
        return None


def _nearest_first(repo: Repository, run: RunId, tree: str) -> Iterator[Checkout]:
    way = way_of_writing(repo, run)
    written_alike = [found for found in checkouts(repo) if found.way == way]
    yield from (found for found in written_alike if found.tree == tree)
    for found in written_alike:
        if found.tree != tree and is_near(repo, run, found.tree, tree):
            yield found


@lru_cache(maxsize=256)
def is_near(repo: Repository, run: RunId, tree: str, wanted: str) -> bool:
    """Say whether few files of two trees differ, and none that says how others are written."""
    asked = ("diff-tree", "-r", "--no-renames", "--name-only", "-z", tree, wanted)
    try:
        differing = frozen_view(repo, run).run(*asked).fields
    except GitError:
        return False  # a run of long ago began with it, and git has forgotten it
    names = {path.rpartition("/")[2].lower() for path in differing}
    return len(differing) <= MOST_DIFFERING and _ATTRIBUTES not in names


def is_as_made(files: Path, entries: Sequence[IndexEntry] | None) -> bool:
    """Say whether a folder holds what its index says, untouched since that was written."""
    if entries is None:
        return False
    found = dict(files_below(os.fsencode(files)))
    written = [entry for entry in entries if entry.mode != GITLINK]
    return len(found) == len(written) and all(
        entry.path in found and entry.is_as(found[entry.path]) for entry in written
    )


def files_below(folder: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield the path of each file, link or other thing below a folder, and what it is like."""
    with os.scandir(os.path.join(folder, prefix)) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from files_below(folder, prefix + entry.name + b"/")
            else:
                yield prefix + entry.name, entry.stat(follow_symlinks=False)


def forget(found: Checkout) -> None:
    """Remove a checkout that nobody is to take; half of it is never taken for whole."""
    doomed = found.folder.with_name(f".removed-{found.folder.name}")
    with suppress(FileNotFoundError):
        found.folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


# --- making one ----------------------------------------------------------------------------------


@contextmanager
def unfinished(repo: Repository) -> Iterator[Path]:
    """Give a folder in which a checkout is made; what has no name in the end is removed.

    It is locked as long as somebody is at work in it: what a kill leaves is not. Raises OSError.
    """
    pool_folder(repo).mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        made = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=pool_folder(repo)))
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if take_lock(lock) and os.path.lexists(made):
            break
        os.close(lock)  # somebody took it for left behind, in this very moment
    try:
        yield made
    finally:
        with suppress(OSError):
            shutil.rmtree(made, onerror=make_writable)
        os.close(lock)


def clear_unfinished(repo: Repository) -> None:
    """Remove what was being made, or taken, by who was killed meanwhile. Raises OSError."""
    for left in pool_folder(repo).glob("*.*"):
        is_taken = _WHOLE.fullmatch(left.name) and not (left / "files").is_dir()
        with suppress(FileNotFoundError):
            if is_taken and time.time() - left.stat().st_mtime > TAKING_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    for left in pool_folder(repo).glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if take_lock(lock):
                    shutil.rmtree(left, onerror=make_writable)
            finally:
                os.close(lock)


def give_name(repo: Repository, run: RunId, made: Path, tree: str) -> Checkout | None:
    """Have a checkout be there for whoever wants it; None if its index is not understood.

    All its files are written. Raises OSError.
    """
    give_times(repo, made)
    files = os.fsencode(made / "files")
    entries = read_entries(read_plain(made / "index", LARGE_FILE_BYTES), repo.object_format)
    if entries is None:
        return None
    now = [
        IndexEntry.of(e.path, e.mode, e.blob, os.lstat(os.path.join(files, e.path)))
        for e in entries
    ]
    replace_whole(made / "index", index_of(now, repo.object_format), mode=0o666)
    way = way_of_writing(repo, run)
    folder = made.with_name(f"{tree}-{way}.{made.name.removeprefix(_UNFINISHED)}")
    made.rename(folder)
    return Checkout(folder, tree, way)
