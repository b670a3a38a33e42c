"""When the lines of a log were written, as far as that is known: what its holder noted beside it.

Lines of a log that has no such file, of runs of before or of a holder that could not write it, have
no time.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

from anabranch.holder.log_times import ENTRY_BYTES, MOST_ENTRIES, UNKNOWN
from anabranch.plain_files import open_plain

_ENTRY = struct.Struct(">QQI")
_LATEST = 253_402_300_000_000  # the end of the year 9999: what clocks can show
_MOST_BYTES = 4 * MOST_ENTRIES * ENTRY_BYTES
assert _ENTRY.size == ENTRY_BYTES


class Moment(NamedTuple):
    """When something was read: not before ``wall``, seconds since 1970, and within so many more."""

    wall: float
    within_seconds: float


class LogTimes:
    """The times of one log, taken up anew as it grows.

    ``rewritten`` counts how often what was known before has changed: places in the log may be
    others then.
    """

    def __init__(self, log: Path) -> None:
        self._path = log.with_suffix(".times")
        self._known = _Entries()
        self._inode = 0
        self.rewritten = 0

    def look(self) -> None:
        """Take up what was noted since the last look."""
        try:
            with open(self._path, "rb", opener=_open_regular, buffering=0) as file:
                self._take(file.fileno())
        except OSError:
            self._forget()

    def at(self, offset: int) -> Moment | None:
        """Return when the byte at an offset of the log was written; None if that is not known."""
        known = self._known
        index = bisect_right(known.offsets, offset) - 1
        if index < 0 or not UNKNOWN < known.walls[index] < _LATEST:
            return None
        return Moment(known.walls[index] / 1000, known.spreads[index] / 1000)

    def first(self) -> Moment | None:
        """Return when the log was begun."""
        return self.at(self._known.offsets[0]) if self._known.offsets else None

    def _take(self, file: int) -> None:
        found, count = os.fstat(file), len(self._known.offsets)
        there = min(found.st_size, _MOST_BYTES) // ENTRY_BYTES
        if there < count or found.st_ino != self._inode or not self._has_last(file):
            self._forget()
            self._inode, count = found.st_ino, 0
        if there > count:
            data = os.pread(file, (there - count) * ENTRY_BYTES, count * ENTRY_BYTES)
            self._known.append(data[: len(data) // ENTRY_BYTES * ENTRY_BYTES])

    def _has_last(self, file: int) -> bool:
        """Return whether the last entry that is known stands where it stood."""
        last = self._known.last()
        if last is None:
            return True
        at = (len(self._known.offsets) - 1) * ENTRY_BYTES
        return os.pread(file, ENTRY_BYTES, at) == _ENTRY.pack(*last)

    def _forget(self) -> None:
        if self._known.offsets:
            self.rewritten += 1
            self._known = _Entries()


class _Entries:
    """Entries by column; whoever reads them in another thread sees whole ones only."""

    def __init__(self) -> None:
        self.offsets, self.walls, self.spreads = array("Q"), array("Q"), array("I")

    def append(self, data: bytes) -> None:
        for offset, wall, spread in _ENTRY.iter_unpack(data):
            self.spreads.append(spread)
            self.walls.append(wall)
            self.offsets.append(offset)  # the last: by it the others are found

    def last(self) -> tuple[int, int, int] | None:
        if not self.offsets:
            return None
        return self.offsets[-1], self.walls[-1], self.spreads[-1]


def _open_regular(path: str, flags: int) -> int:
    return open_plain(Path(path), flags=flags)
