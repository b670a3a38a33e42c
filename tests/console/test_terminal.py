"""The console on a real pseudo-terminal: what comes in, how it ends, and what it leaves behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch_console.terminal_keeper import GIVE_BACK

DEADLINE_SECONDS = 30.0
ROOT = Path(__file__).parents[2]
NORMAL_SCREEN, OTHER_SCREEN = b"\x1b[?1049l", b"\x1b[?1049h"
SIZE = b"\x18\x00\x50\x00\x00\x00\x00\x00"


class Terminal:
    """A console that has a pseudo-terminal of its own, and the other end of that."""

    def __init__(self, folder: Path, *, ignored: signal.Signals | None = None) -> None:
        self.master, own = pty.openpty()
        self.modes = termios.tcgetattr(own)
        self.shown = b""
        shell = f"trap '' {ignored.name[3:]}; " if ignored else ""
        command = [sys.executable, "-m", "tests.console.real_console", str(folder)]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ANABRANCH_", "XDG_"))}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "sh", "-c", f'{shell}exec "$@"', "sh", *command],
            cwd=ROOT,
            env={**env, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
            stdin=own,
            stdout=own,
            stderr=own,
        )
        self.own = own

    def read(self) -> bytes:
        """Return everything that was written so far."""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.shown += data
        return self.shown

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Read on until a condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            self.read()
            assert time.monotonic() < deadline, f"in vain until {what}: {self.shown[-2000:]!r}"

    def until_shown(self, text: bytes) -> None:
        """Wait until a text was written, and forget everything up to it."""
        self.until(lambda: text in self.read(), f"{text!r} is shown")
        self.shown = self.shown.partition(text)[2]

    def type(self, data: bytes) -> None:
        """Type bytes."""
        os.write(self.master, data)

    def ended(self) -> int:
        """Wait until the console is gone, and return its exit code."""
        self.until(lambda: self.process.poll() is not None, "it has ended")
        return self.process.returncode

    def close(self) -> None:
        """End what still runs: it is our child and not reaped, so its number means it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_SECONDS)
        for descriptor in (self.master, self.own):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Give a console that has painted its first picture."""
    found = Terminal(tmp_path)
    try:
        found.until_shown(b"auth-session")
        yield found
    finally:
        found.close()


def is_given_back(terminal: Terminal) -> bool:
    """Whether the terminal is as it was before the console took it."""
    return termios.tcgetattr(terminal.own) == terminal.modes and NORMAL_SCREEN in terminal.read()


def test_what_is_no_text_is_replaced_and_a_stop_is_survived(terminal: Terminal) -> None:
    """Bytes that are no UTF-8, sequences that mean nothing, a stop with and without a word."""
    terminal.type(
        b"\xff\xfe\xc3\x28" + b"\x1b[99999999999u\x1b[<99999999999;1;1M" + b"\xed\xa0\x80"
    )
    terminal.type(b"?")
    terminal.until_shown(b"Keys and commands")
    terminal.type(b"\x1b")
    terminal.until_shown(b"Streams")
    for number in (signal.SIGTSTP, signal.SIGSTOP):
        terminal.process.send_signal(number)
        _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert (termios.tcgetattr(terminal.own) == terminal.modes) == (number == signal.SIGTSTP)
        terminal.shown = terminal.read() and b""
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until_shown(OTHER_SCREEN)
        terminal.until_shown(b"auth-session")
    terminal.type(b"\x0c")
    terminal.until_shown(b"auth-session")
    terminal.type(b":stop unit\rn")  # in one breath, as a script types
    terminal.until_shown(b"Stop unit?")
    terminal.type(b"ql")
    assert terminal.ended() == 0
    assert is_given_back(terminal)
    assert b"Come back with: anabranch console" in terminal.shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_it_the_terminal_is_given_back(
    number: signal.Signals, terminal: Terminal
) -> None:
    """A polite signal is a way of leaving; killed outright, somebody else gives it back."""
    terminal.process.send_signal(number)
    assert terminal.ended() == (-number if number == signal.SIGKILL else 0)
    terminal.until(lambda: is_given_back(terminal), "the terminal is given back")
    terminal.until(lambda: b"Come back with: anabranch console" in terminal.read(), "how is told")
    modes = [f"\x1b[?{mode}".encode() for mode in ("1000l", "1003l", "1006l", "2004l", "25h")]
    assert all(mode in terminal.shown for mode in modes)
    assert GIVE_BACK.startswith("\x1b[<u")


def test_the_end_of_the_terminal_is_the_end_of_the_console(tmp_path: Path) -> None:
    """Nobody can type any more, and hanging up is ignored: it leaves, and turns no wheel."""
    terminal = Terminal(tmp_path, ignored=signal.SIGHUP)
    try:
        terminal.until_shown(b"auth-session")
        os.close(terminal.own)
        os.close(terminal.master)
        terminal.own = terminal.master = -1
        terminal.process.wait(DEADLINE_SECONDS)
    finally:
        terminal.close()
