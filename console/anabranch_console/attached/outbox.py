"""What is on its way to a stream's terminal: it waits here while the program does not read."""

from __future__ import annotations

from collections import deque

from anabranch.engine.attaching import PIECE_BYTES, Attachment
from anabranch_console.attached.typed import Piece

MOST_BYTES = 1 << 20


class Outbox:
    """Sends in order what a person typed and a terminal said, as fast as it is taken.

    Args:
        seat: where it goes.
    """

    def __init__(self, seat: Attachment) -> None:
        self._waiting: deque[Piece] = deque()
        self._bytes = 0
        self._ways = {"typed": seat.typed, "moved": seat.moved, "answered": seat.answered}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, piece: Piece) -> bool:
        """Take a piece that is to be sent; false if there is no room for it, and it is dropped."""
        if self._bytes + len(piece.data) > MOST_BYTES:
            return False
        self._waiting.append(piece)
        self._bytes += len(piece.data)
        return True

    def send(self) -> None:
        """Send what is taken now."""
        try:
            while self._waiting:
                kind, data = self._waiting[0]
                self._ways[kind](data[:PIECE_BYTES])
                self._waiting.popleft()
                self._bytes -= len(data[:PIECE_BYTES])
                if data[PIECE_BYTES:]:
                    self._waiting.appendleft(Piece(kind, data[PIECE_BYTES:]))
        except BlockingIOError:
            pass

    def drop(self) -> None:
        """Drop what nobody will take any more."""
        self._waiting.clear()
        self._bytes = 0
