"""The folder of an attempt, as the engine sees it: what it writes, reads and asks there.

The records are the truth about a stream's process. ``start`` and ``exit`` are written by the
holder; the lock says whether the holder lives, and nothing else does. Output comes before
``exit``: whoever has read ``exit`` can read the log to its end.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from anabranch.core.ids import Attempt, StreamId

SMALL_FILE_BYTES = 65_536
INPUT_BYTES_PER_MESSAGE = 32_768

Message = dict[str, str | int | float]
"""One order to a holder, as it goes over its control socket."""


class StartRecord(msgspec.Struct, frozen=True):
    """What the holder wrote before the command ran; ``starttime`` in clock ticks since boot."""

    pid: int
    starttime: int
    boot_id: str
    holder_pid: int
    holder_starttime: int
    wall: float
    monotonic: float


class ExitRecord(msgspec.Struct, frozen=True):
    """What the holder wrote after the last output; ``not_started`` says why nothing ever ran."""

    wall: float
    monotonic: float
    code: int | None = None
    signal: int | None = None
    exec_error: str | None = None
    not_started: str | None = None
    lost_bytes: int = 0
    tree_survivors: int = 0


class Reading(msgspec.Struct, frozen=True):
    """An attempt's folder at one moment.

    ``was_begun`` is true as soon as ``start`` is there, readable or not.
    """

    is_held: bool
    was_begun: bool
    start: StartRecord | None
    exit: ExitRecord | None


def attempt_name(stream: StreamId, attempt: Attempt) -> str:
    """Name an attempt as its folder and its log are named."""
    return f"{stream}.{attempt}"


def parse_attempt_name(name: str) -> tuple[StreamId, Attempt] | None:
    """Read a folder's name back; None if it names no attempt."""
    stream, dot, attempt = name.rpartition(".")
    return (StreamId(stream), int(attempt)) if dot and stream and attempt.isdecimal() else None


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone."""
    fields = _read_small(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def read_attempt(folder: Path) -> Reading:
    """Read an attempt's folder.

    The order makes the parts agree while a holder writes: if the lock was free, the records read
    afterwards are final; if ``exit`` was there, ``start`` is too.
    """
    place = str(folder)
    is_held = _is_locked(place + "/lock")
    exited = _read_record(place + "/exit", _decode_exit)
    start = _read_record(place + "/start", _decode_start)
    was_begun = start is not None or os.path.exists(place + "/start")
    return Reading(is_held=is_held, was_begun=was_begun, start=start, exit=exited)


_decode_start = msgspec.json.Decoder(StartRecord).decode
_decode_exit = msgspec.json.Decoder(ExitRecord).decode
Record = TypeVar("Record")


def _read_record(path: str, decode: Callable[[bytes], Record]) -> Record | None:
    """Read one record; a power cut can leave one that is empty, which is none."""
    content = _read_small(path)
    try:
        return decode(content) if content else None
    except msgspec.DecodeError:
        return None


def _read_small(path: str) -> bytes:
    """Return the content of a small file; empty if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, SMALL_FILE_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _is_locked(path: str) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def refuse_start(folder: Path, reason: str, wall: float, monotonic: float) -> bool:
    """Settle that an attempt which has not begun never will; false if a holder was faster.

    Args:
        folder: the attempt's folder.
        reason: what its exit record says.
        wall: the time of day, in seconds since 1970.
        monotonic: the monotonic time, in seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / "start").exists():
            return False
        record = ExitRecord(wall=wall, monotonic=monotonic, not_started=reason)
        draft = folder / ".exit"
        draft.write_bytes(msgspec.json.encode(record))
        draft.rename(folder / "exit")
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def send_control(folder: Path, message: Message) -> None:
    """Send one order to the holder without waiting.

    Raises BlockingIOError if its queue is full, another OSError if nobody listens.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            # Through the descriptor: a socket's address holds no more than 108 bytes.
            sender.sendto(json.dumps(message).encode(), f"/proc/self/fd/{descriptor}/ctl")
    finally:
        os.close(descriptor)


def input_messages(data: bytes) -> list[Message]:
    """Split input into messages that fit into datagrams."""
    pieces = range(0, len(data), INPUT_BYTES_PER_MESSAGE)
    return [
        {
            "op": "input",
            "data": base64.b64encode(data[at : at + INPUT_BYTES_PER_MESSAGE]).decode(),
        }
        for at in pieces
    ]


def open_process(pid: int, starttime: int) -> int | None:
    """Open a descriptor of exactly the process named by number and start time, if it lives."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    if start_ticks(pid) == starttime:
        return handle
    os.close(handle)
    return None


def signal_process(pid: int, starttime: int, number: signal.Signals) -> None:
    """Send a signal to exactly the process named by number and start time, if it lives."""
    handle = open_process(pid, starttime)
    if handle is None:
        return
    try:
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return  # it ended meanwhile
    finally:
        os.close(handle)
