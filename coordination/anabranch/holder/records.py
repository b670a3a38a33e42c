"""The records a holder leaves in its attempt's folder: ``start``, ``exit``, and some in between.

In between come ``setup``, of how the setup ended, ``flood``, of output that had to be left out, and
``terminal``, of how that stands.
All are written under another name and renamed, so a reader sees all of one or none. Neither is
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


def reserve(name: str, folder: int) -> None:
    """Take the room of a record now, so that a full disk cannot prevent it later.

    Raises OSError if there is no room.
    """
    _write(f".{name}", b" " * EXIT_BYTES, folder)


def write_start(folder: int, record: dict[str, Value]) -> None:
    """Write the ``start`` record; raises OSError if that fails."""
    _write(".start", _encode(record), folder)
    os.rename(".start", "start", src_dir_fd=folder, dst_dir_fd=folder)


def write_passing(name: str, folder: int, record: dict[str, Value]) -> None:
    """Write a record of how something stands just now; nothing depends on it."""
    try:
        _write(f".{name}", _encode(record).ljust(EXIT_BYTES), folder)
        os.rename(f".{name}", name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        pass


def write_exit(folder: int, record: dict[str, Value]) -> None:
    """Write the ``exit`` record into the reserved room; see ``write_reserved``."""
    write_reserved("exit", folder, record)


def write_reserved(name: str, folder: int, record: dict[str, Value]) -> None:
    """Write a record into the room that is reserved for it; texts are cut to what fits.

    Should that room have become something else, it is written beside it.
    """
    content = _encode(record).ljust(EXIT_BYTES)
    try:
        draft = f".{name}"
        _write(draft, content, folder)
    except OSError:
        draft = f".{name}.{os.getpid()}"
        _write(draft, content, folder)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


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
