"""Files that are replaced whole, and locks on files.

New content goes into a file beside the old one, under a name that nobody knows beforehand, and
takes the name over in one step: whoever reads finds the old content or the new, and whatever is
killed or refused meanwhile, the old content stays. With the descriptor of an open folder nobody
can bend the way there either.

Locks are the kernel's (flock): it gives them back when their owner dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from anabranch.plain_files import Name

LEFTOVERS = ".anabranch-*.new"
"""What a writer that was killed leaves beside the file that it was to replace."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FRESH = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_POLL_SECONDS = 0.005


def replace_whole(
    name: Name,
    content: bytes,
    *,
    at: int | None = None,
    mode: int = 0o600,
    exact_mode: int | None = None,
    synced: bool = False,
    durable: bool = False,
) -> None:
    """Put a file in place in one step, whatever stands there or is planted meanwhile.

    Args:
        name: the file.
        content: what it is to hold.
        at: the descriptor of the folder that a relative name begins at.
        mode: its permissions, less what the umask takes; usually only its owner can read it.
        exact_mode: its permissions whatever the umask takes, instead.
        synced: whether the old file or the new one is there, whole, after a power cut as well.
        durable: whether it must be the new one then; costs as much once more.

    Raises OSError; what stood there is untouched then.
    """
    synced = synced or durable
    with replacing(name, at=at, durable=durable) as fresh:
        write_fresh(fresh, content, at=at, mode=mode, exact_mode=exact_mode, synced=synced)


@contextmanager
def replacing(name: Name, *, at: int | None = None, durable: bool = False) -> Iterator[bytes]:
    """Give a name to make something by, which takes the place of what is called ``name`` then.

    Arguments and errors are those of :func:`replace_whole`; what is made is removed if it fails.
    """
    folder, _ = os.path.split(os.fsencode(name))
    fresh = os.path.join(folder, LEFTOVERS.replace("*", os.urandom(8).hex()).encode())
    try:
        yield fresh
        os.replace(fresh, name, src_dir_fd=at, dst_dir_fd=at)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=at)
        raise
    if durable:
        _sync_folder(folder, at)


def write_fresh(
    name: Name,
    content: bytes,
    *,
    at: int | None = None,
    mode: int = 0o600,
    exact_mode: int | None = None,
    synced: bool = False,
) -> None:
    """Write a file where nothing stands; the arguments are those of :func:`replace_whole`.

    Raises OSError; part of the file may be there then.
    """
    file = os.open(name, os.O_WRONLY | _FRESH, mode if exact_mode is None else 0o600, dir_fd=at)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        if exact_mode is not None:
            os.fchmod(file, exact_mode)
        if synced:
            os.fsync(file)
    finally:
        os.close(file)


def create_fresh(name: str, flags: int) -> int:
    """Make a file where nothing stands; an ``opener`` as ``open`` takes one. Raises OSError."""
    return os.open(name, flags | _FRESH, 0o600)


def _sync_folder(folder: bytes, at: int | None) -> None:
    descriptor = os.open(folder or b".", _FOLDER, dir_fd=at)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_lock(
    file: int,
    patience_seconds: float = 0.0,
    *,
    shared: bool = False,
    waits: Callable[[], None] | None = None,
) -> bool:
    """Lock an open file until it is closed; return False if somebody else has it all the time.

    Args:
        file: its descriptor, or that of a folder.
        patience_seconds: how long to try; at 0 it is tried once.
        shared: whether others may have such a lock too; otherwise it is one's own alone.
        waits: called once when it has to be waited for.

    Raises OSError if it cannot be known.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        else:
            return True
        if waits is not None:
            waits()
            waits = None
        time.sleep(_POLL_SECONDS)
