"""Copying one file as it is, sharing its blocks where the file system can (a *reflink*)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from anabranch.engine.workspaces.including.listing import PERMISSIONS, IncludedFile
from anabranch.plain_files import open_plain

_CLONE = 0x40049409
"""FICLONE of ioctl_ficlone(2): the copy has the blocks of the source until one is written to."""

_NOT_HERE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 1 << 20


class Copier:
    """Copies files with their permissions and times; tries reflinks until one cannot be had."""

    def __init__(self) -> None:
        self._may_clone = True
        self.copied_bytes = 0
        """How much was copied and takes room of its own."""

    def copy(self, file: IncludedFile, source: int, target: int) -> IncludedFile:
        """Copy a file or link between two open folders; return what it was by then.

        Nothing may stand in its place. Raises OSError, FileExistsError if something does.
        """
        name = file.path.rpartition(b"/")[2]
        if file.is_link:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            times = (file.modified_ns, file.modified_ns)
            os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            return IncludedFile.of(file.path, found)
        return self._copy_plain(file, name, source, target)

    def _copy_plain(
        self, file: IncludedFile, name: bytes, source: int, target: int
    ) -> IncludedFile:
        there = open_plain(name, at=source)
        try:
            made = os.open(name, _CREATE, 0o600, dir_fd=target)
            try:
                if not self._cloned(there, made):
                    self.copied_bytes += _copy_content(there, made)
                found = os.fstat(there)
                os.fchmod(made, stat.S_IMODE(found.st_mode) & PERMISSIONS)
                os.utime(made, ns=(found.st_mtime_ns, found.st_mtime_ns))
                return IncludedFile.of(file.path, found)
            finally:
                os.close(made)
        finally:
            os.close(there)

    def _cloned(self, source: int, target: int) -> bool:
        if not self._may_clone:
            return False
        try:
            fcntl.ioctl(target, _CLONE, source)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self._may_clone = False
            return False
        return True


def _copy_content(source: int, target: int) -> int:
    """Copy what is in one open file into another one; return how many bytes that were."""
    copied = 0
    while chunk := os.read(source, _CHUNK_BYTES):
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(target, rest) :]
        copied += len(chunk)
    return copied
