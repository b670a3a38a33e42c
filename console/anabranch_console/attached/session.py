"""A person's terminal handed over to a stream's: keys go in, output comes out, ctrl+] leaves.

Theory of operation. One thread waits in ``poll`` for the person's terminal, the seat at the
stream's, and a pipe that wakes it. Nothing it does waits for anybody: what the terminal does not
take stays here up to a bound, and then nothing more is received, so that the holder leaves out what
there is no room for and says how much it was. Keys are read all the while: a terminal that is held,
or a stream that floods, can be left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import termios
import time
import tty
from enum import StrEnum

from anabranch.engine.attaching import RECENT_BYTES, Attachment, Standing
from anabranch.errors import UsageError
from anabranch.holder.screen_modes import ScreenModes
from anabranch_console.attached import shown
from anabranch_console.attached.outbox import Outbox
from anabranch_console.attached.typed import Keyboard

READ_BYTES = 65_536
MOST_UNSHOWN_BYTES = 1 << 18
NUDGE_SECONDS = 0.08
LAST_WORDS_SECONDS = 0.5
RESIZED, ENDED = b"r", b"e"


class Left(StrEnum):
    """Why a session is over."""

    BY_KEY = "left"
    STREAM_ENDED = "the stream has ended"
    TERMINAL_GONE = "the terminal has gone"
    CALLED_OFF = "it was called off"


def open_terminal(descriptor: int) -> int:
    """Open the terminal of a descriptor once more, so that nobody else's way to wait changes.

    Raises UsageError if it is none, or cannot be opened.
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(descriptor), flags)
    except OSError:
        with contextlib.suppress(OSError):
            return os.open("/dev/tty", flags)
    raise UsageError("attaching needs a terminal", "anabranch logs STREAM -f follows its output")


class Session:
    """One person's visit at a stream's terminal.

    Args:
        seat: where the stream's terminal is.
        terminal: a descriptor of the person's terminal that does not wait; it is not closed.
    """

    def __init__(self, seat: Attachment, terminal: int) -> None:
        self._seat, self._terminal = seat, terminal
        self._keyboard = Keyboard()
        self._modes = shown.modes_of("")
        self._unshown = bytearray()
        self._outbox = Outbox(seat)
        self._standing: Standing | None = None
        self._nudged_at: float | None = None
        self._left: Left | None = None
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def wake(self, why: bytes) -> None:
        """Tell it, from any thread, that the size has changed or that it is to end."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, why)

    def run(self) -> Left:
        """Hand the terminal over until it is left, and make it as it was; return why."""
        try:
            before = termios.tcgetattr(self._terminal)
        except termios.error:
            return Left.TERMINAL_GONE
        try:
            tty.setraw(self._terminal, termios.TCSANOW)
            self._fit()
            while self._left is None:
                self._turn()
            return self._left
        except termios.error:
            return Left.TERMINAL_GONE
        finally:
            self._say_goodbye()
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSANOW, before)

    def close(self) -> None:
        """Let go what it had open, the seat too."""
        self._seat.close()
        os.close(self._woken)
        os.close(self._wake)

    # --- waiting ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(self._terminal, select.POLLIN | (select.POLLOUT if self._unshown else 0))
        has_room = len(self._unshown) < MOST_UNSHOWN_BYTES
        awaited = (select.POLLIN if has_room else 0) | (select.POLLOUT if self._outbox else 0)
        if awaited:
            poll.register(self._seat, awaited)
        ready = dict(poll.poll(self._patience_milliseconds()))
        if self._woken in ready:
            self._take_wakes()
        if ready.get(self._terminal, 0) & ~select.POLLOUT:
            self._take_keys()
        if has_room and ready.get(self._seat.fileno(), 0) & ~select.POLLOUT:
            self._take_shown()
        elif ready.get(self._seat.fileno(), 0) & select.POLLHUP:
            self._outbox.drop()
        self._outbox.send()
        self._show()
        if self._nudged_at is not None and time.monotonic() >= self._nudged_at:
            self._nudged_at = None
            self._fit()

    def _patience_milliseconds(self) -> float | None:
        if self._nudged_at is None:
            return None
        return max(0.0, self._nudged_at - time.monotonic()) * 1000 + 1

    def _take_wakes(self) -> None:
        said = os.read(self._woken, READ_BYTES)
        if ENDED in said:
            self._left = self._left or Left.CALLED_OFF
        elif said:
            self._fit()

    # --- from the person -------------------------------------------------------------------------

    def _take_keys(self) -> None:
        try:
            data = os.read(self._terminal, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._left = self._left or Left.TERMINAL_GONE
            return
        for piece in self._keyboard.take(data):
            if not self._outbox.put(piece):
                self._unshown += b"\x07"
        if self._keyboard.has_left:
            self._outbox.send()
            self._left = self._left or Left.BY_KEY

    def _fit(self, fewer_rows: int = 0) -> None:
        size = os.get_terminal_size(self._terminal)
        rows = size.lines
        if fewer_rows and self._standing is not None:
            rows = max(1, min(rows, self._standing.rows) - fewer_rows)
        with contextlib.suppress(BlockingIOError):
            self._seat.fit(rows or 24, size.columns or 80)

    def _nudge(self) -> None:
        """Have a full-screen program paint all it shows: to be resized is what all of them heed."""
        self._fit(fewer_rows=1)
        self._nudged_at = time.monotonic() + NUDGE_SECONDS

    # --- from the stream -------------------------------------------------------------------------

    def _take_shown(self) -> None:
        while len(self._unshown) < MOST_UNSHOWN_BYTES:
            try:
                said = self._seat.receive()
            except BlockingIOError:
                return
            if said is None:
                self._left = self._left or Left.STREAM_ENDED
                return
            if isinstance(said, Standing):
                self._take_standing(said)
            else:
                self._take_output(said)

    def _take_output(self, output: bytes) -> None:
        self._modes.saw(output)
        self._unshown += output

    def _take_standing(self, standing: Standing) -> None:
        before, self._standing = self._standing, standing
        wanted = shown.modes_of(standing.modes)
        if before is None or standing.left_out:
            self._begin_again(standing, wanted)
        elif wanted.is_alternate:  # another size: what lies outside of it is nobody's
            self._unshown += b"\x1b[0m\x1b[2J"

    def _begin_again(self, standing: Standing, wanted: ScreenModes) -> None:
        """Show the end of what was not shown, and have the program paint what it paints whole."""
        if standing.left_out:
            self._unshown += shown.CUT_SHORT + b"\x1b[0m"
        if wanted.is_alternate:
            self._unshown += shown.switching(self._modes, wanted)
            self._nudge()
        elif standing.left_out:
            said = f"{_size(standing.left_out)} came too fast for this terminal; the log has them"
            self._unshown += f"\r\n[anabranch: {said}]\r\n".encode()
        recent = self._seat.recent(standing)[-standing.left_out :]
        is_cut = len(recent) in (standing.left_out, RECENT_BYTES)
        self._unshown += shown.before(recent, is_alternate=wanted.is_alternate, is_cut=is_cut)
        if not wanted.is_alternate:
            self._unshown += shown.switching(self._modes, wanted)
        self._modes = wanted

    def _show(self) -> None:
        try:
            while self._unshown:
                del self._unshown[: os.write(self._terminal, self._unshown[:READ_BYTES])]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                self._left = self._left or Left.TERMINAL_GONE

    def _say_goodbye(self) -> None:
        """Make the terminal as it was, if it takes that before long; drop what it did not take."""
        if self._left is Left.STREAM_ENDED:
            words = bytes(self._unshown) + shown.leaving(self._modes)
        else:
            words = shown.leaving(self._modes)
        until = time.monotonic() + LAST_WORDS_SECONDS
        with contextlib.suppress(OSError):
            while words and time.monotonic() < until:
                try:
                    words = words[os.write(self._terminal, words) :]
                except BlockingIOError:
                    select.select([], [self._terminal], [], LAST_WORDS_SECONDS)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"
