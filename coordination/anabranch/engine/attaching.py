"""Attaching to a stream's terminal: what a person sees and types goes to its holder and back.

The holder is the only one that is needed: a console, or nobody at all, may host the run. What it
says and hears stands in :mod:`anabranch.holder.watchers`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State
from anabranch.core.wording import spelled
from anabranch.engine.performers.process_records import read_attempt
from anabranch.errors import UsageError, WorldError
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, open_plain, read_if_there
from anabranch.undecodable import UNDECODABLE

MESSAGE_BYTES = 1 << 17
PIECE_BYTES = 32_768
QUEUED_BYTES = 1 << 20
RECENT_BYTES = 1 << 18


class Standing(msgspec.Struct, frozen=True):
    """How a terminal stands: its size, what is switched on in it, and what could not be shown.

    ``modes`` are the sequences that switch it on, without their first two bytes. ``left_out``
    counts the bytes that whoever is told this has missed; ``log_bytes`` is how long the log was
    when what is shown next was written.
    """

    rows: int
    columns: int
    modes: str = ""
    left_out: int = 0
    log_bytes: int = 0


class TerminalRecord(msgspec.Struct, frozen=True):
    """What a holder writes of its terminal, for whoever is not attached.

    ``half_typed`` says that a person's line stands there that is not sent off, ``alternate`` that
    a full-screen program has the screen, ``watchers`` how many are attached. ``end`` is the number
    under which the holder has the command's end open; None of one that does not say.
    """

    rows: int = 24
    columns: int = 80
    watchers: int = 0
    half_typed: bool = False
    alternate: bool = False
    end: Annotated[int, msgspec.Meta(ge=0, lt=1 << 20)] | None = None


def terminal_record(folder: RunFolder, stream: StreamId, attempt: Attempt) -> TerminalRecord | None:
    """Return how an attempt's terminal stands; None if it has none, or never had one so far."""
    place = folder.attempts / folder.attempt_name(stream, attempt) / "terminal"
    try:
        content = read_if_there(place, SMALL_FILE_BYTES)
        return msgspec.json.decode(content, type=TerminalRecord, strict=False) if content else None
    except (*UNDECODABLE, OSError):
        return None


def is_visited(folder: RunFolder, stream: StreamId, attempt: Attempt) -> bool:
    """Return whether somebody is attached to an attempt's terminal."""
    record = terminal_record(folder, stream, attempt)
    return record is not None and record.watchers > 0


def outside_or_unknown(state: State, stream: StreamId, hint: str) -> UsageError:
    """Return why nothing can be done at a stream that the plan does not have.

    Args:
        state: the run's.
        stream: the name that somebody gave.
        hint: what there is instead, where it joined from outside.
    """
    if stream in state.registry.joined:
        return UsageError(f"{stream} joined from outside", hint)
    return UsageError(f"there is no stream {stream!r} in this run", "anabranch streams lists them")


def attempt_to_attach(
    state: State, stream: StreamId, environment: Mapping[str, str] = os.environ
) -> Attempt:
    """Return which attempt of a stream has a terminal now. Raises UsageError, which says why not.

    ``environment`` tells whether whoever asks is that stream itself.
    """
    found = state.streams.get(stream)
    if found is None:
        raise outside_or_unknown(state, stream, "who started it has its terminal")
    plan = state.stream_plan(stream)
    follow = f"anabranch logs {stream} -f follows what it writes"
    if found.has_ended:
        follow = f"anabranch logs {stream} prints what it wrote"
    if plan.fan is not None:
        raise UsageError(f"{stream} fans out, and handlers have no terminal", follow)
    if not plan.tty:
        raise UsageError(
            f"{stream} has no terminal", f"its plan needs `tty = true` for that; {follow}"
        )
    if found.phase not in LIVE:
        words = f"{stream} {'has ended' if found.has_ended else 'is not running'}"
        hint = f"anabranch logs {stream} prints what it wrote"
        raise UsageError(f"{words}: {spelled(found.public_state)}", hint if found.attempt else "")
    own = (environment.get("ANABRANCH_RUN"), environment.get("ANABRANCH_STREAM"))
    if own == (state.run, stream):
        raise UsageError("a stream cannot be attached to itself", "attach from another terminal")
    return found.attempt


def how_it_ended(folder: RunFolder, stream: StreamId, attempt: Attempt) -> str:
    """Return in words how an attempt's process ended, by its holder's record."""
    reading = read_attempt(folder.attempts / folder.attempt_name(stream, attempt))
    ended = reading.exit if reading else None
    if ended is None:
        return "nobody knows how"
    if ended.signal is not None:
        return f"signal {ended.signal}"
    return ended.exec_error or ended.not_started or f"exit {ended.code}"


class Attachment:
    """A seat at a stream's terminal; it is left by closing. Raises WorldError if there is none.

    Args:
        folder: the run's.
        stream, attempt: whose terminal.
    """

    def __init__(self, folder: RunFolder, stream: StreamId, attempt: Attempt) -> None:
        self.stream, self.attempt = stream, attempt
        self._log = folder.log(stream, attempt)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUED_BYTES)
            _connect(self._socket, folder.attempts / folder.attempt_name(stream, attempt))
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise WorldError(
                f"the terminal of {stream} cannot be reached: {error.strerror}",
                "it has just ended, or was started by an earlier version of Anabranch",
            ) from error

    def fileno(self) -> int:
        """Return the descriptor to wait at."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave; the stream goes on."""
        self._socket.close()

    def receive(self) -> Standing | bytes | None:
        """Return how the terminal stands, or what it shows next; None if it has ended.

        Raises BlockingIOError if nothing is there yet.
        """
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except ConnectionError:
            return None
        if message[:1] == b"h":
            return msgspec.json.decode(message[1:], type=Standing)
        return message[1:] if message else None

    def fit(self, rows: int, columns: int) -> None:
        """Say how large the own terminal is: nobody is shown more than fits all who are attached.

        Raises BlockingIOError.
        """
        self._say(b"s", b"%d %d" % (rows, columns))

    def typed(self, keys: bytes) -> None:
        """Give the stream what a person typed, a piece at a time. Raises BlockingIOError."""
        self._say(b"k", keys)

    def moved(self, report: bytes) -> None:
        """Give the stream what the mouse or the window reports. Raises BlockingIOError."""
        self._say(b"e", report)

    def answered(self, answer: bytes) -> None:
        """Give the stream what a terminal answered to it. Raises BlockingIOError."""
        self._say(b"r", answer)

    def _say(self, kind: bytes, said: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # whoever has gone is noticed when received from
            self._socket.send(kind + said)

    def recent(self, before: Standing) -> bytes:
        """Return the end of what the stream wrote before something was told, or nothing."""
        try:
            log = open_plain(self._log)
        except (NotPlain, OSError):
            return b""
        try:
            begin = max(0, before.log_bytes - RECENT_BYTES)
            return os.pread(log, before.log_bytes - begin, begin)
        except OSError:
            return b""
        finally:
            os.close(log)


def _connect(seat: socket.socket, folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Through the descriptor: a socket's address holds no more than 108 bytes.
        seat.connect(f"/proc/self/fd/{descriptor}/attach")
    finally:
        os.close(descriptor)
