"""What is said of an attempt's process, and how its folder's records come to say it."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.performers import process_records as records
from anabranch.engine.performers.process_records import Reading, StartRecord
from anabranch.paths import attempt_of


class Started(msgspec.Struct, frozen=True):
    """The command's process exists and its holder lives."""

    stream: StreamId
    attempt: Attempt
    pid: int
    holder_pid: int
    at_wall: float
    at_monotonic: float


class Exited(msgspec.Struct, frozen=True):
    """The command ended, with a code or by a signal, and its log is complete.

    ``exec_error`` says why it could not be run at all (code 126 or 127); ``survivors_ended`` counts
    the processes it left behind; ``lost_bytes`` is output that a full disk refused.
    """

    stream: StreamId
    attempt: Attempt
    code: int | None
    signal: int | None
    exec_error: str | None
    survivors_ended: int
    lost_bytes: int
    at_wall: float
    at_monotonic: float


class Lost(msgspec.Struct, frozen=True):
    """The attempt had begun, no longer runs, and how it ended cannot be known."""

    stream: StreamId
    attempt: Attempt
    reason: str


class NotStarted(msgspec.Struct, frozen=True):
    """Nothing of the command ever ran."""

    stream: StreamId
    attempt: Attempt
    reason: str


class Delayed(msgspec.Struct, frozen=True):
    """Nothing of the command has run yet, because the machine is short of something."""

    stream: StreamId
    attempt: Attempt
    reason: str


class Flooded(msgspec.Struct, frozen=True):
    """The command writes more than its log keeps; so many bytes were left out by now."""

    stream: StreamId
    attempt: Attempt
    left_out_bytes: int


Report = Started | Exited | Lost | NotStarted | Delayed | Flooded


class Watched:
    """What is known of an attempt that is not settled yet."""

    def __init__(self) -> None:
        self.is_accepted = False  # the zygote has answered: from now on a free lock is the end
        self.start: StartRecord | None = None
        self.holder: int | None = None  # its process descriptor
        self.stop_grace_seconds: float | None = None  # asked to stop before it began
        self.wanted: dict[str, object] | None = None  # what to ask the zygote for, if it is us
        self.left_out_bytes = 0
        self.is_waiting = False  # for the machine to have what a start needs


def ending(name: str, watched: Watched, reading: Reading, boot_id: str) -> Report | None:
    """Say how an attempt ended, if it has; nobody holds its lock unless its holder lives."""
    identity = identity_of(name)
    record = reading.exit
    if record is not None and record.not_started is not None:
        return NotStarted(*identity, record.not_started)
    if record is not None:
        return Exited(
            *identity,
            code=record.code,
            signal=record.signal,
            exec_error=record.exec_error,
            survivors_ended=record.tree_survivors,
            lost_bytes=record.lost_bytes,
            at_wall=record.wall,
            at_monotonic=record.monotonic,
        )
    if watched.start is not None and not reading.was_begun:
        return Lost(*identity, "the folder of its records was removed while it ran")
    if reading.is_held or (reading.is_held is None and _may_live(watched.start)):
        return None
    if watched.start is not None and watched.start.boot_id != boot_id:
        return Lost(*identity, "the machine was restarted while it ran")
    if reading.was_begun:
        return Lost(*identity, "its holder was killed")
    if watched.is_accepted:
        return NotStarted(*identity, "its holder ended before it could begin; see zygote.log")
    return None


def _may_live(start: StartRecord | None) -> bool:
    """Whether a holder whose lock says nothing may live."""
    return start is None or records.lives(start.holder_pid, start.holder_starttime) is not False


def identity_of(name: str) -> tuple[StreamId, Attempt]:
    """Return whose folder a name belongs to; it must be an attempt's name."""
    identity = attempt_of(name)
    assert identity is not None, name
    return identity


def started_of(name: str, start: StartRecord) -> Started:
    """Report what a ``start`` record says."""
    stream, attempt = identity_of(name)
    return Started(
        stream=stream,
        attempt=attempt,
        pid=start.pid,
        holder_pid=start.holder_pid,
        at_wall=start.wall,
        at_monotonic=start.monotonic,
    )
