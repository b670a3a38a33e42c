"""When a log grew: places and times, in a small file beside it, so that its lines have a time.

An entry says: what stands from this byte on, up to the next entry's, was read from the command at
this time or at most so much later. A new one is written, before the output itself, if the latest is
older than APART_SECONDS; nothing is written, and nobody woken, while the command is silent. When
there are MOST_ENTRIES of them, neighbours become one, which then says how far they lay apart: the
file is bounded, and what is no longer known exactly is not said so.

Whoever is killed at any moment leaves times that are true: an entry at TIME 0 says that nothing is
known from there on. If an entry cannot be written, the file is removed, since the one before would
claim what comes after it.
"""

import os
import time

from . import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OFFSET_BYTES, TIME_BYTES, SPREAD_BYTES = 8, 8, 4
ENTRY_BYTES = OFFSET_BYTES + TIME_BYTES + SPREAD_BYTES
MOST_ENTRIES = 32_768
APART_SECONDS = 0.25
UNKNOWN = 0
MOST_SPREAD = (1 << 31) - 1

Entry = tuple[int, int, int]
"""From which byte on, when in milliseconds since 1970, and for how many of them at most."""


class LogTimes:
    """The times of one attempt's log."""

    def __init__(self, name: str, run: int, most_entries: int = MOST_ENTRIES) -> None:
        """Prepare; the file is made with the first entry."""
        self._path, self._draft = f"logs/{name}.times", f"logs/.{name}.times"
        self._run, self._most = run, most_entries
        self._file: int | None = None
        self._count = 0
        self._next_at = 0.0
        self._has_failed = False

    def grows(self, offset: int) -> None:
        """Note that output comes now, which is to stand from a byte of the log on."""
        now = time.monotonic()
        if now < self._next_at or self._has_failed:
            return
        self._next_at = now + APART_SECONDS
        try:
            self._append([(offset, int(time.time() * 1000), int(APART_SECONDS * 1000))])
            if self._count >= self._most:
                self._thin_out()
        except OSError:
            self._give_up()

    def is_cut(self, first: int) -> None:
        """Forget what is known from a byte on: it is about to be moved."""
        if self._file is None:
            return
        try:
            self._count = sum(entry[0] < first for entry in self._entries())
            self._append([(first, UNKNOWN, 0)])
            os.ftruncate(self._file, self._count * ENTRY_BYTES)
        except OSError:
            self._give_up()

    def entries_from(self, start: int) -> list[Entry]:
        """Return what is known of a byte and of those after it."""
        known, later = None, list[Entry]()
        for entry in self._entries():
            if entry[0] > start:
                later.append(entry)
            else:
                known = entry
        return later if known is None else [(start, known[1], known[2]), *later]

    def moved(self, entries: list[Entry], by: int) -> None:
        """Take entries up again whose bytes were moved down."""
        if self._file is None:
            return
        try:
            self._append([(offset - by, at, spread) for offset, at, spread in entries])
        except OSError:
            self._give_up()

    def _append(self, entries: list[Entry]) -> None:
        if self._file is None:
            self._file = records.open_own(self._path, os.O_RDWR, self._run)
            self._count = os.fstat(self._file).st_size // ENTRY_BYTES
        data = b"".join([_encoded(entry) for entry in entries])
        if os.pwrite(self._file, data, self._count * ENTRY_BYTES) < len(data):
            raise OSError("the disk is full")
        self._count += len(entries)

    def _data(self) -> bytes:
        return b"" if self._file is None else os.pread(self._file, self._count * ENTRY_BYTES, 0)

    def _entries(self) -> "Iterator[Entry]":
        data = self._data()
        return (_decoded(data, at) for at in range(0, len(data), ENTRY_BYTES))

    def _thin_out(self) -> None:
        """Make one of neighbours that lie so near each other that half of the entries suffice."""
        data, within = self._data(), 2 * int(APART_SECONDS * 1000)
        while len(thinned := _joined(data, within)) > self._most // 2 * ENTRY_BYTES:
            within *= 2
            if within > MOST_SPREAD:
                raise OSError("its times cannot be put in order")
        draft = records.open_own(self._draft, os.O_RDWR | os.O_TRUNC, self._run)
        if os.pwrite(draft, thinned, 0) < len(thinned):
            raise OSError("the disk is full")
        os.rename(self._draft, self._path, src_dir_fd=self._run, dst_dir_fd=self._run)
        assert self._file is not None
        os.close(self._file)
        self._file, self._count = draft, len(thinned) // ENTRY_BYTES

    def _give_up(self) -> None:
        self._has_failed = True
        for path in (self._path, self._draft):
            try:
                os.unlink(path, dir_fd=self._run)
            except OSError:
                pass
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _joined(data: bytes, within: int) -> bytearray:
    """Return entries of which those are one that lie within so many milliseconds.

    Never one whose time is unknown with one whose is not, nor over a clock that was set back. They
    stay bytes: thousands of holders may do this, and what one has used of memory it keeps.
    """
    joined = bytearray()
    last: Entry | None = None
    for place in range(0, len(data), ENTRY_BYTES):
        entry = _decoded(data, place)
        if last is not None:
            offset, at, spread = last
            spread = max(spread, entry[1] + entry[2] - at)
            if at <= entry[1] and spread <= within:  # no known time is that near to UNKNOWN
                last = (offset, at, spread)
                continue
            joined += _encoded(last)
        last = entry
    return joined if last is None else joined + _encoded(last)


def _encoded(entry: Entry) -> bytes:
    offset, at, spread = entry
    return (
        offset.to_bytes(OFFSET_BYTES, "big")
        + at.to_bytes(TIME_BYTES, "big")
        + spread.to_bytes(SPREAD_BYTES, "big")
    )


def _decoded(data: bytes, at: int) -> Entry:
    after_offset, after_time = at + OFFSET_BYTES, at + OFFSET_BYTES + TIME_BYTES
    return (
        int.from_bytes(data[at:after_offset], "big"),
        int.from_bytes(data[after_offset:after_time], "big"),
        int.from_bytes(data[after_time : at + ENTRY_BYTES], "big"),
    )
