"""New objects come into a folder of our own first, and into the store only when all of them are.

git leaves half-written objects behind when a disk is full, and what a capture had written before it
failed is of no use to anybody: tried again and again, captures would fill the disk for ever. So
they are written beside the store, on the same disk, where they can be moved from without room, or
removed. A folder that a killed engine has left is known by its name, and git's clean-up takes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from anabranch.engine.git import Git
from anabranch.errors import DiskFull

PREFIX = "tmp_objdir-anabranch-"
PLENTY_BYTES = 2 << 30
SPARE_BYTES = 1 << 20
_PACK_ENDS = (".pack", ".rev", ".idx")
"""In the order in which they come: a pack is seen by its index."""


@contextmanager
def quarantined(git: Git) -> Iterator[Git]:
    """Give the same view, with new objects kept apart until the block has gone well.

    When it has not, they are removed, and the view's index with them: it would take them for
    written. Raises OSError if they cannot be moved.
    """
    store = git.objects
    assert store is not None
    apart = Path(tempfile.mkdtemp(prefix=PREFIX, dir=store))
    try:
        yield replace(git, objects=apart, alternates=(*git.alternates, store))
        _move(apart, store)
    except BaseException:
        if git.index is not None:
            for end in ("", ".source", ".lock"):  # a git that was ended has left its lock
                git.index.with_name(git.index.name + end).unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def require_room(git: Git, paths: Iterator[Path]) -> None:
    """Raise DiskFull if files are larger than what the store's disk has left.

    What counts is how long they are: git reads all of a file, also where it has holes.
    """
    assert git.objects is not None
    free = shutil.disk_usage(git.objects).free
    sizes = {path: _size(path) for path in paths}
    needed = SPARE_BYTES + sum(sizes.values())
    if needed > free:
        largest = max(sizes, key=sizes.__getitem__, default=None)
        most = f", {sizes[largest] >> 20} MB of them in {largest.name}" if largest else ""
        raise DiskFull(
            f"{needed >> 20} MB are to be kept{most}, and the disk has {free >> 20} MB left",
            "make room, or remove what need not be kept",
        )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _move(apart: Path, store: Path) -> None:
    """Move every object; one that is there already is the same."""
    for folder in sorted(path for path in apart.iterdir() if path.is_dir()):
        target = store / folder.name
        if not target.is_dir():
            target.mkdir(exist_ok=True)
            target.chmod(stat.S_IMODE(store.stat().st_mode))  # a group may share the repository
        for path in sorted(folder.iterdir(), key=_order):
            if folder.name == "pack" and path.suffix not in _PACK_ENDS:
                continue
            if folder.name == "info" or path.name.startswith("tmp_"):
                continue
            if not os.path.lexists(target / path.name):
                with suppress(FileExistsError):
                    path.rename(target / path.name)


def _order(path: Path) -> tuple[int, str]:
    ends = _PACK_ENDS.index(path.suffix) if path.suffix in _PACK_ENDS else -1
    return ends, path.name
