"""The one way to open a file that somebody else can put another thing in place of.

Streams run as the same user and may swap any file near them for a link, a pipe, a device, a folder
or a terabyte of nothing. What is opened here follows no link (in the last part of its name), waits
for nobody, is a plain file, and is read up to a bound. A name can be given relative to the
descriptor of a folder, so that the way there cannot be bent either.

Errors keep three answers apart: FileNotFoundError or NotADirectoryError, *nothing is there*;
:class:`NotPlain`, *something is there that nobody has to read*; any other OSError, *not known*.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

Name = str | bytes | Path

_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_OF_OTHER_KINDS = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV)
_CHUNK_BYTES = 1 << 20
_PAGE_BYTES = 4096

SMALL_FILE_BYTES = 64 * 1024
LARGE_FILE_BYTES = 256 * 1024 * 1024


class NotPlain(OSError):
    """What stands there is not a plain file, or is larger than what is read of it."""


def open_plain(name: Name, *, at: int | None = None, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a plain file.

    Args:
        name: the file; only its last part must not be a link.
        at: the descriptor of the folder that a relative name begins at.
        flags: what ``os.open`` is to do besides; a new file can be read by its owner only.

    Raises NotPlain, OSError.
    """
    try:
        descriptor = os.open(name, flags | _OPEN, 0o600, dir_fd=at)
    except OSError as error:
        if error.errno in _OF_OTHER_KINDS:
            raise _not_plain(name) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _not_plain(name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_fifo(name: Name) -> int:
    """Return a descriptor of a fifo with one name, for reading and writing, which never waits.

    Raises NotPlain if it is something else, or somebody else's under a second name; OSError.
    """
    try:
        descriptor = os.open(name, os.O_RDWR | _OPEN)
    except OSError as error:
        if error.errno in _OF_OTHER_KINDS:
            raise _not_plain(name) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISFIFO(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise NotPlain(errno.EINVAL, "it is not a fifo of its own", os.fsdecode(name))
    return descriptor


def read_plain(name: Name, most_bytes: int, *, at: int | None = None) -> bytes:
    """Return the whole content of a plain file. Raises NotPlain, also if it is larger; OSError."""
    descriptor = open_plain(name, at=at)
    try:
        size = os.fstat(descriptor).st_size
        if size <= most_bytes:
            content = _read_to_end(descriptor, size, most_bytes)
            if len(content) <= most_bytes:
                return content
    finally:
        os.close(descriptor)
    raise NotPlain(errno.EFBIG, f"it holds more than {most_bytes} bytes", os.fsdecode(name))


def _read_to_end(descriptor: int, size: int, most_bytes: int) -> bytes:
    """Read all there is, or a little more than the most; of what /proc makes no size is known."""
    content = os.read(descriptor, size + _PAGE_BYTES)
    while len(content) <= most_bytes and (more := os.read(descriptor, SMALL_FILE_BYTES)):
        content += more
    return content


def read_if_there(name: Name, most_bytes: int, *, at: int | None = None) -> bytes | None:
    """Return the content of a plain file, None if nothing is there. Raises NotPlain, OSError."""
    try:
        return read_plain(name, most_bytes, at=at)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_to_append(name: Path) -> BinaryIO:
    """Return a plain file that is written to at its end, made if it is not there.

    Raises NotPlain, OSError.
    """
    return open(open_plain(name, flags=os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def copy_plain(source: Path, target: Path, most_bytes: int = LARGE_FILE_BYTES) -> os.stat_result:
    """Copy a plain file to a name of our own; return what the source was. Raises as read_plain."""
    with open(open_plain(source), "rb") as file, open(open_plain(target, flags=_NEW), "wb") as copy:
        found = os.fstat(file.fileno())
        left = most_bytes
        while chunk := file.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise NotPlain(errno.EFBIG, f"it holds more than {most_bytes} bytes", str(source))
            copy.write(chunk)
    return found


def _not_plain(name: Name) -> NotPlain:
    return NotPlain(errno.EINVAL, "it is not a plain file", os.fsdecode(name))
