"""The program on a terminal of its own, as a person has it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from tests.e2e.program import PROGRAM, Program

DEADLINE_SECONDS = 60.0
ALTERNATE_SCREEN = "\x1b[?1049h"


def on_terminal(
    program: Program,
    *arguments: str,
    in_background: bool = False,
    once: tuple[str, str] = ("", ""),
    as_variable: str = "",
    **env: str,
) -> tuple[int, str]:
    """Run a command on a terminal that controls it; return its exit code and what was painted.

    ``once`` is a text to wait for, and what is typed then. ``as_variable`` names a variable that
    tells the command, and with it its streams, the command's own process number.
    """
    command = [*PROGRAM, *arguments]
    if in_background:
        command = ["sh", "-mc", '"$@" & wait $!', "sh", *command]
    environment = program.environment(**({"TERM": "xterm-256color"} | env))
    child, ours = pty.fork()
    if child == 0:
        os.chdir(program.project)
        if as_variable:
            environment[as_variable] = str(os.getpid())
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    try:
        said = _everything(ours, *once)
    except BaseException:
        os.kill(child, signal.SIGKILL)  # our own child, not yet waited for
        raise
    finally:
        status = os.waitpid(child, 0)[1]
        os.close(ours)
    return os.waitstatus_to_exitcode(status), said


def _everything(terminal: int, awaited: str, keys: str) -> str:
    said, deadline = bytearray(), time.monotonic() + DEADLINE_SECONDS
    while True:
        if keys and awaited.encode() in said:
            os.write(terminal, keys.encode())
            keys = ""
        assert time.monotonic() < deadline, f"it goes on: {bytes(said[-2000:])!r}"
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last one on the terminal has left
            piece = b""
        if not piece:
            return said.decode("utf-8", "replace")
        said += piece


class OnTerminal:
    """A command that goes on, on a terminal that controls it, and hands to use it with."""

    def __init__(self, program: Program, *arguments: str, **env: str) -> None:
        environment = program.environment(**({"TERM": "xterm-256color"} | env))
        self.pid, self._ours = pty.fork()
        if self.pid == 0:
            os.chdir(program.project)
            os.execvpe(PROGRAM[0], [*PROGRAM, *arguments], environment)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.screen = b""
        self._code: int | None = None

    def types(self, keys: bytes) -> None:
        """Type something, and forget what was painted before."""
        self.screen = b""
        os.write(self._ours, keys)

    def look(self) -> None:
        """Take what is painted now."""
        while select.select([self._ours], [], [], 0.02)[0]:
            try:
                self.screen += os.read(self._ours, 65536)
            except OSError:  # the last one on the terminal has left
                return

    def until(self, *texts: bytes) -> None:
        """Wait until texts have been painted since something was typed."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not all(text in self.screen for text in texts):
            assert time.monotonic() < deadline, f"in vain: {texts} {self.screen[-3000:]!r}"
            self.look()

    def disappears(self) -> None:
        """Take the terminal away."""
        os.close(self._ours)
        self._ours = -1

    def code(self) -> int:
        """Wait for its end and return its exit code."""
        if self._code is None:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    break
                assert time.monotonic() < deadline, f"it goes on: {self.screen[-2000:]!r}"
                if self._ours >= 0:
                    self.look()
                else:
                    time.sleep(0.01)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def close(self) -> None:
        """End it, if it goes on: it is our child and not reaped."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._ours >= 0:
            os.close(self._ours)
