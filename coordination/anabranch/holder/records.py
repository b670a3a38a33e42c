"""The two records a holder leaves in its attempt's folder: ``start`` and ``exit``.

Both are written under another name and renamed, so a reader sees all of one or none. Neither is
synced to the disk: a killed process loses nothing it has written, and after a reboot every attempt
that was running is judged lost by its boot id, whatever became of its records.
"""

import json
import os
import time

EXIT_BYTES = 1024
TEXT_CHARACTERS = 600
RESERVED = ".exit"

Value = int | float | str | None


def _write(name: str, content: bytes, folder: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
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


def write_exit(folder: int, record: dict[str, Value]) -> None:
    """Write the ``exit`` record into the reserved room; texts are cut to what fits."""
    _write(RESERVED, _encode(record).ljust(EXIT_BYTES), folder)
    os.rename(RESERVED, "exit", src_dir_fd=folder, dst_dir_fd=folder)


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
        return json.dumps(value.encode("ascii", "replace").decode()[:TEXT_CHARACTERS])
    return repr(value)
