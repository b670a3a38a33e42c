"""What comes from a person's terminal: keys, what the mouse reports, what the terminal answers.

One key leaves: ctrl+], however the terminal says it; but not as a part of what is pasted.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LEAVING_KEY = "ctrl+]"

_LEAVES = rb"\x1d|\x1b\[93;(?:5|69|133|197)(?::1)?u|\x1b\[27;5;93~"
_MOVED = rb"\x1b\[<[\d;]+[Mm]|\x1b\[M[\x20-\xff]{3}|\x1b\[\d+;\d+;\d+M|\x1b\[[IO]|\x1b\[48;[\d;]+t"
_ANSWERED = (
    rb"\x1b\[[?>=][\d;]*c|\x1b\[\??\d+;\d+(?:;\d+)?R|\x1b\[\??[\d;]*n|\x1b\[\??[\d;]+\$y"
    rb"|\x1b\[\?\d+u|\x1b\[[\d;]+t|\x1b[P\]_^][^\x07\x1b]*(?:\x07|\x1b\\)"
)
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_KNOWN = re.compile(
    b"(?P<leaves>%s)|(?P<moved>%s)|(?P<answered>%s)|(?P<paste>%s)"
    % (_LEAVES, _MOVED, _ANSWERED, re.escape(_PASTE_BEGINS)),
    re.DOTALL,
)


class Piece(NamedTuple):
    """Some of what came: ``typed``, ``moved`` or ``answered``."""

    kind: str
    data: bytes


class Keyboard:
    """Tells apart what comes from a terminal, also when it comes in parts."""

    def __init__(self) -> None:
        self.has_left = False
        self._pasted: bytes | None = None

    def take(self, data: bytes) -> list[Piece]:
        """Return what is to be handed on; nothing that comes after the key that leaves."""
        pieces: list[Piece] = []
        while data and not self.has_left:
            data = self._take_some(data, pieces)
        return pieces

    def _take_some(self, data: bytes, pieces: list[Piece]) -> bytes:
        if self._pasted is not None and data != b"\x1d":  # that one alone is no paste
            return self._take_pasted(data, pieces)
        found = _KNOWN.search(data)
        if found is None:
            pieces.append(Piece("typed", data))
            return b""
        if found.start():
            pieces.append(Piece("typed", data[: found.start()]))
        if found.lastgroup == "leaves":
            self.has_left = True
        elif found.lastgroup == "paste":
            pieces.append(Piece("typed", found[0]))
            self._pasted = b""
        else:
            pieces.append(Piece(str(found.lastgroup), found[0]))
        return data[found.end() :]

    def _take_pasted(self, data: bytes, pieces: list[Piece]) -> bytes:
        """Hand on all that is pasted; its end may come in two parts."""
        assert self._pasted is not None
        before = self._pasted
        end = (before + data).find(_PASTE_ENDS)
        if end < 0:
            self._pasted = (before + data)[-len(_PASTE_ENDS) + 1 :]
            pieces.append(Piece("typed", data))
            return b""
        self._pasted = None
        cut = end + len(_PASTE_ENDS) - len(before)
        pieces.append(Piece("typed", data[:cut]))
        return data[cut:]
