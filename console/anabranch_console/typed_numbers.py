"""What people type where a number is wanted."""

from __future__ import annotations

_MOST_DIGITS = 11


def whole_number(text: str) -> int | None:
    """Return the number that a person has typed; None if it is not one, or beyond all there are."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
