"""What the processes of every stream use, read in one pass over the process table.

A stream's processes are everything below its holder, and since the holder adopts orphans, nothing
escapes: the tree is complete. Walking each tree by itself costs minutes at a thousand streams, so
``/proc/*/stat`` is read once and every process is credited to its nearest holder.

CPU time must not shrink when a child ends. The kernel moves the time of a child that was waited
for to its parent, so the sum over a tree of own and waited-for time is conserved as long as
parents reap; the holder's own work (copying output) is left out, what it reaped is counted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec
import psutil

from anabranch.core.ids import StreamId
from anabranch.engine.machine_memory import memory_now

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The longest line the kernel writes here is well under this.
_STAT_BYTES = 2048


class TreeUsage(msgspec.Struct, frozen=True):
    """What the processes below one holder use right now.

    ``cpu_seconds`` counts since the holder began; ``memory_bytes`` is resident memory, shared
    pages counted in each process; ``disk_waits`` is the number of processes waiting for a disk;
    ``holder_started_ticks`` tells the holder from a later process with the same id.
    """

    processes: int
    cpu_seconds: float
    memory_bytes: int
    disk_waits: int
    holder_started_ticks: int


class Process(NamedTuple):
    """The facts about one process that matter here; times in clock ticks."""

    parent: int
    state: bytes
    own_ticks: int
    reaped_ticks: int
    started_ticks: int
    resident_pages: int


class _Sum(msgspec.Struct):
    """The running total of one tree while the table is being added up."""

    holder: Process
    processes: int = 0
    ticks: int = 0
    pages: int = 0
    disk_waits: int = 0

    def add(self, process: Process) -> None:
        self.processes += 1
        self.ticks += process.own_ticks + process.reaped_ticks
        self.pages += process.resident_pages
        self.disk_waits += process.state == b"D"

    def usage(self) -> TreeUsage:
        return TreeUsage(
            processes=self.processes,
            cpu_seconds=(self.ticks + self.holder.reaped_ticks) / _TICKS_PER_SECOND,
            memory_bytes=self.pages * _PAGE_BYTES,
            disk_waits=self.disk_waits,
            holder_started_ticks=self.holder.started_ticks,
        )


def sample_trees(roots: Mapping[StreamId, int]) -> dict[StreamId, TreeUsage]:
    """Return the usage below each stream's holder process.

    Args:
        roots: the process id of each stream's holder.

    A stream whose holder is not in the process table is missing from the answer. A holder below
    another holder keeps its processes for itself. Raises OSError while the table cannot be read as
    a whole: half of it would make the living look dead or idle.
    """
    if not roots:
        return {}
    table = _read_table()
    holders = {pid: table[pid] for pid in roots.values() if pid in table}
    sums = {pid: _Sum(holder) for pid, holder in holders.items() if holder.state != b"Z"}
    holder_of: dict[int, int] = {}
    for pid, process in table.items():
        holder = _nearest_holder(process.parent, table, sums, holder_of)
        # A zombie uses nothing and does nothing; its time still counts until it is reaped.
        if holder and process.state == b"Z":
            sums[holder].ticks += process.own_ticks + process.reaped_ticks
        elif holder and pid not in sums:
            sums[holder].add(process)
    return {stream: sums[pid].usage() for stream, pid in roots.items() if pid in sums}


def processes_below(roots: Mapping[StreamId, int]) -> dict[StreamId, list[int]]:
    """Return the processes below each stream's holder, by their numbers. Raises OSError."""
    table = _read_table()
    sums = {pid: _Sum(table[pid]) for pid in roots.values() if pid in table}
    holder_of: dict[int, int] = {}
    below: dict[int, list[int]] = {pid: [] for pid in sums}
    for pid, process in table.items():
        if holder := _nearest_holder(process.parent, table, sums, holder_of):
            below[holder].append(pid)
    return {stream: below[pid] for stream, pid in roots.items() if pid in below}


def is_still(holder_pid: int, *, or_waits: bool = False) -> bool:
    """Say whether every process below a holder is stopped (or has ended).

    One that waits inside the kernel (``or_waits``) will stop before it does anything more itself;
    so does one that has just forked, until its child, which was stopped first, goes on.
    """
    states = b"TtZXD" if or_waits else b"TtZX"
    table = _read_table()
    if holder_pid not in table:
        return False
    sums = {holder_pid: _Sum(table[holder_pid])}
    holder_of: dict[int, int] = {}
    below = (p for p in table.values() if _nearest_holder(p.parent, table, sums, holder_of))
    return all(process.state in states for process in below)


def machine_capacity() -> dict[str, float]:
    """Return what the machine has to give to streams: ``cpu_cores`` and ``memory_mb``.

    What cannot be found out (without /proc, say) is left out.
    """
    found = {"cpu_cores": float(_usable_processors())}
    with suppress(OSError):
        found["memory_mb"] = float(memory_now().total_mb // 1)
    return found


def parse_stat(line: bytes) -> Process | None:
    """Read one ``/proc/PID/stat`` line, or return None if it is cut short.

    The name in the second field is chosen by the process and may hold spaces and brackets: the
    fields that count begin after the last closing bracket.
    """
    fields = line[line.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return None
    return Process(
        parent=int(fields[1]),
        state=fields[0],
        own_ticks=int(fields[11]) + int(fields[12]),
        reaped_ticks=int(fields[13]) + int(fields[14]),
        started_ticks=int(fields[19]),
        resident_pages=int(fields[21]),
    )


def _read_table() -> dict[int, Process]:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pids = (name for name in os.listdir(proc) if name.isdecimal())
        found = ((int(pid), _read_process(proc, pid)) for pid in pids)
        return {pid: process for pid, process in found if process is not None}
    finally:
        os.close(proc)


def _read_process(proc: int, pid: str) -> Process | None:
    """Read one process; None if it ended while the table was being read, or is not ours to see.

    Raises OSError if the machine cannot tell: then it may well live.
    """
    try:
        descriptor = os.open(f"{pid}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        return parse_stat(os.read(descriptor, _STAT_BYTES))
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)


def _nearest_holder(
    pid: int, table: Mapping[int, Process], sums: Mapping[int, _Sum], known: dict[int, int]
) -> int:
    """Return the nearest holder at or above ``pid``, 0 if there is none.

    The table was not read in one instant, so ids reused meanwhile may tie it into a knot: each
    id on the way is marked before going on, which ends any cycle.
    """
    trail: list[int] = []
    while pid not in sums and pid not in known and pid in table:
        known[pid] = 0
        trail.append(pid)
        pid = table[pid].parent
    holder = pid if pid in sums else known.get(pid, 0)
    for passed in trail:
        known[passed] = holder
    return holder


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1
