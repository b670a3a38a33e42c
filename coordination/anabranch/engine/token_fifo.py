"""The fifo of one attempt, as the engine sees it: how many tokens are in it, put some, take some.

A stream runs as the same user and may do anything to it: fill it, empty it, put something else in
its place. So nothing here waits, nothing reads without a bound, and anything else than a fifo that
has one name is not opened.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from pathlib import Path

from anabranch.plain_files import open_fifo

TOKEN = b"+"
MOST_AT_ONCE = 4096
"""As many as are written whole or not at all, whatever else is written at the time."""


class TokenFifo:
    """An open fifo of tokens."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, also if it is something else."""
        self._descriptor = open_fifo(path)
        found = os.fstat(self._descriptor)
        self.identity = found.st_dev, found.st_ino

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor

    def tokens(self) -> int:
        """Return how many tokens lie in it."""
        said = fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4))
        return int.from_bytes(said, sys.byteorder)

    def put(self, count: int) -> int:
        """Put tokens in; return how many, none if there is no room for all of them."""
        try:
            return os.write(self._descriptor, TOKEN * min(count, MOST_AT_ONCE))
        except BlockingIOError:
            return 0

    def take(self, count: int) -> int:
        """Take tokens out; return how many there were, no more than asked for."""
        try:
            return len(os.read(self._descriptor, min(count, MOST_AT_ONCE)))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)
