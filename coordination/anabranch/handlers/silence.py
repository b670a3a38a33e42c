"""Noticing handlers that do nothing: no output, and no work of any process of theirs.

Time in which nobody looked (the machine slept, the program was stopped) makes nobody older.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

EXCUSED = "excused"
"""A file that is there while the stream waits for an answer of the engine, as for a lock."""
LOOKS = 20
"""So many looks fit into the time that one may be silent."""
SHORTEST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 30.0
_STAT_GROUP, _STAT_TIMES = 2, slice(11, 15)


class Sign(NamedTuple):
    """What changes while a handler does something: bytes written, and processor time in ticks."""

    written: int
    ticks: int


class Silence:
    """Keeps account of how long each handler has done nothing.

    Args:
        limit_seconds: how long one may.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        look = limit_seconds / LOOKS
        self.look_seconds = min(max(look, SHORTEST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)
        self._signs: dict[int, Sign] = {}
        self._silent: dict[int, float] = {}
        self._looked_at: float | None = None

    def forget(self) -> None:
        """Let everybody's silence begin anew."""
        self._silent.clear()

    def look(self, written: Mapping[int, int], now: float) -> list[int]:
        """Return which processes have done nothing for too long.

        Args:
            written: of each, by its process group, how many bytes it has written.
            now: seconds of a monotonic clock.
        """
        passed = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        passed = min(passed, 2 * self.look_seconds)
        ticks = group_ticks(written)
        before, self._signs = self._signs, {}
        silent, self._silent = self._silent, {}
        for pid, size in written.items():
            sign = self._signs[pid] = Sign(size, ticks.get(pid, 0))
            is_silent = before.get(pid) == sign
            self._silent[pid] = silent.get(pid, 0.0) + passed if is_silent else 0.0
        return [pid for pid, seconds in self._silent.items() if seconds >= self.limit_seconds]


def group_ticks(groups: Iterable[int]) -> dict[int, int]:
    """Return how much processor time the processes of each group have had, in clock ticks."""
    wanted = frozenset(groups)
    found = dict.fromkeys(wanted, 0)
    for fields in _stats():
        group = int(fields[_STAT_GROUP])
        if group in wanted:
            found[group] += sum(map(int, fields[_STAT_TIMES]))
    return found


def _stats() -> Iterator[list[bytes]]:
    """Yield the fields behind the name, of each process (proc(5))."""
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                yield file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended
            continue
