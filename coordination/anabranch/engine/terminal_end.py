"""The command's end of a stream's terminal, as the engine looks at it: what is unread there.

It is reached through its holder, which has it open, so it need not be found by a name, and is the
right one whatever has happened to names. Looking reads nothing and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from anabranch.engine.performers.process_records import StartRecord, start_ticks
from anabranch.holder.sent_line import takes_lines, unread

__all__ = ["opened_end", "takes_lines", "unread"]


@contextmanager
def opened_end(start: StartRecord, number: int) -> Iterator[int]:
    """Open the end that a holder has under a number, for a block.

    Raises OSError if it cannot be reached, or is not a terminal.
    """
    flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(f"/proc/{start.holder_pid}/fd/{number}", flags)
    try:
        if not os.isatty(descriptor) or start_ticks(start.holder_pid) != start.holder_starttime:
            raise OSError("it is not a terminal of this holder")
        yield descriptor
    finally:
        os.close(descriptor)
