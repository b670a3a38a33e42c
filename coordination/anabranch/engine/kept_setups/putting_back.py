"""Putting a kept result into a workspace: a copy of it, or what is shown of it already.

Whichever it is, what named the workspace in which it was made names this one afterwards, and all
times are as they were: npm, make and pip go by them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from anabranch.core.wording import size
from anabranch.engine.disk_use import bytes_in
from anabranch.engine.kept_setups.keeping import copy, ways_of_naming
from anabranch.engine.kept_setups.results import KEPT, TREE, InTheWay, Kept, NotKept
from anabranch.plain_files import LARGE_FILE_BYTES, open_plain, read_plain

_CLONE = 0x40049409
"""FICLONE of ioctl_ficlone(2)."""
_CREATE_NAMELESS = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC


def put_back(place: Path, kept: Kept, workspace: Path) -> str:
    """Copy a result into a workspace; return in words how.

    Raises NotKept, OSError; then nothing of it is there.
    """
    put = list[str]()
    try:
        for name in kept.entries:
            if os.path.lexists(workspace / name):
                raise InTheWay(f"{name} is there already")
            put.append(name)
            copy(place / TREE, workspace, [name])
        _rename(kept, workspace)
    except BaseException:
        remove_all(workspace, put)
        raise
    how = "its blocks are shared" if _shares_blocks(place, workspace) else "copied"
    return f"{how}, {size(bytes_in(place / TREE))}"


def take_up_shown(kept: Kept, workspace: Path) -> str:
    """Have a result that a workspace shows be its own; return that in words.

    Raises NotKept if not all of it is there, OSError.
    """
    for name in kept.entries:
        if not os.path.lexists(workspace / name):
            raise NotKept(f"{name} is not there")
    _rename(kept, workspace)
    return "shown, and takes no room"


def remove_all(workspace: Path, names: Sequence[str]) -> None:
    """Remove files and folders of a workspace. Raises OSError."""
    for name in names:
        path = workspace / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def parts_of(kept: Kept) -> Iterable[bytes]:
    """Return the paths below which a result lies."""
    return map(os.fsencode, kept.entries)


def _shares_blocks(place: Path, workspace: Path) -> bool:
    """Say whether copies of files there share their blocks with the result's."""
    try:
        source = open_plain(place / KEPT)
        try:
            target = os.open(workspace, _CREATE_NAMELESS, 0o600)
            try:
                fcntl.ioctl(target, _CLONE, source)
            finally:
                os.close(target)
        finally:
            os.close(source)
    except OSError:
        return False
    return True


def _rename(kept: Kept, workspace: Path) -> None:
    """Have what named the workspace in which it was made name this one; its times stay."""
    found, new = ways_of_naming(Path(kept.workspace)), os.fsencode(workspace)
    for name in kept.texts:
        path = workspace / name
        file = open_plain(path, flags=os.O_RDWR)
        try:
            at = os.fstat(file)
            content = found.sub(lambda _: new, read_plain(path, LARGE_FILE_BYTES))
            os.ftruncate(file, 0)
            while content:
                content = content[os.write(file, content) :]
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
        finally:
            os.close(file)
    for name in kept.links:
        path = workspace / name
        above, at = os.stat(path.parent), os.lstat(path)
        target = found.sub(lambda _: new, os.fsencode(os.readlink(path)))
        path.unlink()
        os.symlink(target, os.fsencode(path))
        os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns), follow_symlinks=False)
        os.utime(path.parent, ns=(above.st_atime_ns, above.st_mtime_ns))
