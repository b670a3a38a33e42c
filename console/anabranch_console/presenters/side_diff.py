"""What one side did to a text: its lines beside those of the base, with line numbers."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

CONTEXT_LINES = 3
MOST_LINES = 4000
BINARY_LOOK_BYTES = 8000


class DiffLine(NamedTuple):
    """One line of a difference: ``+`` it has, ``-`` it has not, a blank both have, ``…`` a gap."""

    sign: str
    number: int | None
    text: str


def diff_texts(
    before: bytes | None, after: bytes | None, *, is_there: bool = True
) -> Iterator[DiffLine]:
    """Yield what makes ``after`` of ``before``, with a few lines around each change.

    Of a file that ``is_there`` without a text there is too much to be shown.
    """
    if after is None:
        words = "too large to be shown" if is_there else "this side has no such file"
        yield DiffLine("…", None, words)
        return
    if any(is_binary(text or b"") for text in (before, after)):
        yield DiffLine("…", None, f"binary, {len(after)} bytes")
        return
    old, new = _lines(before or b""), _lines(after)
    if len(old) + len(new) > MOST_LINES:
        yield DiffLine("…", None, f"{len(new)} lines, too many to be compared here")
        return
    groups = list(
        SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT_LINES)
    )
    if not groups:
        yield DiffLine("…", None, "the same as before")
    for position, group in enumerate(groups):
        if position:
            yield DiffLine("…", None, "")
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                for number in range(new_start, new_end):
                    yield DiffLine(" ", number + 1, new[number])
                continue
            for number in range(old_start, old_end):
                yield DiffLine("-", None, old[number])
            for number in range(new_start, new_end):
                yield DiffLine("+", number + 1, new[number])


def is_binary(text: bytes) -> bool:
    """Return whether a file's contents are not text, as far as its beginning tells."""
    return b"\0" in text[:BINARY_LOOK_BYTES]


def count_lines(text: bytes) -> int:
    """Return how many lines a text has; the last one counts without a line's end, too."""
    return text.count(b"\n") + (not text.endswith(b"\n") and bool(text))


def _lines(text: bytes) -> list[str]:
    lines = text.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
