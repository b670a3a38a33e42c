"""Whether a line that a person types stands unfinished, by what they have typed.

Whoever else has something to say to the program waits until it does not. In doubt it stands: what
a key does that is not a sign (a line fetched from the past, a cursor moved) only the program knows.
"""

UNKNOWN = 1 << 30
"""So many signs that no number of deletions makes a line empty again."""

_ENTER, _INTERRUPT, _KILL, _ESCAPE = 0x0D, 0x03, 0x15, 0x1B
_DELETES = (0x08, 0x7F)
_TYPES_NOTHING = (0x04, 0x0C, 0x11, 0x13, 0x1A)
"""The end of input, painting again, output held and let go, suspending."""


class TypedLine:
    """Counts the signs that stand in the line."""

    def __init__(self) -> None:
        self._signs = 0
        self._is_after_escape = False

    @property
    def stands(self) -> bool:
        """Whether something stands there that nobody has sent off or taken back."""
        return self._signs > 0

    @property
    def signs(self) -> int:
        """How many signs stand there."""
        return self._signs

    def typed(self, keys: bytes) -> None:
        """Take what a person typed."""
        for key in keys:
            was_after_escape, self._is_after_escape = self._is_after_escape, key == _ESCAPE
            if key in (_ENTER, _INTERRUPT) and not was_after_escape:
                self._signs = 0
            elif key in _DELETES and not was_after_escape:
                self._signs -= 0 < self._signs < UNKNOWN
            elif key == _KILL and self._signs < UNKNOWN:
                self._signs = 0
            elif key in _TYPES_NOTHING or 0x80 <= key < 0xC0:  # the latter continue a sign
                continue
            elif key < 0x20 or was_after_escape:
                self._signs = UNKNOWN
            elif self._signs < UNKNOWN:
                self._signs += 1
