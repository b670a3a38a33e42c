"""What a machine says when it is short of something: it passes, and says nothing about the world.

A disk without room or that takes nothing for now, no descriptor, no process or no memory left, an
interrupted call, a device that does not answer: whoever meets one of these waits and tries again.
None of them may be read as a fact, least of all as "it is gone".
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

LEAST_ROOM_BYTES = 64 * 1024

_SHORT_OF = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "no file descriptors are left",
    errno.ENFILE: "no file descriptors are left on this machine",
    errno.EAGAIN: "no process or thread can be started, or a resource is busy",
    errno.ENOMEM: "memory is short",
    errno.EINTR: "a call was interrupted",
    errno.EIO: "a disk or device does not answer",
    errno.EROFS: "the disk takes nothing: it is mounted read-only",
    errno.ENOLCK: "no locks are left",
    errno.ENOBUFS: "memory for sockets is short",
}

_IN_WORDS = (
    ("No space left on device", errno.ENOSPC),
    ("Out of diskspace", errno.ENOSPC),
    ("Disk quota exceeded", errno.EDQUOT),
    ("Too many open files", errno.EMFILE),
    ("Resource temporarily unavailable", errno.EAGAIN),
    ("Cannot fork", errno.EAGAIN),
    ("cannot fork", errno.EAGAIN),
    ("Cannot allocate memory", errno.ENOMEM),
    ("ut of memory", errno.ENOMEM),
    ("Input/output error", errno.EIO),
    ("Read-only file system", errno.EROFS),
    ("No locks available", errno.ENOLCK),
)


_NO_THREAD = "can't start new thread"


def in_words(number: int) -> str:
    """Return what an error number says that the machine is short of."""
    return _SHORT_OF[number]


def is_short(number: int | None) -> bool:
    """Return whether an error number means that the machine is short of something."""
    return number in _SHORT_OF


def shortage_of(error: BaseException) -> str | None:
    """Return what the machine was short of when something failed, or None if it was not that."""
    if isinstance(error, MemoryError):
        return _SHORT_OF[errno.ENOMEM]
    if isinstance(error, OSError) and error.errno is not None:
        return _SHORT_OF.get(error.errno)
    no_thread = isinstance(error, RuntimeError) and _NO_THREAD in str(error)
    return _SHORT_OF[errno.EAGAIN] if no_thread else None


def is_full(place: Path) -> bool:
    """Say whether there is no room, for bytes or for files, on the disk that a folder lies on."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    has_no_files = found.f_files > 0 and found.f_favail == 0
    return found.f_bavail * found.f_frsize < LEAST_ROOM_BYTES or has_no_files


def shortage_of_disk(place: Path) -> str | None:
    """Return why the disk that a folder lies on takes nothing just now, or None if it does."""
    if is_full(place):
        return _SHORT_OF[errno.ENOSPC]
    try:
        is_read_only = os.statvfs(place).f_flag & os.ST_RDONLY
    except OSError:
        return None
    return _SHORT_OF[errno.EROFS] if is_read_only else None


def shortage_in(words: str) -> str | None:
    """Return what a program was short of by its own words, or None if they do not say so."""
    number = next((number for said, number in _IN_WORDS if said in words), None)
    return None if number is None else _SHORT_OF[number]
