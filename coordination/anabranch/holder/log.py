"""An attempt's log: all of its output, or, of a flood, the beginning and the end.

A log that grows to MOST_BYTES is cut back to its first and its last part, with a line between them
that says how much was left out; it then grows again. So it never takes more room than that, and at
any moment both how it began and what came last can be read.
"""

import os

from . import log_times, records

MOST_BYTES = 64 * 1024 * 1024
FIRST_BYTES = 16 * 1024 * 1024
LAST_BYTES = 16 * 1024 * 1024
MOVE_BYTES = 1024 * 1024
LINE_BYTES = 4096


class Log:
    """The log of one attempt; ``left_out`` counts what was cut, ``lost`` what a disk refused."""

    def __init__(self, name: str, run: int, most_bytes: int = MOST_BYTES) -> None:
        """Open it, made if it is not there; raises OSError."""
        self._file = records.open_own(f"logs/{name}.log", os.O_RDWR, run)
        self._times = log_times.LogTimes(name, run)
        self._most = most_bytes
        self._first = min(FIRST_BYTES, most_bytes // 4)
        self._last = min(LAST_BYTES, most_bytes // 4)
        self.left_out = 0
        self.lost = 0

    def size(self) -> int:
        """Return how many bytes are in it."""
        return os.fstat(self._file).st_size

    def write(self, output: bytes) -> bool:
        """Append output; true if it made the log be cut. What a full disk refuses is dropped."""
        try:
            at = os.lseek(self._file, 0, os.SEEK_END)
            self._times.grows(at)
            while output:
                output = output[os.write(self._file, output) :]
        except OSError:
            self.lost += len(output)
            return False
        return at >= self._most and self._cut(os.lseek(self._file, 0, os.SEEK_END))

    def _cut(self, end: int) -> bool:
        """Move the last part down to the first one."""
        first = self._first = self._first if self.left_out else self._end_of_first()
        start = self._begin_of_line(end - self._last)
        known = self.left_out
        self.left_out += start - first - (len(_note(0)) if known else 0)
        note = _note(self.left_out)
        times = self._times.entries_from(start)
        self._times.is_cut(first)
        try:
            os.pwrite(self._file, note, first)
            moved = first + len(note)
            for at in range(start, end, MOVE_BYTES):
                part = os.pread(self._file, min(MOVE_BYTES, end - at), at)
                moved += os.pwrite(self._file, part, moved)
            os.ftruncate(self._file, moved)
        except OSError:
            return False
        self._times.moved(times, start - first - len(note))
        return True

    def _end_of_first(self) -> int:
        """Return where the first part ends: after a line, if there is one."""
        at = max(0, self._first - LINE_BYTES)
        return at + os.pread(self._file, LINE_BYTES, at).rfind(b"\n") + 1

    def _begin_of_line(self, at: int) -> int:
        return at + os.pread(self._file, LINE_BYTES, at).find(b"\n") + 1


def _note(left_out: int) -> bytes:
    return f"\n[anabranch: {left_out:15d} bytes of output are left out here]\n".encode()
