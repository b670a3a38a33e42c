"""Items that come on a descriptor, as on stdin: kept in a file, and followed there while they come.

Whoever writes the file holds the kernel's lock on it, which nobody's death outlives, and notes
beside it how many bytes there are when all has come. So a reader knows three things apart: more may
come, this was all, and the writer died before all had come. A reader may begin again at any time.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LONGEST_LINE_BYTES = 128 * 1024 - 1
"""The most that one argument of a program may have."""
CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.02
LEAST_FREE_BYTES = 512 << 20
LEAST_FREE_SHARE = 0.02
"""Below both nothing more is taken: an endless source leaves room for everybody else's work."""
FULL_DISK_SECONDS = 1.0


class EndedEarly(Exception):
    """Not all items have come, and no more will; says why."""


class End(NamedTuple):
    """What is noted when no more will come: how many bytes, and what went wrong, if something."""

    bytes: int
    problem: str


class Keeper:
    """Writes what comes on a descriptor into a file that others follow."""

    def __init__(self, source: int, path: str) -> None:
        """Make the file, and be known as the one who writes it. Raises OSError.

        Args:
            source: the descriptor to read; closed at the end.
            path: the file; nothing must be there.
        """
        self._source, self._path = source, path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def keep_all(self) -> None:
        """Keep everything until the source ends; what goes wrong is told to those who follow."""
        length, problem = 0, ""
        try:
            while chunk := os.read(self._source, CHUNK_BYTES):
                while _is_nearly_full(self._file):
                    time.sleep(FULL_DISK_SECONDS)
                _write_all(self._file, chunk)
                length += len(chunk)
            os.fsync(self._file)
        except OSError as error:
            problem = f"they cannot be read or kept any more: {error.strerror}"
        _note_end(self._path, End(length, problem))
        os.close(self._file)
        os.close(self._source)


def kept_items(path: str) -> Iterator[str]:
    """Yield the lines of a file that is being kept, as they come; empty ones are left out.

    Raises:
        EndedEarly: no more will come, though there were more.
    """
    number, tail = 0, b""
    try:
        with open(path, "rb") as file:
            for line in _lines_as_they_come(file):
                if not line.endswith(b"\n"):
                    tail = line
                elif text := _text(line):
                    number += 1
                    yield text
    except OSError as error:
        raise EndedEarly(f"the items that were kept cannot be read: {error.strerror}") from None
    end = _noted_end(path)
    if end is None or end.problem:
        why = end.problem if end else "the console that read them is gone"
        cut = " and the beginning of one more" if tail else ""
        raise EndedEarly(f"the items on stdin ended early: {why}; {number}{cut} had come")
    if text := _text(tail):
        yield text


def _lines_as_they_come(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines; at the very end what there is without an end of line, even nothing."""
    is_over = False
    while True:
        line = file.readline(LONGEST_LINE_BYTES + 2)
        if len(line) > LONGEST_LINE_BYTES + 1 or (
            len(line) > LONGEST_LINE_BYTES and line[-1] != 10
        ):
            raise EndedEarly(f"a line of more than {LONGEST_LINE_BYTES} bytes")
        if line.endswith(b"\n"):
            yield line
        elif is_over:
            yield line
            return
        else:
            file.seek(-len(line), os.SEEK_CUR)
            is_over = not _has_writer(file)  # what it wrote until then is read once more
            if not is_over:
                time.sleep(POLL_SECONDS)


def _has_writer(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _text(line: bytes) -> str:
    return line.rstrip(b"\n").decode("utf-8", "surrogateescape")


def _is_nearly_full(file: int) -> bool:
    found = os.fstatvfs(file)
    least = min(LEAST_FREE_BYTES, LEAST_FREE_SHARE * found.f_blocks * found.f_frsize)
    return found.f_bavail * found.f_frsize < least


def _write_all(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]


def _note_end(path: str, end: End) -> None:
    beside = f"{path}.end.new"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(end, file)
        os.replace(beside, f"{path}.end")
    except OSError:
        return  # without the note nobody takes what there is for all


def _noted_end(path: str) -> End | None:
    try:
        with open(f"{path}.end", encoding="utf-8") as file:
            length, problem = json.load(file)
        return End(int(length), str(problem)) if length == os.path.getsize(path) else None
    except (OSError, ValueError, TypeError):
        return None
