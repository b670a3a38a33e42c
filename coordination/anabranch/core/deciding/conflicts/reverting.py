"""Whether a file was written from an old copy, so that lines brought into it are gone again.

Such a write merges cleanly and silently drops what somebody else did, so it has to be noticed by
its content: where lines were brought in, the file is as it was before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher

MOST_COMPARED = 10_000
LIKENESS = 0.5
MOST_LINES = 20_000
"""A longer file is only compared as a whole."""


def reverts(before: bytes | None, after: bytes | None, now: bytes | None) -> bool:
    """Say whether ``now`` takes back, wholly or in part, what a sync changed.

    None stands for no file. Lines that ``now`` changes again, to something new, are not reverted.
    """
    if now == after or before == after:
        return False
    if now == before:
        return True
    if now is None or after is None:
        return False
    pieces = [(before or b"").splitlines(), after.splitlines(), now.splitlines()]
    if max(map(len, pieces)) > MOST_LINES or any(b"\0" in text for text in (after, now)):
        return False
    return _takes_back_a_part(*pieces)


def _takes_back_a_part(before: list[bytes], after: list[bytes], now: list[bytes]) -> bool:
    here, old, new = set(now), set(before), set(after)
    fresh = [line for line in dict.fromkeys(now) if line not in old and line not in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            continue
        brought = {line for line in after[j1:j2] if line.strip()} - old
        removed = {line for line in before[i1:i2] if line.strip()} - new
        is_gone = not brought & here and removed <= here
        if is_gone and (brought or removed) and not _resemble(brought, fresh):
            return True
    return False


def _resemble(brought: Collection[bytes], fresh: Sequence[bytes]) -> bool:
    """Return whether one of the lines brought in lives on in a line that was written since."""
    if len(brought) * len(fresh) > MOST_COMPARED:
        return False
    texts = [line.decode("utf-8", "replace") for line in fresh]
    return any(
        SequenceMatcher(None, line.decode("utf-8", "replace"), text).ratio() > LIKENESS
        for line in brought
        for text in texts
    )
