"""Frozen checkouts: the files of one tree, written once and shown below many workspaces.

What is checked out depends on the tree and on how the run's settings convert files, so that both
name the checkout. It is made under another name and renamed when it is whole; from then on nothing
writes to it. Each file has the time that the user's own file has, where that is the same file: what
was built from it stays younger than it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.caches import LOCK, mark_used
from anabranch.engine.git import Git, GitError, repository_lock
from anabranch.engine.workspaces.cone import name_of_cone, view_of
from anabranch.engine.workspaces.direct.folder_changes import umask
from anabranch.engine.workspaces.direct.index_file import read_entries
from anabranch.engine.workspaces.file_times import users_times
from anabranch.engine.workspaces.large_files import are_missing
from anabranch.engine.workspaces.layers.mounting import Layers
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import Repository
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there

SHARES_BASE: frozenset[WorkspaceMethod] = frozenset({"overlay", "reflink"})
"""Methods that begin with a frozen checkout, which many workspaces share."""

A_WHILE_NS = 2 * 10**9
"""git does not see a change of a file within the second in which it was written."""


class FrozenBase(msgspec.Struct, frozen=True):
    """A frozen checkout of ``tree``: its files, and the index that git keeps for them.

    Where it is a layer itself, ``files`` are what differs from those that lie ``below``.
    """

    tree: str
    files: Path
    index: Path
    below: tuple[Path, ...] = ()


def frozen_base(
    repo: Repository, run: RunId, tree: str, paths: Sequence[str] = ()
) -> FrozenBase | None:
    """Return the frozen checkout of a tree, or a part of it, made if it is not there.

    None: large files cannot be had now, and it would be without them for ever. Raises GitError,
    OSError.
    """
    names = (tree, way_of_writing(repo, run), name_of_cone(paths))
    folder = bases_folder(repo) / "-".join(filter(None, names))
    if not folder.is_dir() or not mark_used(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _freeze_once(repo, view_of(repo, run, paths), tree, folder)
        except GitError as error:
            if are_missing(error):
                return None
            raise
    return FrozenBase(tree, folder / "files", folder / "index")


def index_below(layers: Layers) -> Path:
    """Return the index of the frozen checkout that is among a workspace's layers."""
    beside = [place.parent / "index" for place in layers.lower]
    return next((index for index in beside if index.exists()), beside[-1])


def bases_folder(repo: Repository) -> Path:
    """Return where the frozen checkouts of a project lie."""
    return repo.store / "bases"


def way_of_writing(repo: Repository, run: RunId) -> str:
    """Return what names the settings that say how files are written."""
    git_dir = frozen_view(repo, run).git_dir
    assert git_dir is not None
    said = [read_if_there(git_dir / n, LARGE_FILE_BYTES) for n in ("config", "info/attributes")]
    facts = b"\0".join(part or b"" for part in (*said, b"%o" % umask()))
    return blake2b(facts, digest_size=6).hexdigest()


def _freeze_once(repo: Repository, view: Git, tree: str, folder: Path) -> None:
    with repository_lock(folder.parent / LOCK):
        if folder.is_dir():
            os.utime(folder)
        else:
            _freeze(repo, view, tree, folder)


def _freeze(repo: Repository, view: Git, tree: str, folder: Path) -> None:
    for unfinished in folder.parent.glob(".*-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (made / "files").mkdir()
        git = view.at(work_tree=made / "files", index=made / "index")
        git.run("read-tree", "-m", "-u", tree)
        give_times(repo, made)
        git.run("update-index", "-q", "--refresh", accept=(0, 1))
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def give_times(repo: Repository, made: Path) -> None:
    """Set the times of files back: to those of the user's own, or else a little.

    They lie in ``made / "files"``, with their index beside them.
    """
    files = os.fsencode(made / "files")
    content = read_if_there(made / "index", LARGE_FILE_BYTES) or b""
    entries = read_entries(content, repo.object_format) or []
    theirs = users_times(repo) if entries else {}
    blobs = {entry.path: entry.blob for entry in entries}
    a_while_ago = time.time_ns() - A_WHILE_NS
    for path in paths_below(files):
        known = theirs.get((path, blobs.get(path, b"")), a_while_ago)
        times = (a_while_ago, min(known, a_while_ago))
        os.utime(os.path.join(files, path), ns=times, follow_symlinks=False)


def paths_below(folder: bytes) -> Iterator[bytes]:
    """Yield the paths of all files and links below a folder."""
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(at, name))]
        yield from (os.path.relpath(os.path.join(at, name), folder) for name in (*names, *links))
