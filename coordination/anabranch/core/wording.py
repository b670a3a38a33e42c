"""Small pieces of prose that reasons and messages share."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 file, 2 files, 3 processes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
