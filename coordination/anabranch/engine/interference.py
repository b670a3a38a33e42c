"""What the engine itself does to streams, so that none of it is taken for a sign of theirs.

A hung stream must not seem to live because somebody touched it. What comes of a touch is kept apart
from what the stream does by itself, each in the way that fits it: the echo of a typed line is known
byte by byte, changed files are looked away from while a command of the plan's runs in the
workspace, and work of the processor right after any touch is its effect. Output is the stream's,
whatever led to it, and so are its calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from anabranch.core.ids import Attempt, StreamId

SETTLING_SECONDS = 3.0
"""For so long after a touch, work of a stream's processes may be its effect."""

NOTICE_SECONDS = 1.0
"""For so long after somebody else wrote in a workspace, the notices of that may come."""

LONGEST_ECHO = 64 * 1024


class Echo(msgspec.Struct):
    """What a terminal will show of what was typed into it, and has not shown yet.

    The kernel shows control characters as ``^X`` and ends a line by two bytes or by one.
    """

    left: tuple[bytes, ...] = (b"",)

    def typed(self, data: bytes) -> None:
        """Expect some more."""
        shown = b"".join(_shown(byte) for byte in data)
        more = (shown.replace(b"\n", b"\r\n"), shown)
        both = self.left if len(self.left) == len(more) else self.left * len(more)
        self.left = tuple((a + b)[-LONGEST_ECHO:] for a, b in zip(both, more, strict=True))

    def takes(self, output: bytes) -> bool:
        """Say whether output is nothing but what was typed; otherwise nothing more is expected."""
        self.left = tuple(e.removeprefix(output) for e in self.left if e.startswith(output))
        if self.left:
            return True
        self.left = (b"",)
        return False

    @property
    def is_expected(self) -> bool:
        return any(self.left)


def _shown(byte: int) -> bytes:
    if byte in b"\n\r\t" or (byte >= 0x20 and byte != 0x7F):
        return b"\n" if byte == 0x0D else bytes((byte,))
    return b"^" + bytes((byte ^ 0x40,))


class Interference(msgspec.Struct):
    """Remembers what was done to which stream. May be used from any thread."""

    now: Callable[[], float] = time.monotonic
    _touched_at: dict[StreamId, float] = {}
    _at_work: dict[StreamId, int] = {}
    _left_at: dict[StreamId, float] = {}
    _echoes: dict[tuple[StreamId, Attempt], Echo] = {}
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def touched(self, stream: StreamId) -> None:
        """Note that a signal, a message or a file was sent: processes may stir for it."""
        with self._lock:
            self._touched_at[stream] = self.now()

    def typed(self, stream: StreamId, attempt: Attempt, data: bytes) -> None:
        """Note that something is about to be typed into a stream's terminal."""
        self.touched(stream)
        with self._lock:
            self._echoes.setdefault((stream, attempt), Echo()).typed(data)

    @contextmanager
    def at_work_in(self, stream: StreamId) -> Iterator[None]:
        """Note, for a block, that something other than the stream runs in its workspace."""
        with self._lock:
            self._at_work[stream] = self._at_work.get(stream, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work[stream] -= 1
                self._left_at[stream] = self._touched_at[stream] = self.now()

    def is_echo(self, stream: StreamId, attempt: Attempt, output: bytes) -> bool:
        """Say whether new output of a stream is what was typed, and nothing else."""
        with self._lock:
            echo = self._echoes.get((stream, attempt))
            if echo is None:
                return False
            is_own = echo.takes(output)
            if not echo.is_expected:
                del self._echoes[stream, attempt]
            return is_own

    def expects_echo(self, stream: StreamId, attempt: Attempt) -> bool:
        """Say whether what was typed has not all been shown yet."""
        with self._lock:
            return (stream, attempt) in self._echoes

    def writes_in(self, stream: StreamId, delay_seconds: float = 0.0) -> bool:
        """Say whether somebody else changes files in a workspace, or just did.

        ``delay_seconds`` is how late changes are noticed there.
        """
        with self._lock:
            since = self._since(self._left_at, stream)
            return bool(self._at_work.get(stream)) or since < NOTICE_SECONDS + delay_seconds

    def is_settling(self, stream: StreamId) -> bool:
        """Say whether what a stream's processes work at may be the effect of a touch."""
        with self._lock:
            since = self._since(self._touched_at, stream)
            return bool(self._at_work.get(stream)) or since < SETTLING_SECONDS

    def _since(self, moments: dict[StreamId, float], stream: StreamId) -> float:
        return self.now() - moments.get(stream, float("-inf"))
