"""Workspaces as copies that share their blocks with a frozen checkout, where the disk can do that.

A file is cloned by the kernel, whatever its size, and parts from the other as soon as one of them
is written to (XFS, Btrfs, bcachefs). Source: ioctl_ficlone(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from anabranch.engine.git import Git
from anabranch.engine.workspaces.direct.index_file import IndexEntry, index_of, read_entries
from anabranch.engine.workspaces.layers.bases import FrozenBase
from anabranch.engine.workspaces.snapshots import copy_index
from anabranch.files import create_fresh, replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, open_plain, read_plain

_CLONE = 0x40049409
_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EXDEV, errno.ENOSYS)


def clone_base(frozen: FrozenBase, folder: Path, git: Git, object_format: str) -> None:
    """Fill a folder with clones of a frozen checkout's files, and ``git``'s index for them.

    Raises OSError, GitError.
    """
    source, target = os.fsencode(frozen.files), os.fsencode(folder)
    for path, found in _below(source):
        _clone_entry(os.path.join(source, path), os.path.join(target, path), found)
    assert git.index is not None
    entries = read_entries(read_plain(frozen.index, LARGE_FILE_BYTES), object_format)
    if entries is None:  # it says more than where files are; git looks at each of them
        copy_index(frozen.index, git.index)
        git.run("update-index", "-q", "--refresh", accept=(0, 1))
        return
    now = [
        IndexEntry.of(e.path, e.mode, e.blob, os.lstat(os.path.join(target, e.path)))
        for e in entries
    ]
    replace_whole(git.index, index_of(now, object_format), mode=0o666)


def _below(folder: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield everything below a folder, each folder before what is in it."""
    with os.scandir(os.path.join(folder, prefix)) as entries:
        for entry in entries:
            path, found = prefix + entry.name, entry.stat(follow_symlinks=False)
            yield path, found
            if stat.S_ISDIR(found.st_mode):
                yield from _below(folder, path + b"/")


def _clone_entry(source: bytes, target: bytes, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(target, stat.S_IMODE(found.st_mode))
        return
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        clone_file(source, target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def clone_file(source: bytes, target: bytes, mode: int) -> None:
    """Make a file that shares its blocks with another one. Raises OSError, NotPlain."""
    file = open_plain(source)
    try:
        clone = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            fcntl.ioctl(clone, _CLONE, file)
        finally:
            os.close(clone)
    finally:
        os.close(file)


@lru_cache(maxsize=64)
def why_not_reflink(place: Path) -> str:
    """Return why files below a folder cannot share their blocks; empty if they can."""
    made = ""
    try:
        made = tempfile.mkdtemp(prefix=".reflink-", dir=place)
        one = os.fsencode(os.path.join(made, "one"))
        with open(create_fresh(os.fsdecode(one), os.O_WRONLY), "wb") as file:
            file.write(b"one\n")
        clone_file(one, one + b".clone", 0o600)
    except OSError as error:
        if error.errno in _CANNOT:
            return "files cannot share their blocks on this file system"
        return f"{error.strerror}: {place}"
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return ""
