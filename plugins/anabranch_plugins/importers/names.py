"""Names of streams made from the names that other tools allow."""

from __future__ import annotations

import re
from collections.abc import Iterable

from anabranch.core.ids import stream_fault

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 56


def stream_names(names: Iterable[str]) -> dict[str, str]:
    """Return a stream's name for each name, no two the same, not even but for their case."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"\.{2,}", ".", _UNFIT.sub("-", name)).strip("-._")[:_LONGEST].strip("-._")
        plain = plain or "stream"
        if stream_fault(plain):
            plain = f"{plain}-run"
        found, number = plain, 2
        while found.casefold() in taken:
            found, number = f"{plain}-{number}", number + 1
        taken.add(found.casefold())
        made[name] = found
    return made
