"""Files that are there as a whole or not at all, whatever is killed meanwhile.

The new content goes into a temporary file in the same folder, is synchronised, and takes the name
over in one step; then the folder is synchronised, so that the step itself is on the disk. All of
it happens relative to one open folder: nobody can put a symbolic link in the way meanwhile. When
synchronising fails the content may be lost although later calls succeed, so nothing is tried
again: the temporary file is removed and the old content stays.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anabranch.errors import DiskFull, WorldError
from anabranch.files import replace_whole

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class AtomicFileOperations:
    """Writing files so that every reader sees the old content or the new, never a mixture."""

    @staticmethod
    def atomic_write(
        file: str | os.PathLike[str],
        content: str | bytes,
        within: str | os.PathLike[str] | None = None,
    ) -> None:
        """Replace a file's content in one step; its mode stays as it is.

        Args:
            file: the file, which need not exist; its folder must.
            content: text is written as UTF-8.
            within: the folder that must not be left, not by a symbolic link either; for a
                relative ``file`` it is the current folder, for an absolute one it is optional.

        Raises WorldError if the machine refuses, DiskFull if there is no room; the old content is
        there then, and nothing else. Also if ``file`` is a link, or leads out of ``within``.
        """
        data = content.encode() if isinstance(content, str) else content
        path = Path(file)
        try:
            with _folder_of(path, within) as folder:
                kept = _mode_to_keep(folder, path.name)
                replace_whole(path.name, data, at=folder, mode=0o666, exact_mode=kept, durable=True)
        except OSError as error:
            kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else WorldError
            reason = f"{path} was not written: {error.strerror or error}"
            raise kind(reason, "its old content is unharmed") from error


@contextmanager
def _folder_of(path: Path, within: str | os.PathLike[str] | None) -> Iterator[int]:
    """Open the folder of a file; below ``within`` no symbolic link is followed."""
    if not path.name or path.name == "..":
        raise OSError(errno.EINVAL, "it names no file")
    if within is None and path.is_absolute():
        folder = os.open(path.parent, _OPEN_FOLDER)
    else:
        folder = _walk(Path(within or "."), path.parent)
    try:
        yield folder
    finally:
        os.close(folder)


def _walk(root: Path, parent: Path) -> int:
    below = parent
    if parent.is_absolute():
        if not parent.is_relative_to(root.absolute()):
            raise OSError(errno.EACCES, f"it is not in {root}")
        below = parent.relative_to(root.absolute())
    if ".." in below.parts:
        raise OSError(errno.EACCES, f"it may lead out of {root}")
    folder = os.open(root, _OPEN_FOLDER)
    for part in below.parts:
        try:
            inner = os.open(part, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _mode_to_keep(folder: int, name: str) -> int | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link; name the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return stat.S_IMODE(found.st_mode)
