"""The kernel's file notifications (inotify), as far as they are needed here."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

CLOSE_WRITE = 0x00000008
MOVED_FROM = 0x00000040
MOVED_TO = 0x00000080
CREATE = 0x00000100
DELETE = 0x00000200
OVERFLOW = 0x00004000
IGNORED = 0x00008000
IS_DIRECTORY = 0x40000000

_ONLY_DIRECTORIES = 0x01000000
_NO_LINKS = 0x02000000
_NOT_WHEN_UNLINKED = 0x04000000
_MASK = (
    CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
    | _ONLY_DIRECTORIES | _NO_LINKS | _NOT_WHEN_UNLINKED
)  # fmt: skip
_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
_LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class OutOfWatches(Exception):
    """The kernel, or our own share of it, has no more watches to give."""


class Notice(NamedTuple):
    """One thing the kernel says about the entry ``name`` of the watched folder ``watch``."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One notification descriptor.

    Raises:
        OSError: the kernel has none (or none left for this user).
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self.descriptor = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def watch(self, directory: str) -> int | None:
        """Watch one folder and return the number of its watch, None if it cannot be watched.

        Raises:
            OutOfWatches: the user's limit is reached.
        """
        try:
            path = ctypes.c_char_p(os.fsencode(directory))
            return self._checked(
                self._libc.inotify_add_watch(self.descriptor, path, ctypes.c_uint32(_MASK))
            )
        except OSError as error:
            if error.errno in _LIMITS:
                raise OutOfWatches from error
            return None

    def unwatch(self, watch: int) -> None:
        """Stop watching; a watch that ended by itself is not an error."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[Notice]:
        """Return what has been noticed, up to 64 KiB of it, without waiting."""
        try:
            return parse_notices(os.read(self.descriptor, _READ_BYTES))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Give the descriptor back, and with it every watch."""
        os.close(self.descriptor)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def parse_notices(data: bytes) -> list[Notice]:
    """Split what the kernel wrote into notices."""
    notices: list[Notice] = []
    position = 0
    while position < len(data):
        watch, mask, _cookie, length = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        name = data[position : position + length].rstrip(b"\0")
        position += length
        notices.append(Notice(watch, mask, os.fsdecode(name)))
    return notices
