"""Typing a line that somebody sent from afar: all of it or nothing, once, and into no other line.

Each has a number, and numbers grow: an order that comes twice types once. Nothing is typed while a
person's line stands half typed, or while what was typed before has not been read: who knows what
reads it. A program that takes lines gets the line and its end in one; one that takes keys gets the
text first, and Enter (by an order of its own) once it has read that, as Enter in the middle of what
comes at once is taken for part of a paste.

The record ``line`` in the attempt's folder says what became of the newest: its ``number``, its
``stage``, ``why`` it was refused, and how much of it was ``unread`` when the program ended.
"""

import fcntl
import select
import sys
import termios

from . import records, terminal

REFUSED, TEXT, WHOLE = 0, 1, 2
"""Not a byte was typed; the text was; the text and Enter were."""

_LOCAL_FLAGS = 3


class SentLine:
    """The newest line that was sent into a terminal.

    Args:
        folder: the attempt's, in which the record is kept.
        place: the terminal.
    """

    def __init__(self, folder: int, place: terminal.Terminal) -> None:
        self._folder, self._place = folder, place
        self._number = self._stage = self._signs = 0
        self._why = ""

    def type(self, number: int, text: bytes) -> None:
        """Type a line, unless something is in the way; one that was seen before is passed over."""
        if number <= self._number:
            return
        self._number, self._stage, self._why = number, REFUSED, self._why_not()
        if not self._why and takes_lines(self._place.end):
            self._stage = WHOLE
            self._place.enter(text + b"\n")
        elif not self._why:
            self._stage = TEXT
            self._place.line.typed(text)
            self._signs = self._place.line.signs
            self._place.enter(text)
        self._record()

    def enter(self, number: int) -> None:
        """Press Enter after the text with that number, if nobody has typed on in its line."""
        is_as_left = self._place.line.signs == self._signs
        if number == self._number and self._stage == TEXT and is_as_left:
            self._stage = WHOLE
            self._place.line.typed(b"\r")
            self._place.enter(b"\r")
            self._record()

    def ended(self) -> None:
        """Note how much of it the program has left unread."""
        if self._stage != REFUSED:
            self._record(unread(self._place.end))

    def _why_not(self) -> str:
        if self._place.line.stands:
            return "half typed"
        has_room = self._place.room == terminal.INPUT_BYTES_MOST
        return "" if has_room and unread(self._place.end) == 0 else "unread"

    def _record(self, left: int = -1) -> None:
        record: dict[str, records.Value] = {"number": self._number, "stage": self._stage}
        records.write_passing("line", self._folder, record | {"why": self._why, "unread": left})


def takes_lines(end: int) -> bool:
    """Return whether the program gets whole lines, rather than each key."""
    return bool(termios.tcgetattr(end)[_LOCAL_FLAGS] & termios.ICANON)


def unread(end: int) -> int:
    """Return how many bytes of input wait to be read; to ask first brings in what is on its way."""
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.poll(0)
    return int.from_bytes(fcntl.ioctl(end, termios.FIONREAD, b"\0" * 4), sys.byteorder)
