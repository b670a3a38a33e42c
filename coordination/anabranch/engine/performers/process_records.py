"""The folder of an attempt, as the engine sees it: what it writes, reads and asks there.

The records are the truth about a stream's process. ``start`` and ``exit`` are written by the
holder; the lock says whether the holder lives, and nothing else does. Output comes before
``exit``: whoever has read ``exit`` can read the log to its end.

A reading has three values. What is there and what is not there are facts; what the machine cannot
tell just now (no descriptor left, no memory) is not, and whoever asked looks again later.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from anabranch.files import replace_whole, take_lock
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, open_plain, read_if_there, read_plain
from anabranch.shortage import is_short
from anabranch.undecodable import UNDECODABLE

MOST_ENVIRONMENT_BYTES = 8 * 1024 * 1024
INPUT_BYTES_PER_MESSAGE = 32_768
_NUMBER_OF_A_THREAD = (errno.ENOENT, errno.EINVAL)
"""What newer and older kernels say when a process is asked for by the number of a thread."""

Message = dict[str, str | int | float]
"""One order to a holder, as it goes over its control socket."""


Pid = Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]
Ticks = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]


class StartRecord(msgspec.Struct, frozen=True):
    """What the holder wrote before the command ran; ``starttime`` in clock ticks since boot."""

    pid: Pid
    starttime: Ticks
    boot_id: str
    holder_pid: Pid
    holder_starttime: Ticks
    wall: float
    monotonic: float
    setup_pid: Pid | None = None


class SetupRecord(msgspec.Struct, frozen=True):
    """What the holder wrote when the setup had ended; a ``failure`` says why nothing else runs."""

    wall: float
    monotonic: float
    seconds: Amount
    code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    signal: Annotated[int, msgspec.Meta(ge=1, le=127)] | None = None
    failure: str = ""


class ExitRecord(msgspec.Struct, frozen=True):
    """What the holder wrote after the last output; ``not_started`` says why nothing ever ran."""

    wall: float
    monotonic: float
    code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    signal: Annotated[int, msgspec.Meta(ge=1, le=127)] | None = None
    exec_error: str | None = None
    setup_failure: str | None = None
    not_started: str | None = None
    lost_bytes: Count = 0
    tree_survivors: Count = 0
    cpu_seconds: Amount | None = None
    peak_memory_mb: Amount | None = None
    memory_kills: Count = 0


class FloodRecord(msgspec.Struct, frozen=True):
    """What the holder wrote when more output came than a log keeps."""

    left_out_bytes: Count


class Reading(msgspec.Struct, frozen=True):
    """An attempt's folder at one moment.

    ``is_held`` is None when something else stands in the lock's place, so that only the process
    table can tell; ``was_begun`` is true as soon as ``start`` is there, readable or not.
    """

    is_held: bool | None
    was_begun: bool
    start: StartRecord | None
    exit: ExitRecord | None
    flood: FloodRecord | None = None
    setup: SetupRecord | None = None


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return read_plain("/proc/sys/kernel/random/boot_id", SMALL_FILE_BYTES).decode().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone.

    Raises OSError if the machine cannot tell.
    """
    fields = (_of_process(pid, "stat", SMALL_FILE_BYTES) or b"").rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def environment(pid: int) -> list[bytes]:
    """Return a process's environment; empty if it is gone, dead or not ours. Raises OSError."""
    try:
        return (_of_process(pid, "environ", MOST_ENVIRONMENT_BYTES) or b"").split(b"\0")
    except PermissionError:
        return []


def _of_process(pid: int, name: str, most_bytes: int) -> bytes | None:
    """Read a file of a process in /proc; None if the process is gone. Raises OSError."""
    try:
        return read_if_there(f"/proc/{pid}/{name}", most_bytes)
    except ProcessLookupError:  # it ended between opening and reading
        return None


def lives(pid: int, starttime: int) -> bool | None:
    """Say whether the process named by number and start time lives; None if that is not known."""
    try:
        handle = _opened(pid)
    except OSError:
        return None
    if handle is None:
        return False
    try:
        return start_ticks(pid) == starttime and not _has_ended(handle)
    except OSError:
        return None
    finally:
        os.close(handle)


def _opened(pid: int) -> int | None:
    """Open a descriptor of the process that has a number, if there is one.

    The number of one that is gone may be a thread's by now. Raises OSError if the machine cannot
    tell.
    """
    try:
        return os.pidfd_open(pid)
    except (ProcessLookupError, ValueError, OverflowError):
        return None
    except OSError as error:
        if error.errno in _NUMBER_OF_A_THREAD:
            return None
        raise


def _has_ended(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def read_attempt(folder: Path) -> Reading | None:
    """Read an attempt's folder; None while the machine cannot tell what is in it.

    The order makes the parts agree while a holder writes: if the lock was free, the records read
    afterwards are final; if ``exit`` was there, ``start`` is too.
    """
    place = str(folder)
    try:
        is_held = _is_locked(place + "/lock")
        exited = _read_record(place + "/exit", _decode_exit)
        start = _read_record(place + "/start", _decode_start)
        was_begun = start is not None or _is_there(place + "/start")
        flood = _read_record(place + "/flood", _decode_flood) if was_begun else None
        has_setup = start is not None and start.setup_pid is not None
        setup = _read_record(place + "/setup", _decode_setup) if has_setup else None
    except OSError:
        return None
    return Reading(
        is_held=is_held, was_begun=was_begun, start=start, exit=exited, flood=flood, setup=setup
    )


_decode_start = msgspec.json.Decoder(StartRecord).decode
_decode_flood = msgspec.json.Decoder(FloodRecord).decode
_decode_setup = msgspec.json.Decoder(SetupRecord).decode
_decode_exit = msgspec.json.Decoder(ExitRecord).decode
Record = TypeVar("Record")


def _read_record(path: str, decode: Callable[[bytes], Record]) -> Record | None:
    """Read one record; None if nobody can read it (a power cut can leave an empty one).

    Raises OSError if the machine is short of something.
    """
    try:
        content = read_if_there(path, SMALL_FILE_BYTES)
        return decode(content) if content else None
    except UNDECODABLE:
        return None
    except OSError as error:
        if is_short(error.errno):
            raise
        return None


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if is_short(error.errno):
            raise
    return True


def _is_locked(path: str) -> bool | None:
    """Say whether somebody holds a lock; None if it is something else. Raises OSError if short."""
    try:
        lock = open_plain(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (NotPlain, PermissionError):
        return None
    try:
        return not take_lock(lock, shared=True)
    finally:
        os.close(lock)


def refuse_start(folder: Path, reason: str, wall: float, monotonic: float) -> bool:
    """Settle that an attempt which has not begun never will; false if a holder was faster.

    Args:
        folder: the attempt's folder.
        reason: what its exit record says.
        wall: the time of day, in seconds since 1970.
        monotonic: the monotonic time, in seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = open_plain(folder / "lock", flags=os.O_RDWR | os.O_CREAT)
    try:
        if not take_lock(lock) or (folder / "start").exists():
            return False
        record = ExitRecord(wall=wall, monotonic=monotonic, not_started=reason)
        replace_whole(folder / "exit", msgspec.json.encode(record))
    finally:
        os.close(lock)
    return True


def take_back(folder: Path) -> bool:
    """Unsettle an attempt that could not begin, so that it can be asked for again.

    False if somebody holds it or it has begun. Raises OSError.
    """
    lock = open_plain(folder / "lock", flags=os.O_RDWR | os.O_CREAT)
    try:
        if not take_lock(lock) or _is_there(str(folder / "start")):
            return False
        (folder / "exit").unlink(missing_ok=True)
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
    """Open a descriptor of exactly the process named by number and start time, if it lives.

    Raises OSError if the machine cannot tell.
    """
    handle = _opened(pid)
    if handle is None:
        return None
    try:
        if start_ticks(pid) == starttime:
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def signal_process(pid: int, starttime: int, number: signal.Signals) -> None:
    """Send a signal to exactly the process named by number and start time, if it lives.

    Raises OSError if the machine cannot tell.
    """
    handle = open_process(pid, starttime)
    if handle is None:
        return
    try:
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return  # it ended meanwhile, or is somebody else's now
    finally:
        os.close(handle)
