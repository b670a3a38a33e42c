"""Whether a program waits at its terminal, by what the kernel says that its threads wait in.

Only processes in the terminal's foreground count: the others may not read it. What cannot be found
out (another kind of machine, a process of somebody else) is that nobody is known to read.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import Literal, NamedTuple

from anabranch.plain_files import SMALL_FILE_BYTES, read_if_there

Reading = Literal["", "reads", "beside", "polls"]
"""How a program waits: its first thread *reads* the terminal, or one *beside* it does, or
it *polls* for keys and more."""

MOST_THREADS = 32
_OWN_TERMINAL = os.makedev(5, 0)
"""``/dev/tty``: whatever terminal a process has."""
_READS: dict[str, frozenset[int]] = {"x86_64": frozenset({0, 19}), "aarch64": frozenset({63, 65})}
_POLLS: dict[str, frozenset[int]] = {
    "x86_64": frozenset({7, 23, 232, 270, 271, 281, 441}),
    "aarch64": frozenset({22, 72, 73, 441}),
}


class Call(NamedTuple):
    """What a thread waits in: a read of a descriptor, or a poll."""

    kind: Literal["read", "poll"]
    descriptor: int


def parse_call(line: str, machine: str = "") -> Call | None:
    """Read a line of ``/proc/PID/syscall``; None if the thread runs or waits in something else."""
    machine = machine or platform.machine()
    words = line.split()
    if len(words) < 2 or not words[0].isdecimal():
        return None
    number = int(words[0])
    if number in _READS.get(machine, ()):
        return Call("read", int(words[1], 16))
    return Call("poll", -1) if number in _POLLS.get(machine, ()) else None


def reading_of(pids: Iterable[int]) -> Reading:
    """Return how any of some processes waits at the terminal that it is in the foreground of."""
    found: set[Reading] = {_reading_of_one(pid) for pid in pids}
    order: tuple[Reading, ...] = ("reads", "beside", "polls")
    return next((reading for reading in order if reading in found), "")


def _reading_of_one(pid: int) -> Reading:
    terminal = _foreground_terminal(pid)
    if terminal is None:
        return ""
    polls = False
    for thread in _threads(pid):
        call = parse_call(_text(f"/proc/{pid}/task/{thread}/syscall"))
        if call is None:
            continue
        if call.kind == "read" and _device(pid, call.descriptor) in (terminal, _OWN_TERMINAL):
            return "reads" if thread == pid else "beside"
        polls = polls or (call.kind == "poll" and thread == pid)
    return "polls" if polls else ""


def _foreground_terminal(pid: int) -> int | None:
    """Return the terminal that a process is in the foreground of, as a device number."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 6:
        return None
    group, device, foreground = int(fields[2]), int(fields[4]) & 0xFFFFFFFF, int(fields[5])
    if device == 0 or group != foreground:
        return None
    minor = (device & 0xFF) | ((device >> 12) & 0xFFF00)
    return os.makedev((device >> 8) & 0xFFF, minor)


def _threads(pid: int) -> list[int]:
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(name) for name in names[:MOST_THREADS] if name.isdecimal()]


def _device(pid: int, descriptor: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/fd/{descriptor}").st_rdev
    except OSError:
        return None


def _text(path: str) -> str:
    try:
        return (read_if_there(path, SMALL_FILE_BYTES) or b"").decode("ascii", "replace")
    except OSError:
        return ""
