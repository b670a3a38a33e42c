"""The records a holder leaves in its attempt's folder: ``start``, ``exit``, perhaps ``flood``.

Both are written under another name and renamed, so a reader sees all of one or none. Neither is
synced to the disk: a killed process loses nothing it has written, and after a reboot every attempt
that was running is judged lost by its boot id, whatever became of its records.
"""

import errno
import os
import stat
import time

from . import plain_json

EXIT_BYTES = 1024
TEXT_CHARACTERS = 600
RESERVED = ".exit"

Value = int | float | str | None


def open_own(name: str, flags: int, folder: int) -> int:
    """Open a plain file of the holder's own, made if it is not there.

    Neither a link nor a pipe that a stream has put in its place is followed or waited for.
    Raises OSError.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a plain file", name)


def _write(name: str, content: bytes, folder: int) -> None:
    descriptor = open_own(name, os.O_WRONLY, folder)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def reserve_exit(folder: int) -> None:
    """Take the room of the exit record now, so that a full disk cannot prevent it later.

    Raises OSError if there is no room.
    """
    _write(RESERVED, b" " * EXIT_BYTES, folder)


def write_start(folder: int, record: dict[str, Value]) -> None:
    """Write the ``start`` record; raises OSError if that fails."""
    _write(".start", _encode(record), folder)
    os.rename(".start", "start", src_dir_fd=folder, dst_dir_fd=folder)


def write_flood(folder: int, record: dict[str, Value]) -> None:
    """Write how much of the output had to be left out so far; nothing depends on it."""
    try:
        _write(".flood", _encode(record).ljust(EXIT_BYTES), folder)
        os.rename(".flood", "flood", src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        pass


def write_exit(folder: int, record: dict[str, Value]) -> None:
    """Write the ``exit`` record into the reserved room; texts are cut to what fits.

    Should that room have become something else, it is written beside it.
    """
    content = _encode(record).ljust(EXIT_BYTES)
    try:
        draft = RESERVED
        _write(draft, content, folder)
    except OSError:
        draft = f"{RESERVED}.{os.getpid()}"
        _write(draft, content, folder)
    os.rename(draft, "exit", src_dir_fd=folder, dst_dir_fd=folder)


def _encode(record: dict[str, Value]) -> bytes:
    """Encode a flat record with the time added.

    By hand but for texts: the first use of a codec in a forked process copies its pages.
    """
    record = record | {"wall": time.time(), "monotonic": time.monotonic()}
    return ("{" + ", ".join([f'"{key}": {_text(record[key])}' for key in record]) + "}").encode()


def _text(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return plain_json.quoted(value.encode("ascii", "replace").decode()[:TEXT_CHARACTERS])
    return repr(value)
