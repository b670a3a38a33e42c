"""A program that carries out many commands in one process after the other, heard by nobody good.

Started with a JSON document on stdin: ``{"sink": …, "cases": [[argument, …], …]}``. Each case runs
as the program in a forked child whose standard output and error are of the kind that is named; the
answer on stdout is a list of ``[exit code, what was heard]``.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Callable

from anabranch_console.cli.main import COMMANDS, LazyCommands, main

SMALLEST_PIPE = 4096
PATIENCE_SECONDS = 60.0


def carry_out(arguments: list[str], take: Callable[[], None]) -> int:
    """Run the program in a child, with the standard streams that ``take`` makes."""
    child = os.fork()
    if child == 0:
        take()
        sys.argv = ["anabranch", *arguments]
        for name, number in (("stdout", 1), ("stderr", 2)):
            try:
                stream = open(number, "w", encoding=SPOKEN, closefd=False)  # noqa: SIM115
            except OSError:
                stream = None  # as Python has it when it is started with a closed one
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        main()
    return child


SPOKEN = "utf-8"


def code_of(child: int) -> int:
    """Wait for a child and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def both(descriptor: int) -> Callable[[], None]:
    """Return what makes a descriptor both standard streams."""

    def take() -> None:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)

    return take


def full(arguments: list[str]) -> tuple[int, str]:
    """A full disk."""
    return code_of(carry_out(arguments, both(os.open("/dev/full", os.O_WRONLY)))), ""


def closed(arguments: list[str]) -> tuple[int, str]:
    """Streams that were closed before the program began."""

    def take() -> None:
        os.close(1)
        os.close(2)

    return code_of(carry_out(arguments, take)), ""


def left(arguments: list[str]) -> tuple[int, str]:
    """A pipe whose reader has gone."""
    ours, theirs = os.pipe()
    os.close(ours)
    code = code_of(carry_out(arguments, both(theirs)))
    os.close(theirs)
    return code, ""


def slow(arguments: list[str]) -> tuple[int, str]:
    """A small pipe that does not block, whose reader begins to read once it is full."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    os.set_blocking(theirs, False)

    def take() -> None:
        os.dup2(theirs, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    child = carry_out(arguments, take)
    _await_full_or_ended(theirs, child)
    os.close(theirs)
    heard = bytearray()
    while piece := os.read(ours, 512):
        heard += piece
    os.close(ours)
    return code_of(child), heard.decode()


def _await_full_or_ended(pipe: int, child: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and select.select([], [pipe], [], 0)[1]:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.002)


def heard(arguments: list[str]) -> tuple[int, str]:
    """A reader that takes everything at once."""
    ours, theirs = os.pipe()

    def take() -> None:
        os.dup2(theirs, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    child = carry_out(arguments, take)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    return code_of(child), said.decode("ascii" if SPOKEN == "ascii" else "utf-8")


def ascii_only(arguments: list[str]) -> tuple[int, str]:
    """A reader whose encoding knows no arrow; what it gets has to be ASCII."""
    global SPOKEN
    SPOKEN = "ascii"
    return heard(arguments)


def without_folder(arguments: list[str]) -> tuple[int, str]:
    """A current folder that is gone; what is said on either stream is heard."""
    ours, theirs = os.pipe()

    def take() -> None:
        both(theirs)()
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)

    child = carry_out(arguments, take)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    return code_of(child), said.decode()


SINKS = {f.__name__: f for f in (heard, full, closed, left, slow, ascii_only, without_folder)}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    group = LazyCommands(name="anabranch")
    for command in COMMANDS:  # imported once, before the forks
        group.get_command(None, command)  # type: ignore[arg-type]
    print(json.dumps([SINKS[asked["sink"]](case) for case in asked["cases"]]))
