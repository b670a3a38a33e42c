"""Visits: the person's terminal, given to a stream's or to a shell in a stream's workspace.

A visit is made with everything that can be refused done; then it runs in whatever thread, until the
person leaves, and says what is to be said afterwards.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Protocol

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.engine.attaching import Attachment, attempt_to_attach, how_it_ended
from anabranch.paths import RunFolder
from anabranch_console.attached.session import ENDED, RESIZED, Left, Session, open_terminal
from anabranch_console.attached.typed import LEAVING_KEY
from anabranch_console.terminal_keeper import TerminalKeeper


class Visit(Protocol):
    """Somebody else than the console has the terminal for a while."""

    def run(self) -> str:
        """Give the terminal away until it is left; return what to say then."""
        ...

    def resized(self) -> None:
        """Note, from any thread, that the terminal has another size."""
        ...

    def call_off(self) -> None:
        """Have it end, from any thread."""
        ...


class TerminalVisit:
    """A visit at a stream's terminal. Raises UsageError, WorldError.

    Args:
        folder: the run's.
        state: the run's.
        stream: whom to visit.
        back: what the key that leaves leads back to, in words.
    """

    def __init__(self, folder: RunFolder, state: State, stream: StreamId, back: str = "") -> None:
        self._folder, self._stream, self._back = folder, stream, back
        self._attempt = attempt_to_attach(state, stream)
        self._terminal = open_terminal(0)
        try:
            seat = Attachment(folder, stream, self._attempt)
        except BaseException:
            os.close(self._terminal)
            raise
        self._session = Session(seat, self._terminal)
        self.left: Left | None = None

    def run(self) -> str:
        """Give the terminal away until it is left; return what to say then."""
        stream = self._stream
        keeper = TerminalKeeper(self._terminal, self._terminal)
        leaves = f"{LEAVING_KEY} leads back{self._back}" if self._back else f"{LEAVING_KEY} leaves"
        with contextlib.suppress(OSError):
            os.write(self._terminal, f"attached to {stream}, which runs on: {leaves}\r\n".encode())
        try:
            keeper.watch(f"the visit was killed; {stream} runs on: anabranch attach {stream}")
            self.left = self._session.run()
        finally:
            keeper.rest()
            keeper.close()
            self._session.close()
            os.close(self._terminal)
        if self.left is Left.STREAM_ENDED:
            return f"{stream} has ended: {how_it_ended(self._folder, stream, self._attempt)}"
        return f"left {stream}, which runs on"

    def resized(self) -> None:
        """Follow the terminal's size."""
        self._session.wake(RESIZED)

    def call_off(self) -> None:
        """End the visit; the stream runs on."""
        self._session.wake(ENDED)


class ShellVisit:
    """A shell in a stream's workspace. Raises UsageError.

    Args:
        state: the run's.
        stream: whose workspace.
    """

    def __init__(self, state: State, stream: StreamId) -> None:
        from anabranch.engine.entering import entry_into  # it knows git, and few enter anything

        self._stream, self._entry = stream, entry_into(state, stream)
        self._shell: subprocess.Popen[bytes] | None = None
        self.code = 0

    def run(self) -> str:
        """Run the shell until it is left; return what to say then."""
        entry = self._entry
        words = f"in the workspace of {self._stream}; exit leaves it"
        if not entry.counts:
            words += "\r\nit is not at work: what you change here is not part of its result"
        with contextlib.suppress(OSError):
            os.write(2, f"{words}\r\n".encode())
        try:
            self._shell = subprocess.Popen(entry.argv, cwd=entry.folder, env=entry.environment)
        except OSError as error:
            self.code = 126
            return f"cannot run {entry.argv[0]}: {error.strerror}"
        self.code = self._shell.wait()
        _take_terminal_back()
        return f"left the workspace of {self._stream}"

    def resized(self) -> None:
        """Do nothing: the kernel tells the shell."""

    def call_off(self) -> None:
        """Hang up, as a terminal that has gone does."""
        if self._shell is not None:
            with contextlib.suppress(OSError):
                self._shell.send_signal(signal.SIGHUP)


def _take_terminal_back() -> None:
    """Be in the terminal's foreground again, also after a shell that was killed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(0, os.getpgrp())
    except OSError:
        pass  # it is not the terminal that controls us
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
