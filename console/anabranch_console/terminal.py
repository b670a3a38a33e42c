"""The terminal that the console has: bytes that are not text, its end, stops, and giving it back.

The toolkit's driver takes a terminal for granted that is there for ever and sends UTF-8. This one
replaces what is neither, notices when nobody is there any more, comes back whole after a stop, and
lets every polite way of being ended be a way of leaving.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from codecs import getincrementaldecoder
from typing import Any, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from anabranch_console.pasting import Pasting
from anabranch_console.terminal_keeper import TerminalKeeper

READ_BYTES = 4096
LOOK_SECONDS = 0.1
STALLED_SECONDS = 1.0
LEAVING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


class Ending(Message):
    """The console is to close, for a reason that is not a key: a signal, or nobody is there."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Output:
    """What the toolkit writes to. A terminal that has gone takes everything in silence."""

    def __init__(self, file: TextIO) -> None:
        self._descriptor = file.fileno()
        self._encoding = file.encoding or "utf-8"

    def write(self, text: str) -> None:
        """Write all of a text, however slowly the terminal takes it."""
        data = text.encode(self._encoding, "replace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], STALLED_SECONDS)
            except OSError:
                return

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor that is written to."""
        return self._descriptor


class ConsoleDriver(LinuxDriver):
    """Reads and writes the console's terminal."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        error = sys.__stderr__
        assert error is not None, "a terminal was asked for"
        self._file = cast("Any", Output(error))
        self._keeper = TerminalKeeper(self.fileno, error.fileno())
        self._is_suspended = self._is_away = False
        self._hear_signals()

    # --- signals ---------------------------------------------------------------------------------

    def _hear_signals(self) -> None:
        """Let signals be heard between two steps of the loop, never in the middle of one."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        loop.add_signal_handler(signal.SIGCONT, self._come_back)
        for number in LEAVING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._leave, signal.Signals(number).name)

    def _leave(self, name: str) -> None:
        if self._is_away and name in ("SIGINT", "SIGQUIT"):
            return  # it was typed for whoever has the terminal
        self._app.post_message(Ending(f"ended by {name}"))

    def _stop(self) -> None:
        if self._auto_restart:
            self.suspend_application_mode()
            self._is_suspended = True
        os.kill(os.getpid(), signal.SIGSTOP)

    def _come_back(self) -> None:
        """Take the terminal again; who was stopped without a word has to let it go first."""
        if not self._auto_restart:
            return
        if not self._is_suspended:
            self.suspend_application_mode()
        self._is_suspended = False
        self._must_signal_resume = True
        self.resume_application_mode()

    # --- the terminal's modes --------------------------------------------------------------------

    def start_application_mode(self) -> None:
        """Take the terminal; somebody else will give it back if this process cannot."""
        self._keeper.watch(getattr(self._app, "come_back_words", ""))
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        super().stop_application_mode()
        self._keeper.rest()

    def suspend_application_mode(self) -> None:
        """Give the terminal away: until it is here again nothing is written to it."""
        super().suspend_application_mode()
        self._is_away = True

    def resume_application_mode(self) -> None:
        """Take the terminal again."""
        self._is_away = False
        super().resume_application_mode()

    def write(self, data: str) -> None:
        """Write something, if the terminal is here: nobody would take it from the queue."""
        if not self._is_away:
            super().write(data)

    def close(self) -> None:
        """Let what is still to be written be written."""
        super().close()
        self._keeper.rest()

    # --- what comes in ---------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        """Hand on what is typed until the driver stops, or until nobody can type any more."""
        decoder = getincrementaldecoder("utf-8")("replace")
        parser, pasting = XTermParser(self._debug), Pasting()
        while not self.exit_event.is_set():
            data = self._read()
            if data == b"":
                self.send_message(Ending("the terminal has gone"))
                return
            typed = pasting.take(decoder.decode(data)) if data else ""
            for given in typed or (None,):  # one by one: what makes no sense costs itself only
                try:
                    for event in parser.tick() if given is None else parser.feed(given):
                        self.process_message(event)
                except Exception:
                    parser = XTermParser(self._debug)

    def _read(self) -> bytes | None:
        """Return what was typed, None for nothing yet, no bytes for the end of it."""
        try:
            if not select.select([self.fileno], [], [], LOOK_SECONDS)[0]:
                return None
            return os.read(self.fileno, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""
