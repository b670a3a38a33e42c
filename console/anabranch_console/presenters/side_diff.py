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


def diff_texts(before: bytes | None, after: bytes | None) -> Iterator[DiffLine]:
    """Yield what makes ``after`` of ``before``, with a few lines around each change."""
    if after is None:
        yield DiffLine("…", None, "the file is not there, or too large to be shown")
        return
    if any(b"\0" in (text or b"")[:BINARY_LOOK_BYTES] for text in (before, after)):
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


def _lines(text: bytes) -> list[str]:
    lines = text.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
