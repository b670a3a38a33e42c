"""One writer a run: an advisory lock that the kernel gives back when its owner dies."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import IO

from anabranch.files import take_lock
from anabranch.plain_files import open_plain
from anabranch.shortage import is_short

_PATIENCE_SECONDS = 0.5
BEAT_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""A host that has given no sign for so long does not answer: it is stopped, or hangs."""
NOTE_BYTES = 80


class RunLock:
    """The right to write one run's journal. Never stolen, only given back or left by the dead."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._beat_at = 0.0

    @classmethod
    def acquire(cls, path: Path) -> RunLock | None:
        """Return the lock, or None if another process has it.

        It is tried for half a second, because somebody who only looks (:func:`holder_of`) may have
        it for an instant.
        """
        file = _opened(path)
        if not take_lock(file.fileno(), _PATIENCE_SECONDS):
            file.close()
            return None
        _note_owner(file.fileno())
        return cls(file, path)

    def beat(self) -> None:
        """Give a sign that this process does its work, once a second at most."""
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + BEAT_SECONDS
            with contextlib.suppress(OSError):
                os.utime(self._file.fileno())
                if os.fstat(self._file.fileno()).st_nlink == 0:
                    self._lock_anew()

    def _lock_anew(self) -> None:
        """Put a file in the place of the one that somebody has removed, or others could host too.

        Whoever was faster has it; the journal then stops the one who writes second.
        """
        file = _opened(self._path)
        if not take_lock(file.fileno()):
            file.close()
            return
        _note_owner(file.fileno())
        removed, self._file = self._file, file
        removed.close()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


def holder_of(path: Path) -> int | None:
    """Return the pid of the process that hosts a run, for telling people; None if nobody does.

    0 stands for somebody whose number is not known, and for what cannot be known just now.
    """
    try:
        with open(open_plain(path), "rb") as file:
            if take_lock(file.fileno(), shared=True):
                return None
            return _noted_owner(file.read(NOTE_BYTES))
    except OSError as error:
        return 0 if is_short(error.errno) else None


def silent_since(path: Path) -> float | None:
    """Return since when, in seconds since 1970, a run's host gives no sign; None if it does.

    A host of an earlier version, which gives none, is not judged.
    """
    try:
        with open(open_plain(path), "rb") as file:
            if b'"beats"' not in file.read(NOTE_BYTES) or take_lock(file.fileno(), shared=True):
                return None
            beat = os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    return beat if time.time() - beat > SILENT_SECONDS else None


def _opened(path: Path) -> IO[bytes]:
    descriptor = open_plain(path, flags=os.O_RDWR | os.O_CREAT)
    return open(descriptor, "r+b", buffering=0)


def _noted_owner(note: bytes) -> int:
    try:
        return int(json.loads(note or b"{}").get("pid", 0))
    except (ValueError, TypeError, AttributeError):
        return 0


def _note_owner(lock: int) -> None:
    """Write down who holds the lock, for people.

    In place and always as long, so that a full disk refuses it only to the first owner, who holds
    the lock all the same.
    """
    note = json.dumps({"pid": os.getpid(), "since": round(time.time(), 1), "beats": 1}).ljust(
        NOTE_BYTES
    )
    with contextlib.suppress(OSError):
        os.pwrite(lock, note.encode(), 0)
