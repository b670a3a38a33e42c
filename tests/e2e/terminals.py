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
