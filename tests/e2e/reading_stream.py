"""A program at a terminal that keeps a diary of every line that it read: ``MODE DIARY``.

It takes whole lines (``prompt``, ``slow``, ``dying``), keys (``keys``, ``editor``), or nothing
(``deaf``). Raw ones know backspace and ctrl+u, as a line editor does.
"""

from __future__ import annotations

import os
import sys
import time
import tty
from pathlib import Path

KILL, ENTER, DELETE = 0x15, 0x0D, 0x7F


def main(mode: str, diary: Path) -> None:
    """Read for ever."""
    if mode == "deaf":
        while True:
            print("busy", flush=True)
            time.sleep(0.05)
    if mode in ("keys", "editor"):
        read_keys(diary, 1 if mode == "keys" else 1024)
    while True:
        print("go on? ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        note(diary, line.rstrip("\n"))
        if mode == "dying" and len(line) > 3:
            return
        time.sleep(0.08 if mode == "slow" else 0.0)


def read_keys(diary: Path, most: int) -> None:
    """Read key by key, as programs do that draw."""
    tty.setraw(0)
    os.write(1, b"\x1b[?1049h" if most > 1 else b"> ")
    line = bytearray()
    while keys := os.read(0, most):
        for key in keys:
            if key == ENTER:
                note(diary, line.decode(errors="replace"))
                line.clear()
            elif key == KILL:
                line.clear()
            elif key == DELETE:
                del line[-1:]
            else:
                line.append(key)
        os.write(1, b"\r> " + line)


def note(diary: Path, line: str) -> None:
    """Write a line down before anything else is read."""
    with diary.open("a") as book:
        book.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
