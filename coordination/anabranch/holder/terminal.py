"""A stream's terminal: its size, what is to be typed into it, who is attached to it, its record.

The record ``terminal`` in the attempt's folder says how it stands: ``rows`` and ``columns``, how
many ``watchers`` are attached, whether a person's line stands ``half_typed``, whether a
full-screen program has the ``alternate`` screen, and the descriptor of the command's ``end``, by
which the engine finds it. It is written when one of these changes.
"""

import fcntl
import os
import select
import sys
import termios

from . import records, screen_modes, typed_line

INPUT_BYTES_MOST = 1_048_576
SMALLEST, LARGEST = 1, 10_000


class Terminal:
    """A pseudo-terminal whose other end the command has.

    Args:
        folder: the attempt's, in which the record is kept.
        poll: says when more can be typed.
        rows, columns: its size at first.
    """

    def __init__(self, folder: int, poll: select.poll, rows: int, columns: int) -> None:
        """Open it; raises OSError.

        The command's end stays open here too: then the terminal outlives a command that closes and
        opens it again, and its output can be read to the last byte after the end.
        """
        self._folder, self._poll = folder, poll
        self.descriptor, self.end = os.openpty()
        self.rows = self.columns = 0
        self.modes = screen_modes.ScreenModes()
        self.line = typed_line.TypedLine()
        self.watchers = 0
        self._input = bytearray()
        self._recorded: dict[str, records.Value] = {}
        os.set_blocking(self.descriptor, False)
        poll.register(self.descriptor, select.POLLIN)
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size; the kernel tells the foreground group. Raises OSError, OverflowError."""
        size = b"".join(n.to_bytes(2, sys.byteorder) for n in (rows, columns, 0, 0))
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)
        self.rows, self.columns = rows, columns

    @property
    def room(self) -> int:
        """How many more bytes of input can wait here."""
        return INPUT_BYTES_MOST - len(self._input)

    def enter(self, data: bytes) -> None:
        """Give the terminal some input, when it takes it; what there is no room for is dropped."""
        self._input += data[: self.room]
        self.write_input()

    def write_input(self) -> None:
        """Give the terminal what it takes of the input that waits."""
        try:
            while self._input:
                del self._input[: os.write(self.descriptor, self._input)]
        except BlockingIOError:
            pass
        waits_for = select.POLLIN | (select.POLLOUT if self._input else 0)
        self._poll.modify(self.descriptor, waits_for)

    def record(self) -> None:
        """Write how it stands, if that has changed."""
        now: dict[str, records.Value] = {
            "rows": self.rows,
            "columns": self.columns,
            "watchers": self.watchers,
            "half_typed": int(self.line.stands),
            "alternate": int(self.modes.is_alternate),
            "end": self.end,
        }
        if now != self._recorded:
            self._recorded = now
            records.write_passing("terminal", self._folder, now)
